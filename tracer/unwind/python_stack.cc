#include "tracer/unwind/python_stack.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "tracer/unwind/python_lines.h"
#include "tracer/unwind/python_memory.h"

namespace stucktrace::unwind {
namespace {

constexpr std::size_t kMaxLineTable = 1u << 20;
constexpr std::size_t kMaxVariables = 4096;
// A longer walk over frames that are never shown is no walk of a healthy stack.
constexpr std::size_t kMaxSteps = kMaxPythonFrames * 4;

// _PyInterpreterFrame.owner: 0 thread, 1 generator, 2 frame object, 3 an entry frame on the C
// stack; in 3.14 that is 3 or 4.
constexpr std::uint8_t kOwnedByCStack = 3;
std::uint8_t last_owner(const PythonLayout& layout) {
  return layout.version() == 314 ? 4 : kOwnedByCStack;
}

// Standard-library functions that wait in a loop until a time they keep in a local.
struct TimedWait {
  std::string_view file;  // how the source's path ends
  std::string_view function;
  std::string_view variable;
};
constexpr TimedWait kTimedWaits[] = {
    {"/multiprocessing/connection.py", "wait", "deadline"},
    {"/multiprocessing/forking.py", "wait", "deadline"},
    {"/multiprocessing/managers.py", "wait_for", "endtime"},
    {"/multiprocessing/queues.py", "get", "deadline"},
    {"/multiprocessing/synchronize.py", "wait_for", "endtime"},
    {"/concurrent/futures/_base.py", "as_completed", "end_time"},
    {"/Queue.py", "get", "endtime"},
    {"/Queue.py", "put", "endtime"},
    {"/queue.py", "get", "endtime"},
    {"/queue.py", "put", "endtime"},
    {"/socketserver.py", "handle_request", "deadline"},
    {"/subprocess.py", "_communicate", "endtime"},
    {"/subprocess.py", "_wait", "endtime"},
    {"/subprocess.py", "communicate", "endtime"},
    {"/subprocess.py", "wait", "endtime"},
    {"/threading.py", "join", "deadline"},
    {"/threading.py", "wait", "endtime"},
    {"/threading.py", "wait_for", "endtime"},
};

std::uint64_t plus(std::uint64_t address, int offset) {
  return address + static_cast<std::uint64_t>(offset);
}

}  // namespace

PythonStacks::PythonStacks(const PythonObjects& objects)
    : objects_(objects), layout_(objects.layout()) {}

std::optional<PythonLink> PythonStacks::link(const RemoteRecord& frame,
                                             std::uint64_t address) const {
  PythonLink result;
  result.frame = address;
  result.code = layout_.untagged(frame.word(layout_.frame_code));
  result.entry =
      !layout_.has_interpreter_frames() ||
      (layout_.frame_is_entry >= 0 && frame.at<std::uint8_t>(layout_.frame_is_entry) != 0);
  if (!objects_.is_a(result.code, "code")) return std::nullopt;
  if (!layout_.has_interpreter_frames()) {
    const auto last = frame.at<std::int32_t>(layout_.frame_instruction);
    // 3.10 counts code units of two bytes.
    result.offset = layout_.version() == 310 && last > 0 ? std::int64_t{last} * 2 : last;
    return result;
  }
  const std::uint64_t start = plus(result.code, layout_.code_instructions);
  result.offset = static_cast<std::int64_t>(frame.word(layout_.frame_instruction) - start);
  // Before the first instruction: one unit back (prev_instr of 3.11 and 3.12).
  constexpr std::int64_t kUnit = 2, kLargest = 1 << 30;
  if (result.offset < -kUnit || result.offset > kLargest || result.offset % kUnit != 0) {
    return std::nullopt;
  }
  return result;
}

int PythonStacks::last_frame_field() const {
  return std::max({layout_.frame_previous, layout_.frame_code, layout_.frame_instruction,
                   layout_.frame_owner, layout_.frame_is_entry});
}

std::optional<PythonLink> PythonStacks::at_rest(std::uint64_t frame) const {
  const auto copy =
      RemoteRecord::read(objects_.memory(), frame, static_cast<std::size_t>(last_frame_field()) + 8,
                         static_cast<std::size_t>(last_frame_field()) + 1);
  return copy ? link(*copy, frame) : std::nullopt;
}

std::optional<std::vector<PythonLink>> PythonStacks::chain(std::uint64_t thread_state) const {
  const auto& memory = objects_.memory();
  std::uint64_t at = read_word(memory, plus(thread_state, layout_.thread_frame));
  if (layout_.cframe_frame >= 0) {
    if (at == 0) return std::nullopt;
    at = read_word(memory, plus(at, layout_.cframe_frame));
  }
  return walk(at, Entry::kLeaveOut);
}

std::optional<std::vector<PythonLink>> PythonStacks::suspended(std::uint64_t frame) const {
  return walk(frame, Entry::kEnd);
}

std::optional<std::vector<PythonLink>> PythonStacks::walk(std::uint64_t frame_address,
                                                          Entry at_entry) const {
  const auto& memory = objects_.memory();
  std::uint64_t at = frame_address;
  const int last_field = last_frame_field();
  std::vector<PythonLink> links;
  std::unordered_set<std::uint64_t> seen;
  while (at != 0 && links.size() < kMaxPythonFrames) {
    if (!seen.insert(at).second || seen.size() > kMaxSteps) return std::nullopt;
    const auto frame = RemoteRecord::read(memory, at, static_cast<std::size_t>(last_field) + 8,
                                          static_cast<std::size_t>(last_field) + 1);
    if (!frame) return std::nullopt;
    const auto owner =
        layout_.frame_owner < 0 ? std::uint8_t{0} : frame->at<std::uint8_t>(layout_.frame_owner);
    if (owner > last_owner(layout_)) return std::nullopt;
    if (owner < kOwnedByCStack) {
      const auto one = link(*frame, at);
      if (!one) return std::nullopt;
      // A 3.11+ frame that has not reached its first traceable instruction is not on any traceback
      // either; where it stands is before its code.
      if (!layout_.has_interpreter_frames() || one->offset >= 0) links.push_back(*one);
    } else {
      if (!links.empty()) links.back().entry = true;
      if (at_entry == Entry::kEnd) break;
    }
    at = frame->word(layout_.frame_previous);
  }
  return links;
}

std::optional<PythonStacks::Code> PythonStacks::read_code(std::uint64_t address) const {
  const int last_field =
      std::max({layout_.code_name, layout_.code_filename, layout_.code_first_line,
                layout_.code_lines, layout_.code_variables, layout_.code_instructions});
  const auto copy =
      RemoteRecord::read(objects_.memory(), address, static_cast<std::size_t>(last_field) + 8);
  if (!copy) return std::nullopt;
  const auto name = objects_.text(copy->word(layout_.code_name));
  const auto file = objects_.text(copy->word(layout_.code_filename));
  auto lines = objects_.bytes(copy->word(layout_.code_lines), kMaxLineTable);
  if (!name || name->empty() || !file || !lines) return std::nullopt;
  Code code;
  code.name = *name;
  code.file = *file;
  code.first_line = copy->at<std::int32_t>(layout_.code_first_line);
  code.lines = std::move(*lines);
  code.variables = copy->word(layout_.code_variables);
  if (layout_.has_interpreter_frames()) {
    code.size = copy->word(layout_.object_size) * 2;
  } else {
    const std::uint64_t instructions = copy->word(layout_.code_instructions);
    code.size = read_word(objects_.memory(), plus(instructions, layout_.object_size));
  }
  return code;
}

const PythonStacks::Code* PythonStacks::code(std::uint64_t address) {
  if (const auto known = codes_.find(address); known != codes_.end()) return &known->second;
  auto read = read_code(address);
  if (!read) return nullptr;
  return &codes_.emplace(address, std::move(*read)).first->second;
}

std::optional<std::vector<model::PythonFrame>> PythonStacks::describe(
    std::span<const PythonLink> chain) {
  const LineTableKind kind = line_table_kind(layout_.major, layout_.minor);
  std::vector<model::PythonFrame> frames;
  frames.reserve(chain.size());
  for (const PythonLink& one : chain) {
    const Code* code_here = code(one.code);
    if (code_here == nullptr) return std::nullopt;
    if (one.offset >= 0 && static_cast<std::uint64_t>(one.offset) >= code_here->size) {
      return std::nullopt;
    }
    const auto line = line_at(kind, code_here->lines, code_here->first_line, one.offset);
    frames.push_back({code_here->name, code_here->file, line.value_or(0), one.entry});
  }
  return frames;
}

std::uint64_t PythonStacks::local(const PythonLink& link, std::string_view variable) {
  const Code* code_here = code(link.code);
  const auto names =
      code_here == nullptr ? std::nullopt : objects_.tuple(code_here->variables, kMaxVariables);
  if (!names) return 0;
  for (std::size_t index = 0; index < names->size(); ++index) {
    if (objects_.text((*names)[index]) != variable) continue;
    return layout_.untagged(
        read_word(objects_.memory(), plus(link.frame, layout_.frame_locals) + 8 * index));
  }
  return 0;
}

std::optional<double> PythonStacks::deadline(std::span<const PythonLink> chain) {
  for (const PythonLink& one : chain) {
    const Code* code_here = code(one.code);
    if (code_here == nullptr) return std::nullopt;
    for (const TimedWait& wait : kTimedWaits) {
      if (code_here->name != wait.function || !code_here->file.ends_with(wait.file)) continue;
      const auto found = objects_.real(local(one, wait.variable));
      if (found && std::isfinite(*found)) return found;
    }
  }
  return std::nullopt;
}

}  // namespace stucktrace::unwind
