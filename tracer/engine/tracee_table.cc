#include "tracer/engine/tracee_table.h"

#include <algorithm>

namespace stucktrace::engine {

Tracee* TraceeTable::find(base::Tid tid) {
  const auto at = tracees_.find(tid);
  return at == tracees_.end() ? nullptr : &at->second;
}

const Tracee* TraceeTable::find(base::Tid tid) const {
  const auto at = tracees_.find(tid);
  return at == tracees_.end() ? nullptr : &at->second;
}

Tracee& TraceeTable::add(base::Tid tid, base::Pid pid, kernel::TraceStyle style,
                         TraceeState state) {
  tracees_.erase(tid);
  Tracee& tracee = tracees_[tid];
  tracee.tid = tid;
  tracee.pid = pid;
  tracee.style = style;
  tracee.state = state;
  return tracee;
}

std::vector<base::Tid> TraceeTable::all() const {
  std::vector<base::Tid> tids;
  tids.reserve(tracees_.size());
  for (const auto& [tid, tracee] : tracees_) tids.push_back(tid);
  std::ranges::sort(tids);
  return tids;
}

std::vector<base::Tid> TraceeTable::threads_of(base::Pid pid) const {
  std::vector<base::Tid> tids;
  for (const auto& [tid, tracee] : tracees_) {
    if (tracee.pid == pid) tids.push_back(tid);
  }
  std::ranges::sort(tids);
  return tids;
}

}  // namespace stucktrace::engine
