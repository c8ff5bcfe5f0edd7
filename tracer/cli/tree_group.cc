#include "tracer/cli/tree_group.h"

#include <fmt/format.h>

#include "tracer/kernel/procfs.h"

namespace stucktrace::cli {

TreeGroup::TreeGroup(base::Log& log) : log_(log) {
  auto group = kernel::ControlGroup::make(kernel::Procfs{});
  if (group) {
    group_ = std::move(*group);
    return;
  }
  log_.say(base::LogLevel::kVerbose,
           fmt::format("no control group for the tree: {}", group.error().message()));
}

void TreeGroup::ended_first_by(EndGuard& guard) const {
  if (group_) guard.do_first([group = group_] { group->kill(); });
}

void TreeGroup::join(base::Pid pid) const {
  if (!group_) return;
  const auto joined = group_->add(pid);
  log_.say(base::LogLevel::kVerbose,
           joined ? "the tree is in control group " + group_->path()
                  : "the tree is in no control group of its own: " + joined.error().message());
}

void TreeGroup::remove() {
  if (!group_) return;
  if (const auto removed = group_->remove(); !removed) {
    log_.say(base::LogLevel::kNormal, removed.error().message());
  }
}

}  // namespace stucktrace::cli
