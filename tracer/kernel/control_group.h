#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/base/unique_fd.h"
#include "tracer/kernel/procfs.h"

namespace stucktrace::kernel {

// A control group of our own (cgroups(7), version 2) below that of the calling process. Who is put
// into it stays in it whoever its parent comes to be, and whoever it starts begins there: so it
// knows those that nobody traces. It says who belongs together and distributes nothing.
//
// All methods may be called from any thread; none waits for a member.
class ControlGroup {
 public:
  // Fails where none can be had, or where its members would come to see other limits than outside.
  // Removes what tools have left that were killed.
  static base::Result<std::unique_ptr<ControlGroup>> make(const Procfs& procfs);
  // Removes it if that has not been done.
  ~ControlGroup();
  ControlGroup(const ControlGroup&) = delete;
  ControlGroup& operator=(const ControlGroup&) = delete;

  base::Result<void> add(base::Pid pid) const;
  // Sorted, those in groups below it too. Zombies are members of nothing.
  std::vector<base::Pid> members() const;
  // To each member but `others` (sorted), and SIGCONT after it.
  void signal(int signo, const std::vector<base::Pid>& others) const;
  // Everybody in it, at once, so that none can be started meanwhile. Spares the calling process.
  void kill() const;
  // Who is still in it goes on in the calling process's group. Fails where members have made groups
  // of their own and live in them: these are left alone.
  base::Result<void> remove();

  const std::string& path() const { return path_; }

 private:
  ControlGroup(base::UniqueFd home, base::UniqueFd directory, std::string name, std::string path);

  base::UniqueFd home_;       // the calling process's own
  base::UniqueFd directory_;  // locked as long as its maker lives: nobody else's to remove
  std::string name_;          // in `home_`
  std::string path_;
  bool removed_ = false;
};

}  // namespace stucktrace::kernel
