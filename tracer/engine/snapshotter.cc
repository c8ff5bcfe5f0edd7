#include "tracer/engine/snapshotter.h"

#include <cerrno>
#include <utility>

#include "tracer/engine/collection.h"
#include "tracer/engine/stack_reader.h"
#include "tracer/unwind/elf_files.h"

namespace stucktrace::engine {

Snapshotter::Snapshotter()
    : Snapshotter(kernel::Procfs{}, std::make_shared<base::SystemClock>(), KernelProbes{}) {}

Snapshotter::Snapshotter(kernel::Procfs procfs, std::shared_ptr<const base::Clock> clock,
                         KernelProbes probes)
    : procfs_(std::move(procfs)),
      clock_(std::move(clock)),
      probes_(std::move(probes)),
      elf_files_(std::make_shared<unwind::ElfFiles>()) {}

Snapshotter::~Snapshotter() = default;

base::Result<std::shared_ptr<model::Snapshot>> Snapshotter::take(const SnapshotOptions& options) {
  Collection collection{procfs_, *clock_, probes_, options};
  if (!collection.read_tree()) {
    return base::system_error("look at the processes", base::Errno{ESRCH});
  }
  collection.read_waits();
  collection.read_resources();
  collection.read_output();
  if (options.native_stacks || options.python_stacks) {
    for (model::Process* process : collection.processes()) {
      if (!process->in_tree && !options.all_stacks) continue;
      if (collection.is_late()) {
        collection.could_not_see("stacks are missing: the time limit had passed");
        break;
      }
      read_stacks(*process, {options.native_stacks, options.python_stacks}, elf_files_);
    }
  }
  return std::make_shared<model::Snapshot>(collection.finish());
}

}  // namespace stucktrace::engine
