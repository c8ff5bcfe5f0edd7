#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/unwind/python_fakes.h"
#include "tracer/unwind/python_image.h"

namespace stucktrace::unwind {

// A healthy interpreter of one version (3.6 to 3.13) in memory: two threads, one of which joins the
// other, and two tasks of asyncio, one of which awaits the other.
class PythonWorld {
 public:
  explicit PythonWorld(int minor) : fake(3, minor), layout_(fake.layout) {
    interpreter = fake.space.allocate(room(
        {layout_.interp_next, layout_.interp_threads, layout_.interp_modules, layout_.interp_gil}));
    const std::uint64_t worker = instance("Thread");
    attributes(worker,
               {{"_name", fake.name("worker")}, {"_ident", number(7)}, {"_tstate_lock", lock()}});
    const std::uint64_t main = thread(join(worker));
    put(main, layout_.thread_next, thread(frame(code("run", "/lib/threading.py", {}), {}, 0)));
    put(interpreter, layout_.interp_threads, main);
    const std::uint64_t active = dict({{"w", worker}});
    put(interpreter, layout_.interp_modules,
        dict({{"threading", module({{"_active", active}})}, {"asyncio.tasks", module(tasks())}}));
    const int head = std::max(layout_.runtime_interpreters, 0);
    runtime = fake.space.allocate(room({head, layout_.runtime_finalizing,
                                        layout_.runtime_gil_holder, layout_.runtime_gil_locked}));
    put(runtime, head, interpreter);
  }

  PythonMappings mappings() const {
    PythonMappings result;
    PythonImage image;
    image.runtime = image.current_thread = image.interpreters = runtime;
    image.finalizing = runtime + 8;
    result.images.push_back(image);
    return result;
  }

  FakePython fake;
  std::uint64_t interpreter = 0, runtime = 0;
  std::vector<std::uint64_t> states;  // of threads
  std::vector<std::uint64_t> task_objects;

 private:
  using Named = std::vector<std::pair<std::string, std::uint64_t>>;

  static std::size_t room(std::initializer_list<int> offsets) {
    return static_cast<std::size_t>(std::max(std::max(offsets), 0)) + 64;
  }
  template <class T>
  void put(std::uint64_t object, int offset, T value) {
    if (offset >= 0) fake.space.put(fake.at(object, offset), value);
  }
  std::uint64_t number(std::uint32_t value) {
    const std::uint64_t object = fake.object("int", 40);
    put(object, layout_.long_size, std::uint64_t{layout_.minor >= 12 ? 8U : 1U});
    put(object, layout_.long_digits, value);
    return object;
  }
  std::uint64_t tuple(const std::vector<std::uint64_t>& items) {
    const std::uint64_t object = fake.object("tuple", 24 + 8 * items.size());
    put(object, layout_.object_size, std::uint64_t{items.size()});
    for (std::size_t i = 0; i < items.size(); ++i) {
      put(object, layout_.tuple_items + static_cast<int>(8 * i), items[i]);
    }
    return object;
  }
  std::uint64_t bytes(std::string_view content) {
    const std::uint64_t object = fake.object("bytes", 48 + content.size());
    put(object, layout_.object_size, std::uint64_t{content.size()});
    fake.space.put_bytes(fake.at(object, layout_.bytes_data), content.data(), content.size());
    return object;
  }
  std::uint64_t dict(const Named& entries) {
    std::vector<FakePython::Entry> all;
    for (const auto& [key, value] : entries) all.push_back({fake.name(key), value});
    return fake.dict(fake.keys(all, layout_.minor >= 11));
  }
  std::uint64_t instance(const std::string& type) {
    const std::uint64_t object = fake.object(type, 64);
    fake.space.put(fake.at(fake.type(type), layout_.type_dict_offset), std::int64_t{24});
    return object;
  }
  void attributes(std::uint64_t object, const Named& entries) { put(object, 24, dict(entries)); }
  std::uint64_t lock() {
    const std::uint64_t object = fake.object("_thread.lock", 40);
    put(object, 0, std::uint64_t{1});
    put(object, layout_.lock_native, fake.space.allocate(32));
    return object;
  }
  std::uint64_t module(const Named& entries) {
    const std::uint64_t object = fake.object("module", 40);
    put(object, layout_.module_dict, dict(entries));
    return object;
  }

  std::uint64_t code(std::string_view name, std::string_view file,
                     const std::vector<std::string>& variables) {
    const std::uint64_t object = fake.object("code", 320);
    put(object, layout_.code_name, fake.name(name));
    put(object, layout_.code_filename, fake.name(file));
    put(object, layout_.code_first_line, std::int32_t{10});
    std::vector<std::uint64_t> names;
    for (const std::string& variable : variables) names.push_back(fake.name(variable));
    put(object, layout_.code_variables, tuple(names));
    put(object, layout_.code_names, tuple({}));
    put(object, layout_.code_stack_size, std::int32_t{4});
    put(object, layout_.code_local_count, static_cast<std::int32_t>(variables.size()));
    if (layout_.has_interpreter_frames()) {
      put(object, layout_.object_size, std::uint64_t{20});
      put(object, layout_.code_lines, bytes(std::string_view{"\x87\0\x87\0\x83\0", 6}));
      put(object, layout_.code_exceptions, bytes(""));
    } else {
      put(object, layout_.code_instructions, bytes(std::string(40, 'x')));
      put(object, layout_.code_lines, bytes(std::string_view{"\x28\0", 2}));
    }
    return object;
  }
  void fill_frame(std::uint64_t address, std::uint64_t code_object,
                  const std::vector<std::uint64_t>& values, std::size_t locals) {
    put(address, layout_.frame_code, code_object);
    const std::uint64_t start = fake.at(code_object, layout_.code_instructions);
    if (layout_.has_interpreter_frames()) {
      put(address, layout_.frame_instruction, start + 4);
    } else {
      put(address, layout_.frame_instruction, std::int32_t{4});
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      put(address, layout_.frame_locals + static_cast<int>(8 * i), values[i]);
    }
    const std::uint64_t stack = fake.at(address, layout_.frame_locals) + 8 * locals;
    put(address, layout_.frame_value_stack, stack);
    const std::size_t on_stack = values.size() - locals;
    if (layout_.has_interpreter_frames()) {
      put(address, layout_.frame_stack_top, static_cast<std::int32_t>(values.size()));
    } else if (layout_.minor == 10) {
      put(address, layout_.frame_stack_top, static_cast<std::int32_t>(on_stack));
    } else {
      put(address, layout_.frame_stack_top, stack + 8 * on_stack);
    }
  }
  std::uint64_t frame(std::uint64_t code_object, const std::vector<std::uint64_t>& locals,
                      std::uint64_t previous) {
    const std::uint64_t address = fake.space.allocate(512);
    fill_frame(address, code_object, locals, locals.size());
    put(address, layout_.frame_previous, previous);
    return address;
  }
  std::uint64_t join(std::uint64_t target) {
    const std::string_view file = "/lib/python3/threading.py";
    const std::uint64_t outer = frame(code("main", "/app.py", {}), {}, 0);
    const std::uint64_t joins = frame(code("join", file, {"self", "timeout"}), {target, 0}, outer);
    if (layout_.minor >= 13) return joins;
    return frame(code("_wait_for_tstate_lock", file, {"self"}), {target}, joins);
  }
  std::uint64_t thread(std::uint64_t innermost) {
    const std::uint64_t state = fake.space.allocate(512);
    put(state, layout_.thread_interp, interpreter);
    put(state, layout_.thread_ident, std::uint64_t{7 + states.size()});
    if (layout_.cframe_frame >= 0) {
      const std::uint64_t cframe = fake.space.allocate(32);
      put(cframe, layout_.cframe_frame, innermost);
      innermost = cframe;
    }
    put(state, layout_.thread_frame, innermost);
    states.push_back(state);
    return state;
  }

  // `awaits`: what is on top of its stack.
  std::uint64_t coroutine(std::string_view name, std::uint64_t awaits) {
    const std::uint64_t object = fake.object("coroutine", 512);
    const std::uint64_t code_object = code(name, "/app.py", {"one"});
    put(object, layout_.generator_qualname, fake.name(name));
    put(object, layout_.generator_state, std::int8_t{-1});
    std::uint64_t at = fake.at(object, layout_.generator_frame);
    if (!layout_.has_interpreter_frames()) {
      at = fake.space.allocate(512);
      put(object, layout_.generator_frame, at);
    }
    fill_frame(at, code_object, {0, awaits}, 1);
    return object;
  }
  std::uint64_t task(std::uint64_t runs, std::uint64_t waiter) {
    const std::uint64_t object = fake.object("_asyncio.Task", 256);
    const std::uint64_t loop = instance("Loop");
    attributes(loop, {{"_thread_id", number(7)}});
    put(object, layout_.task_coroutine, runs);
    put(object, layout_.task_waiter, waiter);
    put(object, layout_.task_loop, loop);
    put(object, layout_.task_name, fake.name("Task-1"));
    task_objects.push_back(object);
    return object;
  }
  Named tasks() {
    if (layout_.task_coroutine < 0) return {};
    const std::uint64_t first =
        task(coroutine("outer", coroutine("inner", 0)), instance("_GatheringFuture"));
    const std::uint64_t second = task(coroutine("other", 0), first);
    const std::uint64_t set = fake.object("set", 256);
    constexpr std::uint64_t kSlots = 8;
    const std::uint64_t table = fake.space.allocate(kSlots * 16);
    put(set, layout_.set_mask, kSlots - 1);
    put(set, layout_.set_table, table);
    int slot = 0;
    for (const std::uint64_t one : {first, second}) {
      const std::uint64_t reference = fake.object("weakref", 64);
      put(reference, layout_.weakref_object, one);
      put(table, 16 * 3 * slot++, reference);
    }
    const std::uint64_t known = instance("WeakSet");
    attributes(known, {{"data", set}});
    return {{layout_.minor >= 12 ? "_scheduled_tasks" : "_all_tasks", known}};
  }

  const PythonLayout& layout_;
};

}  // namespace stucktrace::unwind
