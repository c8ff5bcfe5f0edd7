#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "tracer/kernel/procfs.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::engine {

// What a process's control group does to it (cgroups(7), version 2; nothing is known of version 1).
// Lives over several looks: starving shows only in the difference of two.
class CgroupReader {
 public:
  explicit CgroupReader(std::string root = "/sys/fs/cgroup") : root_(std::move(root)) {}

  // A new look: what fill() reads from here on is compared with what it read before.
  void begin();
  // Sets `frozen` and `cpu_starved`; reads each group once a look.
  void fill(const kernel::Procfs& procfs, model::Process& process);

 private:
  struct Group {
    bool frozen = false;
    std::optional<std::uint64_t> throttled_us;  // of the group and those above it
  };
  const Group& group(const std::string& path);

  std::string root_;
  std::map<std::string, Group> now_;
  std::map<std::string, Group> before_;
};

}  // namespace stucktrace::engine
