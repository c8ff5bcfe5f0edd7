#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/kernel/procfs.h"
#include "tracer/model/resource.h"

namespace stucktrace::engine {

// An entry of a descriptor table.
struct TableEntry {
  base::Pid pid;
  base::Tid tid;  // of a thread with a table of its own; 0: the process's
  int fd = -1;
  std::uint64_t inode = 0;  // of a socket
};

// Open files that no descriptor table shows: sent over a unix socket (SCM_RIGHTS) and not received
// yet, or registered with an io_uring. Who has that socket or ring can act on their ends.
class UnseenEnds {
 public:
  // `sockets` holds each socket once; those that are not unix sockets are of no account. Reads one
  // fdinfo for each.
  UnseenEnds(const kernel::Procfs& procfs, std::vector<TableEntry> sockets,
             std::vector<TableEntry> rings);

  // Where an end of `id` may be, half a sentence; "" nowhere.
  std::string where(const model::ResourceId& id) const;

 private:
  struct Unreceived {
    TableEntry socket;
    std::uint64_t count = 0;  // what they are cannot be seen
  };
  struct Ring {
    TableEntry entry;
    bool all_told = true;  // `links` are all its files
    std::vector<std::string> links;
  };
  std::vector<Unreceived> unreceived_;
  std::vector<Ring> rings_;
};

}  // namespace stucktrace::engine
