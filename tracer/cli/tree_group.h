#pragma once

#include <memory>

#include "tracer/base/ids.h"
#include "tracer/base/log.h"
#include "tracer/cli/end_guard.h"
#include "tracer/kernel/control_group.h"

namespace stucktrace::cli {

// The control group that a launched tree with a limit is put into, where one can be had. Without it
// the tree is ended all the same, but for what a debugger has taken over and somebody else taken
// in.
class TreeGroup {
 public:
  explicit TreeGroup(base::Log& log);
  // Removes it, if remove() has not: when nobody traces any more.
  ~TreeGroup() { remove(); }
  TreeGroup(const TreeGroup&) = delete;
  TreeGroup& operator=(const TreeGroup&) = delete;

  // If the tool itself has to be ended, its members are first.
  void ended_first_by(EndGuard& guard) const;
  // The tree's first process, before it makes others.
  void join(base::Pid pid) const;
  // Who is still in it goes on outside. What hinders that is told.
  void remove();
  // Null without one.
  const kernel::ControlGroup* get() const { return group_.get(); }

 private:
  base::Log& log_;
  std::shared_ptr<kernel::ControlGroup> group_;  // the guard's as well
};

}  // namespace stucktrace::cli
