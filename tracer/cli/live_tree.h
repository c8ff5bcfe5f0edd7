#pragma once

#include <unordered_map>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/model/event.h"

namespace stucktrace::cli {

// The processes of a traced tree that live, by its events: where to start a look from, also once
// the first of them has ended and left orphans behind.
class LiveTree {
 public:
  void observe(const model::Event& event);
  // Those whose parent is none of them, sorted: with their descendants that is everybody.
  std::vector<base::Pid> tops() const;
  bool contains(base::Pid pid) const { return parents_.contains(pid); }

 private:
  std::unordered_map<base::Pid, base::Pid> parents_;
};

}  // namespace stucktrace::cli
