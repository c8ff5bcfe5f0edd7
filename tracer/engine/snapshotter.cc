#include "tracer/engine/snapshotter.h"

#include <fmt/format.h>

#include <cerrno>
#include <ctime>
#include <utility>

#include "tracer/engine/collection.h"
#include "tracer/engine/parked_locks.h"
#include "tracer/engine/stack_reader.h"
#include "tracer/kernel/remote_memory.h"
#include "tracer/unwind/elf_files.h"

namespace stucktrace::engine {

base::Nanoseconds time_suspended() {
  timespec boot{}, running{};
  if (::clock_gettime(CLOCK_MONOTONIC, &running) != 0 ||
      ::clock_gettime(CLOCK_BOOTTIME, &boot) != 0) {
    return {};
  }
  return std::chrono::seconds{boot.tv_sec - running.tv_sec} +
         base::Nanoseconds{boot.tv_nsec - running.tv_nsec};
}

Snapshotter::Snapshotter()
    : Snapshotter(kernel::Procfs{}, std::make_shared<base::SystemClock>(), KernelProbes{}) {}

Snapshotter::Snapshotter(kernel::Procfs procfs, std::shared_ptr<const base::Clock> clock,
                         KernelProbes probes)
    : procfs_(std::move(procfs)),
      clock_(std::move(clock)),
      probes_(std::move(probes)),
      elf_files_(std::make_shared<unwind::ElfFiles>()),
      cgroups_(probes_.cgroup_root) {}

Snapshotter::~Snapshotter() = default;

base::Result<std::shared_ptr<model::Snapshot>> Snapshotter::take(const SnapshotOptions& options) {
  book_.turn();
  Collection collection{procfs_, *clock_, probes_, options, book_};
  if (!collection.read_tree()) {
    return base::system_error("look at the processes", base::Errno{ESRCH});
  }
  collection.read_waits();
  collection.read_resources();
  collection.read_output();
  if (options.native_stacks || options.python_stacks) {
    StackReader stacks{{options.native_stacks, options.python_stacks, options.may_stop},
                       elf_files_};
    const std::vector<model::Process*> processes = collection.processes();
    for (model::Process* process : processes) {
      if (!process->in_tree && !options.all_stacks) continue;
      if (collection.is_late()) {
        collection.could_not_see("stacks are missing: the time limit had passed");
        break;
      }
      stacks.read(*process, collection.standing(*process));
      stacks.forget_ends(process->pid, collection.drop_waits_of_the_past(*process));
      if (process->interpreter && !process->interpreter->note.empty()) {
        collection.could_not_see(
            fmt::format("process {}: {}", process->pid, process->interpreter->note));
      }
      name_parked_locks(*process, kernel::ProcessMemory{base::main_thread(process->pid)});
    }
    stacks.name_owners(processes, procfs_);
  }
  cgroups_.begin();
  for (model::Process* process : collection.processes()) cgroups_.fill(procfs_, *process);
  auto snapshot = std::make_shared<model::Snapshot>(collection.finish());
  // The two clocks are read one after the other: less than this is no suspension.
  constexpr base::Nanoseconds kNoise = std::chrono::milliseconds{5};
  const base::Nanoseconds suspended = probes_.suspended();
  const base::Nanoseconds more = suspended - suspended_before_.value_or(suspended);
  if (more > kNoise) snapshot->suspended = more;
  suspended_before_ = suspended;
  return snapshot;
}

}  // namespace stucktrace::engine
