#pragma once

#include <cstdint>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/kernel/procfs.h"

namespace stucktrace::kernel {

// Orphans below the calling process become its children from now on, not init's
// (PR_SET_CHILD_SUBREAPER, prctl(2)): getppid(2) tells them so.
base::Result<void> adopt_orphans();

// The processes below the calling one, but for those that were there when this was made and what
// they make: a program that executed us may have left us children of its own.
class Descendants {
 public:
  struct Process {
    base::Pid pid;
    std::uint64_t start_time = 0;  // with the pid an identity
    auto operator<=>(const Process&) const = default;
  };

  explicit Descendants(const Procfs& procfs) : procfs_(procfs) { former_ = look({}).ours; }
  // Sorted, without zombies.
  std::vector<Process> now() const;
  // Some were there before. What they make can only be told from ours as long as its maker lives,
  // once orphans come to the calling process: it has to be noted from time to time.
  bool has_former() const { return !former_.empty(); }
  void note_former();
  // To this process or, if it has ended meanwhile, to nobody (kGone).
  base::Result<void> signal(const Process& process, int signo) const;

 private:
  struct Look {
    std::vector<Process> ours;
    std::vector<Process> former;  // and what is below them
  };
  Look look(const std::vector<Process>& former) const;

  const Procfs& procfs_;
  std::vector<Process> former_;
};

}  // namespace stucktrace::kernel
