#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/unwind/python_fakes.h"
#include "tracer/unwind/python_image.h"

namespace stucktrace::unwind {

// A healthy interpreter of one version (3.6 to 3.15) in memory: two threads, one of which joins the
// other, two tasks of asyncio, one of which awaits the other, and (from 3.9 on) a greenlet.
// From 3.13 on a third thread waits for a lock, which (3.14) the one that is joined holds.
class PythonWorld {
 public:
  explicit PythonWorld(int minor) : fake(3, minor), layout_(fake.layout) {
    interpreter = fake.space.allocate(
        room({layout_.interp_next, layout_.interp_threads, layout_.interp_modules,
              layout_.interp_gil, layout_.interp_tasks, layout_.interp_gc + 256}));
    begin_list(interpreter, layout_.interp_tasks);
    for (const int list : kLists) {
      begin_list(interpreter, layout_.interp_gc < 0 ? -1 : layout_.interp_gc + list);
    }
    const std::uint64_t worker = instance("Thread");
    attributes(worker, {{"_name", fake.name("worker")},
                        {"_ident", number(7)},
                        {layout_.minor < 13 ? "_tstate_lock" : "_other", lock()},
                        {layout_.minor < 14 ? "_handle" : "_os_thread_handle", handle()}});
    const std::uint64_t main = thread(join(worker));
    if (layout_.parked_back < 0) {
      put(main, layout_.thread_next, thread(frame(code("run", "/lib/threading.py", {}), {}, 0)));
    } else {
      contended = lock();
      put(contended, layout_.lock_mutex, std::uint8_t{3});  // taken, and somebody waits
      const bool holds = layout_.descriptor_name >= 0;
      const std::uint64_t holder =
          thread(holds ? hold(contended) : frame(code("run", "/lib/threading.py", {}), {}, 0));
      put(main, layout_.thread_next, holder);
      put(holder, layout_.thread_next, thread(take(contended)));
    }
    put(interpreter, layout_.interp_threads, main);
    const std::uint64_t active = dict({{"w", worker}});
    put(interpreter, layout_.interp_modules,
        dict({{"threading", module({{"_active", active}})},
              {"asyncio.tasks", module(tasks())},
              {"greenlet", module({{"greenlet", greenlet_type()}})}}));
    if (layout_.interp_gc >= 0) {
      greenlet = suspended_greenlet();
      const std::uint64_t list = fake.at(interpreter, layout_.interp_gc + kLists[1]);
      append(list, module({}) - 16);
      append(list, greenlet - 16);
    }
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
  // 3.13+. What the thread that joins sleeps on, and the one that waits for the lock.
  std::uint64_t futex = 0, lock_futex = 0;
  std::uint64_t contended = 0;      // the lock, an object
  std::uint64_t holder_values = 0;  // of the frame with the block: a local, the function, the lock
  std::vector<std::uint64_t> task_objects;
  std::uint64_t greenlet = 0;  // where the version has it
  std::uint64_t greenlet_state = 0;

 private:
  static constexpr int kLists[] = {12, 36, 60, 100};  // of the collector's objects
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
    const std::uint64_t object = fake.object("tuple", 40 + 8 * items.size());
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
    put(fake.type("_thread.lock"), layout_.type_basic_size,
        std::uint64_t{layout_.lock_mutex < 0 ? 40U : 24U});
    put(object, 0, std::uint64_t{1});
    put(object, layout_.lock_native, fake.space.allocate(32));
    return object;
  }
  // What a join waits for, and a thread that does so.
  std::uint64_t handle() {
    const std::uint64_t object = fake.object("_thread._ThreadHandle", 32);
    const std::uint64_t native = fake.space.allocate(64);
    put(object, layout_.handle_native, native);
    futex = parked_for(native + 44);
    return object;
  }
  // The word that a thread sleeps on which waits for what is at `address`.
  std::uint64_t parked_for(std::uint64_t address) {
    if (layout_.parked_back < 0) return 0;
    const std::uint64_t word = fake.space.allocate(64) + 32;
    fake.space.put(word - static_cast<std::uint64_t>(layout_.parked_back), address);
    return word;
  }
  // A frame inside of "with lock:", and one that waits at such a block.
  std::uint64_t hold(std::uint64_t object) {
    const std::uint64_t exit = fake.object("method_descriptor", 64);
    put(exit, layout_.descriptor_name, fake.name("__exit__"));
    const std::uint64_t address = fake.space.allocate(512);
    // Every unit has a handler that keeps the two values of the block.
    const std::string_view handlers{"\x80\x0a\x0c\x05", 4};
    fill_frame(address, code("hold", "/app.py", {"one"}, handlers), {object, exit, object}, 1);
    holder_values = fake.at(address, layout_.frame_locals);
    return address;
  }
  std::uint64_t take(std::uint64_t object) {
    lock_futex = parked_for(fake.at(object, layout_.lock_mutex));
    return frame(code("take", "/app.py", {"one"}), {object}, 0);
  }
  // A list without nodes, and one more node at its end.
  void begin_list(std::uint64_t object, int offset) {
    put(object, offset, fake.at(object, offset));
    put(object, offset < 0 ? offset : offset + 8, fake.at(object, offset));
  }
  void append(std::uint64_t head, std::uint64_t node) {
    std::uint64_t last = 0;
    fake.space.read_value(base::RemoteAddr{head + 8}, last);
    fake.space.put(node, head);
    fake.space.put(node + 8, last);
    fake.space.put(last, node);
    fake.space.put(head + 8, node);
  }
  std::uint64_t module(const Named& entries) {
    const std::uint64_t object = fake.object("module", 40);
    put(object, layout_.module_dict, dict(entries));
    return object;
  }

  std::uint64_t code(std::string_view name, std::string_view file,
                     const std::vector<std::string>& variables, std::string_view handlers = {}) {
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
      put(object, layout_.code_exceptions, bytes(handlers));
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
    if (layout_.minor == 10) {
      put(address, layout_.frame_stack_top, static_cast<std::int32_t>(on_stack));
    } else if (layout_.minor < 10 || layout_.minor >= 14) {
      put(address, layout_.frame_stack_top, stack + 8 * on_stack);
    } else {
      put(address, layout_.frame_stack_top, static_cast<std::int32_t>(values.size()));
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
    const std::uint64_t state = fake.space.allocate(
        std::max<std::size_t>(512, room({layout_.thread_tasks, layout_.thread_current_task})));
    begin_list(state, layout_.thread_tasks);
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
    put(object, layout_.generator_state, layout_.minor < 15 ? std::int8_t{-1} : std::int8_t{2});
    std::uint64_t at = fake.at(object, layout_.generator_frame);
    if (!layout_.has_interpreter_frames()) {
      at = fake.space.allocate(512);
      put(object, layout_.generator_frame, at);
    }
    std::vector<std::uint64_t> values{0, awaits};
    if (layout_.minor >= 15) values.push_back(1);
    fill_frame(at, code_object, values, 1);
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
    // One in the list of its thread, the other in that of tasks whose thread is gone.
    if (layout_.task_node >= 0) {
      const std::uint64_t head = task_objects.empty()
                                     ? fake.at(states.front(), layout_.thread_tasks)
                                     : fake.at(interpreter, layout_.interp_tasks);
      append(head, fake.at(object, layout_.task_node));
    }
    task_objects.push_back(object);
    return object;
  }
  std::uint64_t greenlet_type() {
    const std::uint64_t type = fake.type("greenlet.greenlet");
    put(type, layout_.type_basic_size, std::uint64_t{40});
    put(fake.type("gevent.Greenlet"), layout_.type_base, type);
    return type;
  }
  std::uint64_t suspended_greenlet() {
    const std::uint64_t outer = frame(code("serve", "/app.py", {}), {}, 0);
    std::uint64_t at = frame(code("get", "/app.py", {}), {}, outer);
    if (layout_.frame_object_frame < 0) {
      put(at, layout_.object_type, fake.type("frame"));
    } else {
      const std::uint64_t object = fake.object("frame", 64);
      put(object, layout_.frame_object_frame, at);
      at = object;
    }
    const std::uint64_t object = fake.object("gevent.Greenlet", 96);
    greenlet_state = fake.space.allocate(256);
    put(object, 32, greenlet_state);
    put(greenlet_state, 96, at);
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
      if (layout_.task_node >= 0) break;
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
