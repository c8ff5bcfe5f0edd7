#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/engine/process_reader.h"
#include "tracer/engine/wait_reader.h"
#include "tracer/model/resource.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::engine {

// The resources that waits are on: who holds them, what their other end is, how full they are.
class ResourceReader {
 public:
  ResourceReader(const kernel::Procfs& procfs, HolderScan& scan, const ResourceNotes& notes,
                 const SocketCatalog& sockets)
      : procfs_(procfs), scan_(scan), notes_(notes), sockets_(sockets) {}

  // Takes note of a wait: its resources with their peers and holders. Returns the processes that
  // may end it and must be looked at too, sorted; holders of a resource that an earlier answer
  // named already are left out. `follow` false: nobody is to be looked at, and the answer is empty.
  std::set<base::Pid> add_wait(base::Pid pid, base::Tid tid, const model::Wait& wait, bool follow);
  // Asks the kernel how full each noted end is; one short copy of a descriptor each.
  void probe_ends();
  // How a terminal is held is known from the processes read alone.
  void add_terminal_holders(const std::vector<const model::Process*>& processes);
  std::map<model::ResourceId, model::Resource> take() { return std::move(resources_); }

 private:
  struct End {  // one thread's descriptor of a resource it waits on
    base::Pid pid;
    base::Tid tid;
    int fd = -1;
  };
  model::Resource& add(const model::ResourceId& id);
  void fill_socket(model::Resource& resource);
  void fill_unaccepted(model::Resource& resource);
  void fill_holders(model::Resource& resource);
  model::ResourceId far_end(const kernel::SocketInfo& client,
                            const std::vector<std::uint64_t>& listeners);
  void fill_semaphore(model::Resource& resource);
  void fill_queue(model::Resource& resource);
  void name_last_user(model::Resource& resource, model::FdMode direction,
                      std::set<base::Pid>& releasers);
  bool has_lived_since(base::Pid pid, base::Nanoseconds wall) const;
  void probe(const model::ResourceId& id, model::FdMode direction, const End& end);
  void add_holder_pids(const model::ResourceId& id, std::set<base::Pid>& pids);

  const kernel::Procfs& procfs_;
  HolderScan& scan_;
  const ResourceNotes& notes_;
  const SocketCatalog& sockets_;
  std::map<model::ResourceId, model::Resource> resources_;
  // Connections nobody has accepted: in the backlog of (one of) these listeners.
  std::map<model::ResourceId, std::vector<std::uint64_t>> unaccepted_;
  struct Operation {  // on a System V semaphore or queue
    base::Pid by;
    base::Nanoseconds wall;
  };
  struct LastUse {
    Operation reading, writing;
  };
  std::map<model::ResourceId, LastUse> last_uses_;
  // Resources whose holders have been answered: with a thousand processes on one pipe each of them
  // would name all the others.
  std::set<model::ResourceId> followed_;
  std::map<std::pair<model::ResourceId, model::FdMode>, End> ends_;
};

}  // namespace stucktrace::engine
