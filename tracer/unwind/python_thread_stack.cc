#include "tracer/unwind/python_thread_stack.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "tracer/kernel/procfs.h"
#include "tracer/kernel/remote_memory.h"
#include "tracer/unwind/python_image.h"
#include "tracer/unwind/python_memory.h"
#include "tracer/unwind/python_objects.h"
#include "tracer/unwind/python_pages.h"
#include "tracer/unwind/python_stack.h"
#include "tracer/unwind/python_state.h"

namespace stucktrace::unwind {
namespace {

// Other threads may change the list of threads while it is gone through.
constexpr int kAttempts = 2;

}  // namespace

struct PythonThreadStack::State {
  explicit State(base::Pid process) : pid(process) {}

  // False: nothing of the process is read as Python.
  bool identify(const syscalls::RemoteMemory& memory) {
    if (looked) return build.has_value();
    looked = true;
    build.reset();
    auto found = find_python_images(procfs, pid);
    if (!found || found->images.empty()) return false;
    mappings = std::move(*found);
    const auto status = procfs.status(pid);
    inner_namespace = !status || status->ns_pids.size() != 1;
    if (auto known = identify_python(memory, mappings.images)) build = std::move(*known);
    return build.has_value();
  }

  // As the process numbers the thread itself. All threads of a process are in one namespace.
  std::int32_t own_number(base::Tid tid) const {
    if (!inner_namespace) return tid.value();
    const auto status = procfs.status(pid, tid);
    return status && !status->ns_pids.empty() ? status->ns_pids.back() : tid.value();
  }

  std::optional<std::vector<model::PythonFrame>> read(const syscalls::RemoteMemory& memory,
                                                      base::Tid tid) {
    const PythonObjects objects{memory, build->layout, mappings.images.front().unicode_width};
    PythonStacks stacks{objects};
    const std::map<std::int32_t, base::Tid> self{{own_number(tid), tid}};
    const auto interpreters = find_interpreters(objects, mappings);
    // It is still starting: where its heap is shows later.
    if (interpreters.empty()) looked = false;
    for (const std::uint64_t interpreter : interpreters) {
      const auto states = list_python_threads(objects, mappings.images, interpreter);
      const auto matched = match_python_threads(memory, states, self);
      for (std::size_t index = 0; index < states.size(); ++index) {
        if (matched[index] != tid) continue;
        const auto chain = stacks.chain(states[index].address);
        if (!chain) return std::nullopt;
        // A thread has a state in each interpreter it was in, and frames in the one it is in.
        if (chain->empty()) continue;
        return stacks.describe(*chain);
      }
    }
    return std::nullopt;
  }

  base::Pid pid;
  kernel::Procfs procfs;
  bool looked = false;
  bool inner_namespace = true;  // of process numbers, or not known
  PythonMappings mappings;
  std::optional<PythonBuild> build;
};

PythonThreadStack::PythonThreadStack(base::Pid pid) : state_(std::make_unique<State>(pid)) {}
PythonThreadStack::PythonThreadStack(PythonThreadStack&&) noexcept = default;
PythonThreadStack& PythonThreadStack::operator=(PythonThreadStack&&) noexcept = default;
PythonThreadStack::~PythonThreadStack() = default;

std::vector<model::PythonFrame> PythonThreadStack::frames(base::Tid tid) {
  const kernel::ProcessMemory process{tid};
  PageCopies pages{process};
  const LimitedMemory memory{pages, kMaxPythonReads};
  if (!state_->identify(memory)) return {};
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    pages.forget();
    if (auto frames = state_->read(memory, tid)) return std::move(*frames);
    if (!state_->looked) break;
  }
  return {};
}

void PythonThreadStack::mappings_changed() {
  state_->looked = false;
}

}  // namespace stucktrace::unwind
