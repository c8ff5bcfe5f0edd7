// libFuzzer entry: an interpreter in memory with damages. The first byte chooses the version; each
// four bytes then overwrite a word: with a pointer to anything there (lists that end in themselves,
// frames and coroutines in a circle, objects of a wrong type), with a pointer to nothing, with a
// length beyond all bounds. Every look must end within its limits and tell nothing it could not
// read.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "tests/fuzz/python_world.h"
#include "tracer/unwind/python_awaited.h"
#include "tracer/unwind/python_greenlets.h"
#include "tracer/unwind/python_locks.h"
#include "tracer/unwind/python_memory.h"
#include "tracer/unwind/python_stack.h"
#include "tracer/unwind/python_state.h"
#include "tracer/unwind/python_tasks.h"

namespace {

using namespace stucktrace;
using namespace stucktrace::unwind;

constexpr std::size_t kReads = 20'000;
constexpr unsigned kVersions = 10;  // 3.6 to 3.15

void check(bool holds) {
  if (!holds) std::abort();
}

// Nothing may ask for more at once than the largest table that is believed.
class CheckedMemory final : public syscalls::RemoteMemory {
 public:
  explicit CheckedMemory(const syscalls::RemoteMemory& memory) : memory_(memory) {}
  std::size_t read(base::RemoteAddr address, std::span<std::byte> out) const override {
    check(out.size() <= std::size_t{2} << 20);
    return memory_.read(address, out);
  }

 private:
  const syscalls::RemoteMemory& memory_;
};

void damage(PythonWorld& world, std::span<const std::uint8_t> input) {
  const auto words = world.fake.space.words();
  for (std::size_t at = 0; at + 3 < input.size(); at += 4) {
    const std::size_t index = input[at] * std::size_t{256} + input[at + 1];
    const std::uint64_t what = input[at + 2], how = input[at + 3];
    std::uint64_t value = 0;
    switch (what % 6) {
      case 0:  // an object begins there, or not
        value = words[(what / 6 * 256 + how) * 7 % words.size()];
        break;
      case 1:  // itself
        value = words[index % words.size()];
        break;
      case 2:
        value = how;
        break;
      case 3:
        value = ~std::uint64_t{0} - how;
        break;
      case 4:
        value = std::uint64_t{1} << (how % 64);
        break;
      default:  // nothing is there
        value = 0x7f0000000000 + how * 8;
    }
    world.fake.space.put(words[index % words.size()], value);
  }
}

void look_at_thread(const PythonObjects& objects, const PythonWorld& world, std::uint64_t state,
                    bool healthy) {
  PythonStacks stacks{objects};
  PythonLocks locks{objects};
  PythonAwaited awaited{objects, stacks};
  const auto chain = stacks.chain(state);
  check(chain || !healthy);
  if (!chain) return;
  check(chain->size() <= kMaxPythonFrames);
  const auto frames = stacks.describe(*chain);
  stacks.deadline(*chain);
  const auto held = locks.held(*chain, 7);
  locks.awaited(*chain, 7);
  const auto wait = locks.awaited(*chain, world.lock_futex);
  if (healthy && world.contended != 0) {
    const auto mutex = world.contended + static_cast<std::uint64_t>(objects.layout().lock_mutex);
    const auto which = std::ranges::find(world.states, state) - world.states.begin();
    const bool holds = which == 1 && objects.layout().descriptor_name >= 0;
    check(holds ? held == std::vector{mutex} : held.empty());
    const bool has_lock = which == 2 || holds;
    check(has_lock ? wait && wait->lock == mutex : !wait);
  }
  check(frames || !healthy);
  if (!frames) return;
  check(frames->size() == chain->size());
  for (const model::PythonFrame& frame : *frames) {
    check(!frame.function.empty() && frame.function.size() <= kMaxPythonText * 4);
  }
  const auto end = awaited.find(world.interpreter, *chain, *frames, world.futex);
  if (end) check((end->pthread != 0) != (end->pid != 0) && end->frame < frames->size());
  if (healthy && frames->size() > 1) check(end && end->pthread == 7 && end->object == "worker");
}

void look(const PythonWorld& world, bool healthy) {
  const CheckedMemory checked{world.fake.space};
  const LimitedMemory memory{checked, kReads};
  const PythonObjects objects{memory, world.fake.layout};
  const PythonMappings mappings = world.mappings();
  is_finalizing(objects, mappings.images);
  auto interpreters = find_interpreters(objects, mappings);
  check(interpreters.size() <= kMaxPythonInterpreters);
  if (healthy) check(interpreters.size() == 1);
  // Also what a damaged head does not lead to any more.
  if (interpreters.empty()) interpreters.push_back(world.interpreter);
  for (const std::uint64_t interpreter : interpreters) {
    auto threads = list_python_threads(objects, mappings.images, interpreter);
    check(threads.size() <= kMaxPythonThreads);
    if (healthy) check(threads.size() == world.states.size());
    python_gil_holder(objects, mappings.images, interpreter);
    match_python_threads(memory, threads, {{1, base::Tid{1}}});
    check(python_thread_names(objects, interpreter).size() <= kMaxPythonThreads);
    PythonStacks stacks{objects};
    PythonTasks tasks{objects, stacks};
    const auto all = tasks.read(interpreter);
    check(all.tasks.size() <= kMaxPythonTasks);
    if (healthy) check(all.tasks.size() == world.task_objects.size());
    for (const PythonTaskState& state : all.tasks) check(!state.task.frames.empty());
    PythonGreenlets greenlets{objects, stacks, interpreter};
    const auto suspended = greenlets.read();
    check(suspended.greenlets.size() <= kMaxPythonTasks);
    if (healthy) check(suspended.greenlets.size() == (world.greenlet != 0 ? 1U : 0U));
    for (const PythonGreenletState& state : suspended.greenlets) check(!state.task.frames.empty());
  }
  for (const std::uint64_t state : world.states) {
    look_at_thread(objects, world, state, healthy);
  }
  PythonStacks stacks{objects};
  PythonTasks tasks{objects, stacks};
  for (const std::uint64_t task : world.task_objects) {
    const auto read = tasks.read_at(task);
    check(read || !healthy);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const unsigned version = size == 0 ? 0 : data[0] % kVersions;
  PythonWorld world{6 + static_cast<int>(version)};
  look(world, true);
  damage(world, std::span{data, size}.subspan(size == 0 ? 0 : 1));
  look(world, false);
  return 0;
}
