#include "tracer/unwind/python_layout.h"

#include <algorithm>
#include <cstring>

#include "tracer/base/bytes.h"

namespace stucktrace::unwind {
namespace {

constexpr PythonLayout kLayouts[] = {
#include "tracer/unwind/python_offsets.inc"
};

// The largest offset that is believed: PyInterpreterState holds large tables since 3.12.
constexpr std::uint64_t kLargestInterpreter = 4u << 20;
constexpr std::uint64_t kLargestObject = 4096;

// Position of a field in struct _Py_DebugOffsets of 3.13, in 64-bit words after the cookie, and
// the layout field it stands for. The struct may change between minor versions, not within one.
struct Published {
  int word;
  int PythonLayout::* field;
  std::uint64_t largest;
};
constexpr Published kPublished313[] = {
    {3, &PythonLayout::runtime_finalizing, kLargestInterpreter},
    {4, &PythonLayout::runtime_interpreters, kLargestInterpreter},
    {7, &PythonLayout::interp_next, kLargestInterpreter},
    {8, &PythonLayout::interp_threads, kLargestInterpreter},
    {10, &PythonLayout::interp_modules, kLargestInterpreter},
    {13, &PythonLayout::interp_gil, kLargestInterpreter},
    {20, &PythonLayout::thread_next, kLargestObject},
    {21, &PythonLayout::thread_interp, kLargestObject},
    {22, &PythonLayout::thread_frame, kLargestObject},
    {23, &PythonLayout::thread_ident, kLargestObject},
    {24, &PythonLayout::thread_native_id, kLargestObject},
    {28, &PythonLayout::frame_previous, kLargestObject},
    {29, &PythonLayout::frame_code, kLargestObject},
    {30, &PythonLayout::frame_instruction, kLargestObject},
    {31, &PythonLayout::frame_locals, kLargestObject},
    {32, &PythonLayout::frame_owner, kLargestObject},
    {34, &PythonLayout::code_filename, kLargestObject},
    {35, &PythonLayout::code_name, kLargestObject},
    {37, &PythonLayout::code_lines, kLargestObject},
    {38, &PythonLayout::code_first_line, kLargestObject},
    {40, &PythonLayout::code_variables, kLargestObject},
    {42, &PythonLayout::code_instructions, kLargestObject},
    {44, &PythonLayout::object_type, kLargestObject},
    {46, &PythonLayout::type_name, kLargestObject},
    {48, &PythonLayout::type_flags, kLargestObject},
    {50, &PythonLayout::tuple_items, kLargestObject},
    {56, &PythonLayout::dict_keys, kLargestObject},
    {57, &PythonLayout::dict_values, kLargestObject},
    {59, &PythonLayout::float_value, kLargestObject},
    {61, &PythonLayout::long_size, kLargestObject},
    {62, &PythonLayout::long_digits, kLargestObject},
    {65, &PythonLayout::bytes_data, kLargestObject},
    {67, &PythonLayout::text_state, kLargestObject},
    {68, &PythonLayout::text_length, kLargestObject},
    {69, &PythonLayout::text_ascii_data, kLargestObject},
};

}  // namespace

const PythonLayout* find_python_layout(int major, int minor) {
  const auto* found = std::ranges::find_if(
      kLayouts, [&](const PythonLayout& one) { return one.major == major && one.minor == minor; });
  return found == std::end(kLayouts) ? nullptr : found;
}

std::optional<PythonDebugOffsets> parse_python_debug_offsets(std::span<const std::byte> head) {
  constexpr std::string_view kCookie = "xdebugpy";
  if (head.size() < kPythonDebugOffsetsSize) return std::nullopt;
  if (base::as_text(head.first(kCookie.size())) != kCookie) return std::nullopt;
  const auto word = [&](int index) {
    std::uint64_t value = 0;
    const std::size_t at = kCookie.size() + static_cast<std::size_t>(index) * sizeof value;
    if (at + sizeof value <= head.size()) std::memcpy(&value, head.data() + at, sizeof value);
    return value;
  };
  PythonDebugOffsets result;
  result.hex_version = static_cast<std::uint32_t>(word(0));
  result.free_threaded = word(1) != 0;
  const int major = static_cast<int>(result.hex_version >> 24);
  const int minor = static_cast<int>((result.hex_version >> 16) & 0xff);
  const PythonLayout* known = find_python_layout(major, minor);
  if (known == nullptr || major != 3 || minor != 13) return result;
  PythonLayout layout = *known;
  for (const Published& published : kPublished313) {
    const std::uint64_t value = word(published.word);
    if (value > published.largest) return result;
    layout.*published.field = static_cast<int>(value);
  }
  // Published from the start of the interpreter, for its own GIL; a sub-interpreter's may lie
  // elsewhere, so the table wants them from the start of the GIL.
  constexpr int kGil = 14, kGilLocked = 16, kGilHolder = 17;
  const std::uint64_t locked = word(kGilLocked) - word(kGil),
                      holder = word(kGilHolder) - word(kGil);
  if (locked > kLargestObject || holder > kLargestObject) return result;
  layout.gil_locked = static_cast<int>(locked);
  layout.gil_holder = static_cast<int>(holder);
  result.layout = layout;
  return result;
}

}  // namespace stucktrace::unwind
