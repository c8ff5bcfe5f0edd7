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

// Position of a field in struct _Py_DebugOffsets, in 64-bit words after the cookie, and the layout
// field it stands for. The struct may change between minor versions, not within one.
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
    {9, &PythonLayout::interp_gc, kLargestInterpreter},
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

constexpr Published kPublished314[] = {
    {3, &PythonLayout::runtime_finalizing, kLargestInterpreter},
    {4, &PythonLayout::runtime_interpreters, kLargestInterpreter},
    {7, &PythonLayout::interp_next, kLargestInterpreter},
    {8, &PythonLayout::interp_threads, kLargestInterpreter},
    {10, &PythonLayout::interp_gc, kLargestInterpreter},
    {11, &PythonLayout::interp_modules, kLargestInterpreter},
    {14, &PythonLayout::interp_gil, kLargestInterpreter},
    {23, &PythonLayout::thread_next, kLargestObject},
    {24, &PythonLayout::thread_interp, kLargestObject},
    {25, &PythonLayout::thread_frame, kLargestObject},
    {26, &PythonLayout::thread_ident, kLargestObject},
    {27, &PythonLayout::thread_native_id, kLargestObject},
    {31, &PythonLayout::frame_previous, kLargestObject},
    {32, &PythonLayout::frame_code, kLargestObject},
    {33, &PythonLayout::frame_instruction, kLargestObject},
    {34, &PythonLayout::frame_locals, kLargestObject},
    {35, &PythonLayout::frame_owner, kLargestObject},
    {36, &PythonLayout::frame_stack_top, kLargestObject},
    {39, &PythonLayout::code_filename, kLargestObject},
    {40, &PythonLayout::code_name, kLargestObject},
    {42, &PythonLayout::code_lines, kLargestObject},
    {43, &PythonLayout::code_first_line, kLargestObject},
    {45, &PythonLayout::code_variables, kLargestObject},
    {47, &PythonLayout::code_instructions, kLargestObject},
    {50, &PythonLayout::object_type, kLargestObject},
    {52, &PythonLayout::type_name, kLargestObject},
    {54, &PythonLayout::type_flags, kLargestObject},
    {56, &PythonLayout::tuple_items, kLargestObject},
    {57, &PythonLayout::object_size, kLargestObject},
    {63, &PythonLayout::set_table, kLargestObject},
    {64, &PythonLayout::set_mask, kLargestObject},
    {66, &PythonLayout::dict_keys, kLargestObject},
    {67, &PythonLayout::dict_values, kLargestObject},
    {69, &PythonLayout::float_value, kLargestObject},
    {71, &PythonLayout::long_size, kLargestObject},
    {72, &PythonLayout::long_digits, kLargestObject},
    {75, &PythonLayout::bytes_data, kLargestObject},
    {77, &PythonLayout::text_state, kLargestObject},
    {78, &PythonLayout::text_length, kLargestObject},
    {79, &PythonLayout::text_ascii_data, kLargestObject},
    {84, &PythonLayout::generator_frame, kLargestObject},
    {85, &PythonLayout::generator_state, kLargestObject},
};

constexpr Published kPublished315[] = {
    {3, &PythonLayout::runtime_finalizing, kLargestInterpreter},
    {4, &PythonLayout::runtime_interpreters, kLargestInterpreter},
    {7, &PythonLayout::interp_next, kLargestInterpreter},
    {8, &PythonLayout::interp_threads, kLargestInterpreter},
    {10, &PythonLayout::interp_gc, kLargestInterpreter},
    {11, &PythonLayout::interp_modules, kLargestInterpreter},
    {14, &PythonLayout::interp_gil, kLargestInterpreter},
    {23, &PythonLayout::thread_next, kLargestObject},
    {24, &PythonLayout::thread_interp, kLargestObject},
    {25, &PythonLayout::thread_frame, kLargestObject},
    {29, &PythonLayout::thread_ident, kLargestObject},
    {30, &PythonLayout::thread_native_id, kLargestObject},
    {39, &PythonLayout::frame_previous, kLargestObject},
    {40, &PythonLayout::frame_code, kLargestObject},
    {41, &PythonLayout::frame_instruction, kLargestObject},
    {42, &PythonLayout::frame_locals, kLargestObject},
    {43, &PythonLayout::frame_owner, kLargestObject},
    {44, &PythonLayout::frame_stack_top, kLargestObject},
    {47, &PythonLayout::code_filename, kLargestObject},
    {48, &PythonLayout::code_name, kLargestObject},
    {50, &PythonLayout::code_lines, kLargestObject},
    {51, &PythonLayout::code_first_line, kLargestObject},
    {53, &PythonLayout::code_variables, kLargestObject},
    {55, &PythonLayout::code_instructions, kLargestObject},
    {58, &PythonLayout::object_type, kLargestObject},
    {60, &PythonLayout::type_name, kLargestObject},
    {62, &PythonLayout::type_flags, kLargestObject},
    {63, &PythonLayout::type_basic_size, kLargestObject},
    {64, &PythonLayout::type_dict_offset, kLargestObject},
    {66, &PythonLayout::type_shared_keys, kLargestObject},
    {68, &PythonLayout::tuple_items, kLargestObject},
    {69, &PythonLayout::object_size, kLargestObject},
    {75, &PythonLayout::set_table, kLargestObject},
    {76, &PythonLayout::set_mask, kLargestObject},
    {78, &PythonLayout::dict_keys, kLargestObject},
    {79, &PythonLayout::dict_values, kLargestObject},
    {81, &PythonLayout::float_value, kLargestObject},
    {83, &PythonLayout::long_size, kLargestObject},
    {84, &PythonLayout::long_digits, kLargestObject},
    {87, &PythonLayout::bytes_data, kLargestObject},
    {89, &PythonLayout::text_state, kLargestObject},
    {90, &PythonLayout::text_length, kLargestObject},
    {91, &PythonLayout::text_ascii_data, kLargestObject},
    {100, &PythonLayout::generator_frame, kLargestObject},
    {101, &PythonLayout::generator_state, kLargestObject},
};

// What stands at some of the positions in every build with the GIL. A form with one word more or
// less, or another kind of build, has something else there.
struct Expected {
  int word;
  std::uint64_t value;
};
constexpr Expected kExpected314[] = {
    {16, 0},                                  // gil enabled, of builds that can do without
    {20, 0},  {37, 0},   {48, 0},             // bytecode of a thread's own, likewise
    {49, 16}, {50, 8},                        // object
    {52, 24}, {54, 168},                      // type
    {57, 16}, {59, 24},  {60, 16},            // tuple, list
    {69, 16}, {71, 16},  {72, 24},            // float, int
    {74, 16}, {75, 32},                       // bytes
    {76, 64}, {77, 32},  {78, 16}, {79, 40},  // str
    {86, 0},  {87, 8},                        // node of a list
};
constexpr Expected kExpected315[] = {
    {16, 0},                                             // gil enabled
    {20, 0},  {45, 0},   {56, 0},                        // bytecode of a thread's own
    {57, 16}, {58, 8},                                   // object
    {60, 24}, {62, 168}, {64, 288},                      // type
    {69, 16}, {71, 24},  {72, 16},                       // tuple, list
    {81, 16}, {83, 16},  {84, 24},                       // float, int
    {86, 16}, {87, 32},                                  // bytes
    {88, 64}, {89, 32},  {90, 16},  {91, 40}, {92, 56},  // str
    {102, 0}, {103, 8},                                  // node of a list
};
// A field must lie inside the struct whose size is published at `size`.
struct Inside {
  int size, first, last;
};
constexpr Inside kInside314[] = {{2, 3, 4},    {5, 6, 8},    {5, 10, 15},  {5, 17, 18},
                                 {21, 22, 29}, {30, 31, 36}, {38, 39, 47}, {82, 83, 85}};
constexpr Inside kInside315[] = {{2, 3, 4},    {5, 6, 8},    {5, 10, 15},  {5, 17, 18},
                                 {21, 22, 36}, {38, 39, 44}, {46, 47, 55}, {98, 99, 101}};

// How one version publishes.
struct Form {
  int minor;
  std::uint32_t first;  // PY_VERSION_HEX of the first release that does it this way
  std::span<const Published> published;
  std::span<const Expected> expected;
  std::span<const Inside> inside;
  int text_size;  // the word with the size of a str
};
// The form of publishing, and of text, was another one in the alphas.
constexpr Form kForm314{14, 0x030e00b1, kPublished314, kExpected314, kInside314, 76};
constexpr Form kForm315{15, 0x030f00b1, kPublished315, kExpected315, kInside315, 88};

constexpr std::string_view kCookie = "xdebugpy";

class Words {
 public:
  explicit Words(std::span<const std::byte> words) : head_(words) {}
  std::uint64_t operator[](int index) const {
    std::uint64_t value = 0;
    const std::size_t at = static_cast<std::size_t>(index) * sizeof value;
    if (at + sizeof value <= head_.size()) std::memcpy(&value, head_.data() + at, sizeof value);
    return value;
  }

 private:
  std::span<const std::byte> head_;
};

bool take(const Words& words, std::span<const Published> all, PythonLayout& layout) {
  for (const Published& published : all) {
    const std::uint64_t value = words[published.word];
    if (value > published.largest) return false;
    layout.*published.field = static_cast<int>(value);
  }
  return true;
}

// Published from the start of the interpreter, for its own GIL; a sub-interpreter's may lie
// elsewhere, so the table wants them from the start of the GIL.
bool take_gil(const Words& words, int gil, PythonLayout& layout) {
  const std::uint64_t locked = words[gil + 2] - words[gil], holder = words[gil + 3] - words[gil];
  if (locked > kLargestObject || holder > kLargestObject) return false;
  layout.gil_locked = static_cast<int>(locked);
  layout.gil_holder = static_cast<int>(holder);
  return true;
}

std::optional<PythonLayout> layout_313(const Words& words) {
  PythonLayout layout = *find_python_layout(3, 13);
  if (!take(words, kPublished313, layout) || !take_gil(words, 14, layout)) return std::nullopt;
  return layout;
}

std::optional<PythonLayout> layout_of(const Form& form, const Words& words) {
  if (words[0] < form.first) return std::nullopt;
  const bool as_expected = std::ranges::all_of(
      form.expected, [&](const Expected& one) { return words[one.word] == one.value; });
  if (!as_expected) return std::nullopt;
  for (const Inside& part : form.inside) {
    for (int field = part.first; field <= part.last; ++field) {
      if (words[field] >= words[part.size]) return std::nullopt;
    }
  }
  constexpr int kGil = 15;
  PythonLayout layout = *find_python_layout(3, form.minor);
  if (!take(words, form.published, layout) || !take_gil(words, kGil, layout)) return std::nullopt;
  // A str with wider characters has them behind its UTF-8 form, one of a derived type a pointer to
  // them there.
  layout.text_compact_data = layout.text_pointer = static_cast<int>(words[form.text_size]) - 8;
  return layout;
}

}  // namespace

const PythonLayout* find_python_layout(int major, int minor) {
  const auto* found = std::ranges::find_if(
      kLayouts, [&](const PythonLayout& one) { return one.major == major && one.minor == minor; });
  return found == std::end(kLayouts) ? nullptr : found;
}

std::optional<PythonDebugOffsets> parse_python_debug_offsets(std::span<const std::byte> head) {
  if (head.size() < kPythonDebugOffsetsSize) return std::nullopt;
  if (base::as_text(head.first(kCookie.size())) != kCookie) return std::nullopt;
  const Words words{head.subspan(kCookie.size())};
  PythonDebugOffsets result;
  result.hex_version = static_cast<std::uint32_t>(words[0]);
  result.free_threaded = words[1] != 0;
  if (result.free_threaded) return result;
  constexpr std::uint32_t k313 = 0x030d, k314 = 0x030e, k315 = 0x030f;
  switch (result.hex_version >> 16) {
    case k313:
      result.layout = layout_313(words);
      break;
    case k314:
      result.layout = layout_of(kForm314, words);
      break;
    case k315:
      result.layout = layout_of(kForm315, words);
      break;
    default:
      break;
  }
  return result;
}

bool take_asyncio_offsets(std::span<const std::byte> section, PythonLayout& layout) {
  if (section.size() < kAsyncioDebugOffsetsSize) return false;
  // Each group begins with the size of its struct: task, interpreter, thread.
  static constexpr Published kAsyncio[] = {
      {1, &PythonLayout::task_name, kLargestObject},
      {5, &PythonLayout::task_coroutine, kLargestObject},
      {6, &PythonLayout::task_node, kLargestObject},
      {8, &PythonLayout::interp_tasks, kLargestInterpreter},
      {11, &PythonLayout::thread_current_task, kLargestObject},
      {12, &PythonLayout::thread_tasks, kLargestObject},
  };
  static constexpr Inside kStructs[] = {{0, 1, 6}, {7, 8, 8}, {9, 10, 12}};
  const Words words{section};
  for (const Inside& part : kStructs) {
    for (int field = part.first; field <= part.last; ++field) {
      if (words[field] >= words[part.size]) return false;
    }
  }
  PythonLayout taken = layout;
  if (!take(words, kAsyncio, taken)) return false;
  layout = taken;
  return true;
}

}  // namespace stucktrace::unwind
