#include "tracer/unwind/python_tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "tracer/unwind/python_memory.h"
#include "tracer/unwind/python_state.h"

namespace stucktrace::unwind {
namespace {

constexpr std::size_t kMaxChain = 64;
constexpr std::size_t kMaxFramesOfAll = 20'000;  // with their texts this is what a look may hold
constexpr int kAfterHead = 16;                   // the first field of an object

std::uint64_t plus(std::uint64_t address, int offset) {
  return address + static_cast<std::uint64_t>(offset);
}

}  // namespace

bool PythonTasks::is_task(std::uint64_t object) const {
  return layout_.task_coroutine >= 0 &&
         (objects_.is_kind_of(object, "_asyncio.Task") || objects_.is_kind_of(object, "Task"));
}

std::uint64_t PythonTasks::field(std::uint64_t task, int offset, std::string_view name) const {
  if (!objects_.is_kind_of(task, "_asyncio.Task")) return objects_.attribute(task, name);
  return offset < 0 ? 0 : read_word(objects_.memory(), plus(task, offset));
}

std::string PythonTasks::name_of(std::uint64_t task) const {
  const std::uint64_t name = field(task, layout_.task_name, "_name");
  if (name == 0) return {};
  // 3.12+: a number until somebody asks for the name.
  if (const auto number = objects_.integer(name)) return fmt::format("Task-{}", *number);
  return objects_.text(name).value_or(std::string{});
}

std::string PythonTasks::awaited(std::uint64_t waiter) const {
  const std::string& type = objects_.type_name(waiter);
  if (type.empty() || type == "NoneType") return {};
  if (is_task(waiter)) {
    std::string name = name_of(waiter);
    return name.empty() ? "Task" : name;
  }
  if (type == "_GatheringFuture") {
    const std::uint64_t children = objects_.attribute(waiter, "_children");
    std::uint64_t count = 0;
    const base::RemoteAddr size{plus(children, layout_.object_size)};
    const bool known = objects_.is_a(children, "list") && objects_.memory().read_value(size, count);
    if (known && count <= kMaxPythonEntries) return fmt::format("gather of {}", count);
  }
  return type.substr(type.rfind('.') + 1);
}

std::uint64_t PythonTasks::frame_of(std::uint64_t object) const {
  const auto& memory = objects_.memory();
  std::uint64_t coroutine = object;
  const std::string& outer = objects_.type_name(object);
  if (outer == "coroutine_wrapper" || outer == "async_generator_asend" ||
      outer == "async_generator_athrow") {
    coroutine = read_word(memory, plus(object, kAfterHead));
  }
  const std::string& type = objects_.type_name(coroutine);
  if (type != "coroutine" && type != "generator" && type != "async_generator") return 0;
  if (!layout_.has_interpreter_frames()) {
    return read_word(memory, plus(coroutine, layout_.generator_frame));
  }
  // FRAME_COMPLETED, FRAME_CLEARED: above zero up to 3.14, then the latter alone, the last one.
  constexpr std::int8_t kCleared315 = 5;
  std::int8_t state = kCleared315;
  const base::RemoteAddr at{plus(coroutine, layout_.generator_state)};
  if (!memory.read_value(at, state)) return 0;
  const bool ended = layout_.version() < 315 ? state > 0 : state < 0 || state >= kCleared315;
  return ended ? 0 : plus(coroutine, layout_.generator_frame);
}

// 3.14+: a frame that called another coroutine has values on its stack though it runs.
bool PythonTasks::is_suspended(std::uint64_t coroutine) const {
  std::int8_t state = 0;
  const base::RemoteAddr at{plus(coroutine, layout_.generator_state)};
  if (!objects_.memory().read_value(at, state)) return false;
  return layout_.version() < 315 ? state < 0 : state > 0 && state < 4;
}

std::uint64_t PythonTasks::top_value(const PythonLink& link) const {
  const auto& memory = objects_.memory();
  const std::uint64_t field = plus(link.frame, layout_.frame_stack_top);
  constexpr std::int64_t kMaxValues = 1 << 16;
  if (layout_.version() >= 314) {
    // From 3.15 on there is one more value above what is waited for.
    const std::uint64_t depth = layout_.version() < 315 ? 1 : 2;
    std::int32_t locals = 0;
    const base::RemoteAddr count{plus(link.code, layout_.code_local_count)};
    const std::uint64_t coroutine =
        link.frame - static_cast<std::uint64_t>(layout_.generator_frame);
    const bool sane = is_suspended(coroutine) && memory.read_value(count, locals) && locals >= 0 &&
                      locals <= kMaxValues;
    if (!sane) return 0;
    const std::uint64_t stack =
        plus(link.frame, layout_.frame_locals) + 8 * static_cast<std::uint64_t>(locals);
    const std::uint64_t end = read_word(memory, field);
    if (end < stack + 8 * depth || end - stack > 8 * std::uint64_t{kMaxValues}) return 0;
    return layout_.untagged(read_word(memory, end - 8 * depth));
  }
  if (layout_.has_interpreter_frames()) {
    std::int32_t top = 0, locals = 0;
    const base::RemoteAddr count{plus(link.code, layout_.code_local_count)};
    if (!memory.read_value(base::RemoteAddr{field}, top) || !memory.read_value(count, locals)) {
      return 0;
    }
    if (top <= locals || top > kMaxValues) return 0;
    return read_word(
        memory, plus(link.frame, layout_.frame_locals) + 8 * static_cast<std::uint64_t>(top - 1));
  }
  const std::uint64_t bottom = read_word(memory, plus(link.frame, layout_.frame_value_stack));
  if (bottom == 0) return 0;
  if (layout_.version() == 310) {
    std::int32_t count = 0;
    const bool sane = memory.read_value(base::RemoteAddr{field}, count) && count > 0;
    if (!sane || count > kMaxValues) return 0;
    return read_word(memory, bottom + 8 * static_cast<std::uint64_t>(count - 1));
  }
  const std::uint64_t top = read_word(memory, field);
  return top <= bottom ? 0 : read_word(memory, top - 8);
}

std::optional<std::vector<PythonLink>> PythonTasks::await_chain(std::uint64_t coroutine) {
  std::vector<PythonLink> chain;
  std::unordered_set<std::uint64_t> seen;
  for (std::uint64_t at = coroutine; at != 0 && chain.size() < kMaxChain;) {
    const std::uint64_t frame = frame_of(at);
    if (frame == 0) break;
    if (!seen.insert(frame).second) return std::nullopt;
    const auto link = stacks_.at_rest(frame);
    if (!link) return std::nullopt;
    chain.push_back(*link);
    at = top_value(*link);
  }
  return chain;
}

std::optional<PythonTaskState> PythonTasks::read_at(std::uint64_t address) {
  const std::uint64_t coroutine = field(address, layout_.task_coroutine, "_coro");
  auto chain = await_chain(coroutine);
  if (!chain || chain->empty()) return std::nullopt;  // torn, or it has ended
  std::ranges::reverse(*chain);
  auto frames = stacks_.describe(*chain);
  if (!frames) return std::nullopt;
  PythonTaskState state;
  state.address = address;
  state.task.frames = std::move(*frames);
  state.task.name = name_of(address);
  const std::uint64_t qualified =
      read_word(objects_.memory(), plus(coroutine, layout_.generator_qualname));
  state.task.coroutine = objects_.text(qualified).value_or(state.task.frames.back().function);
  state.task.awaits = awaited(field(address, layout_.task_waiter, "_fut_waiter"));
  const std::uint64_t loop = field(address, layout_.task_loop, "_loop");
  state.loop_pthread = objects_.integer(objects_.attribute(loop, "_thread_id")).value_or(0);
  return state;
}

bool PythonTasks::each_listed(std::uint64_t head,
                              const std::function<bool(std::uint64_t)>& visit) const {
  constexpr std::size_t kMaxNodes = 4 * kMaxPythonTasks;
  struct Node {
    std::uint64_t next = 0, previous = 0;
  };
  std::uint64_t before = head;
  std::uint64_t at = read_word(objects_.memory(), head);
  for (std::size_t count = 0; at != head && count < kMaxNodes; ++count) {
    Node node;
    // One that does not point back has just been taken out, or is none.
    if (!plausible_pointer(at) || !objects_.memory().read_value(base::RemoteAddr{at}, node) ||
        node.previous != before) {
      break;
    }
    if (!visit(at - static_cast<std::uint64_t>(layout_.task_node))) return false;
    before = at;
    at = node.next;
  }
  return true;
}

PythonTasks::All PythonTasks::read(std::uint64_t interpreter) {
  All all;
  if (layout_.task_coroutine < 0) return all;
  const std::uint64_t module = python_module(objects_, interpreter, "asyncio.tasks");
  if (module == 0) return all;
  std::unordered_set<std::uint64_t> seen;
  std::size_t frames = 0;
  const auto add = [&](std::uint64_t address) {
    if (!is_task(address) || !seen.insert(address).second) return true;
    if (all.tasks.size() >= kMaxPythonTasks || frames >= kMaxFramesOfAll) {
      ++all.more;
    } else if (auto task = read_at(address)) {
      frames += task->task.frames.size();
      all.tasks.push_back(std::move(*task));
    }
    return true;
  };
  std::uint64_t scheduled = objects_.item(module, "_scheduled_tasks");  // 3.12+
  if (scheduled == 0) scheduled = objects_.item(module, "_all_tasks");
  objects_.each_member(objects_.attribute(scheduled, "data"), [&](std::uint64_t reference) {
    if (!objects_.type_name(reference).starts_with("weakref")) return true;
    return add(read_word(objects_.memory(), plus(reference, layout_.weakref_object)));
  });
  objects_.each_member(objects_.item(module, "_eager_tasks"), add);
  // 3.14: only tasks in Python, or of a derived type, are in what is above.
  std::vector<std::uint64_t> current;
  if (layout_.task_node >= 0) {
    for (const auto& thread : list_python_threads(objects_, {}, interpreter)) {
      each_listed(plus(thread.address, layout_.thread_tasks), add);
      current.push_back(
          read_word(objects_.memory(), plus(thread.address, layout_.thread_current_task)));
    }
    each_listed(plus(interpreter, layout_.interp_tasks), add);
  }
  objects_.each_item(objects_.item(module, "_current_tasks"), [&](std::uint64_t, std::uint64_t at) {
    current.push_back(at);
    return true;
  });
  for (PythonTaskState& state : all.tasks) {
    state.task.current = std::ranges::find(current, state.address) != current.end();
  }
  return all;
}

}  // namespace stucktrace::unwind
