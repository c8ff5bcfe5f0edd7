#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace stucktrace::unwind {

// Field offsets of one CPython version; -1 = the version has no such field. What a field is called
// in CPython stands in scripts/gen_python_offsets.py, which writes the table.
struct PythonLayout {
  int major = 0, minor = 0;
  // Into _PyRuntime (3.7+).
  int runtime_interpreters = -1, runtime_finalizing = -1;
  int runtime_gil_holder = -1, runtime_gil_locked = -1;
  int interp_next = -1, interp_threads = -1, interp_modules = -1;
  int interp_gil = -1;  // a pointer; the two fields below are into what it points to
  int gil_holder = -1, gil_locked = -1;
  int thread_next = -1, thread_interp = -1;
  int thread_frame = -1;  // the frame itself, or the cframe where cframe_frame is set
  int thread_ident = -1, thread_native_id = -1;
  int cframe_frame = -1;
  int frame_previous = -1, frame_code = -1, frame_instruction = -1, frame_locals = -1;
  int frame_owner = -1;
  int code_name = -1, code_filename = -1, code_first_line = -1, code_lines = -1;
  int code_variables = -1;
  int code_instructions = -1;  // the bytes themselves (3.11+), else a bytes object
  int object_type = -1, object_size = -1;
  int type_name = -1, type_flags = -1, type_basic_size = -1, type_dict_offset = -1;
  int type_shared_keys = -1;
  int tuple_items = -1, bytes_data = -1, float_value = -1;
  int long_size = -1, long_digits = -1, int_value = -1;
  int text_length = -1, text_state = -1, text_ascii_data = -1, text_compact_data = -1;
  int text_pointer = -1;
  int dict_keys = -1, dict_values = -1;
  int dict_mask = -1, dict_table = -1;  // 2.7
  int keys_size = -1;                   // up to 3.10: number of slots of the index
  int keys_log2_bytes = -1;             // 3.11+: size of the index
  int keys_kind = -1, keys_count = -1, keys_indices = -1;
  int values_items = -1, module_dict = -1;
  // Up to 3.10 a frame lists its open blocks; from 3.11 on the code's exception table does.
  int frame_value_stack = -1, frame_block_count = -1, frame_blocks = -1;
  int code_names = -1, code_stack_size = -1, code_local_count = -1, code_exceptions = -1;
  int builtin_definition = -1, builtin_self = -1;
  int method_function = -1, method_self = -1, function_code = -1;
  int lock_native = -1;  // the pointer to the sem_t, in recursive locks too
  int lock_mutex = -1;   // 3.14+, and plain locks of later releases of 3.13: the byte in its place
  int rlock_owner = -1, rlock_count = -1;
  int semlock_handle = -1, semlock_owner = -1, semlock_count = -1, semlock_maximum = -1;
  // 3.11: begins a C frame of the interpreter. Later versions put an entry frame there.
  int frame_is_entry = -1;
  // Tasks of asyncio: a WeakSet of them, their coroutines, what those wait for.
  int type_base = -1;
  int set_mask = -1, set_table = -1, weakref_object = -1;
  int generator_frame = -1;  // up to 3.10 a pointer, later the frame itself
  int generator_state = -1;  // 3.11+
  int generator_qualname = -1;
  // Up to 3.9 a pointer behind the topmost value, null while it runs; in 3.10 the number of values
  // on the stack; up to 3.13 the number of locals and values, negative while it runs; later again a
  // pointer behind the topmost value, null while it runs and calls nothing.
  int frame_stack_top = -1;
  int descriptor_name = -1;  // 3.14+: a `with` block has the function on the stack, and the object
  int handle_native = -1;    // 3.13+, of a _thread._ThreadHandle: what a join waits for is in there
  // 3.14+. Heads of the lists of tasks: those of one thread, and those whose thread is gone.
  int thread_tasks = -1, thread_current_task = -1, interp_tasks = -1;
  int interp_gc = -1;           // 3.9+: the collector's data, with the heads of its lists
  int frame_object_frame = -1;  // 3.11+: the frame that a frame object stands for
  int task_loop = -1, task_waiter = -1, task_coroutine = -1, task_name = -1;
  int task_node = -1;  // 3.14+
  // 3.13+: a thread that waits sleeps on a word of its own; so many bytes before it stands the
  // address of the lock or event that it waits for.
  int parked_back = -1;

  int version() const { return major * 100 + minor; }
  bool has_interpreter_frames() const { return version() >= 311; }
  // From 3.14 on the low bits of a reference in a frame tell how it is held; set together they say
  // that it is a small integer and no object. 0 for that.
  std::uint64_t untagged(std::uint64_t reference) const {
    constexpr std::uint64_t kTags = 3;
    if (version() < 314) return reference;
    return (reference & kTags) == kTags ? 0 : reference & ~kTags;
  }
  // Whether the object's count of references includes this one.
  bool is_counted(std::uint64_t reference) const { return version() < 314 || (reference & 3) == 0; }

  bool operator==(const PythonLayout&) const = default;
};

// nullptr: a version whose layout is not known.
const PythonLayout* find_python_layout(int major, int minor);

// What 3.13 and later publish about themselves at the head of _PyRuntime.
struct PythonDebugOffsets {
  std::uint32_t hex_version = 0;  // PY_VERSION_HEX
  bool free_threaded = false;
  // The table's layout with every published offset in place of the table's own; nullopt where these
  // are not plausible or the version's form of publishing is not known.
  std::optional<PythonLayout> layout;
};
inline constexpr std::size_t kPythonDebugOffsetsSize = 896;

// `head`: the first kPythonDebugOffsetsSize bytes of _PyRuntime. nullopt: it publishes nothing.
std::optional<PythonDebugOffsets> parse_python_debug_offsets(std::span<const std::byte> head);

// What the module _asyncio of 3.14 and later publishes in a section of its own.
inline constexpr std::size_t kAsyncioDebugOffsetsSize = 104;
// Puts it in place of the layout's own; false, and nothing changed, where it is not plausible.
bool take_asyncio_offsets(std::span<const std::byte> section, PythonLayout& layout);

}  // namespace stucktrace::unwind
