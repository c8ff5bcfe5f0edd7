#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "python_fakes.h"
#include "tracer/unwind/java_tables.h"

namespace stucktrace::unwind {

// Builds a Java virtual machine with its tables in a FakeSpace. The offsets are no real version's:
// they are to be found in the tables.
class FakeJava {
 public:
  enum class Kind {
    kOld,     // JDK 8: chained threads, objects named directly, fields in slots
    kMiddle,  // JDK 17: array of threads, monitors name a thread or its stack, fields in slots
    kRecent,  // JDK 25: monitors name a number, lock stacks, fields in a stream
  };
  struct Options {
    bool compressed = true;  // references and classes
    bool coloured = false;   // UseZGC
  };

  explicit FakeJava(Kind kind) : FakeJava(kind, Options{true, false}) {}
  FakeJava(Kind kind, Options options) : kind_(kind), options_(options) {
    describe_threads();
    describe_objects();
    object_class = klass("java/lang/Object", 0, {});
    thread_class = klass("java/lang/Thread", object_class, {{"name", 12}, {"parkBlocker", 24}});
    synchronizer_class = klass("java/util/concurrent/locks/AbstractOwnableSynchronizer",
                               object_class, {{"exclusiveOwnerThread", 16}});
    lock_class = klass("java/util/concurrent/locks/ReentrantLock$NonfairSync", synchronizer_class,
                       {{"state", 24}});
  }

  // -- the program

  struct Thread {
    std::uint64_t address, object, stack_base;
  };
  Thread& thread(std::int32_t number, bool blocked = true) {
    Thread made{space.allocate(512), object(thread_class), 0};
    made.stack_base = space.allocate(4096) + 4096;
    const std::uint64_t system = space.allocate(64);
    space.put(system + 8, number);
    space.put(made.address + kSystem, system);
    space.put(made.address + kStackBase, made.stack_base);
    space.put(made.address + kStackSize, std::uint64_t{4096});
    space.put(made.address + kState, blocked ? kBlocked : kBlocked + 1);
    space.put(made.address + kThreadObject, named(made.object));
    space.put(made.address + kMonitorId, std::int64_t{number} + 1000);
    space.put(made.address + kLockStack, kLockStack + 8);
    threads_.push_back(made);
    return threads_.back();
  }
  std::uint64_t object(std::uint64_t klass) {
    const std::uint64_t made = space.allocate(64);
    space.put(made, std::uint64_t{1});  // mark: unlocked
    if (options_.compressed) {
      space.put(made + 8, static_cast<std::uint32_t>(klass >> kClassShift));
    } else {
      space.put(made + 8, klass);
    }
    return made;
  }
  std::uint64_t monitor(std::uint64_t object, std::uint64_t owner) {
    const std::uint64_t made = space.allocate(128);
    space.put(made + kMonitorObject, named(object));
    space.put(made + kMonitorOwner, owner);
    return made;
  }
  void wants(const Thread& thread, std::uint64_t monitor) {
    space.put(thread.address + kWanted, monitor);
  }
  void parks(const Thread& thread, std::uint64_t blocker) { refer(thread.object, 24, blocker); }
  std::uint64_t lock(std::uint64_t owner_object) {
    const std::uint64_t made = object(lock_class);
    refer(made, 16, owner_object);
    return made;
  }
  void refer(std::uint64_t object, std::uint64_t offset, std::uint64_t to) {
    if (options_.compressed) {
      space.put(object + offset, static_cast<std::uint32_t>(to >> kOopShift));
    } else {
      space.put(object + offset, to);
    }
  }
  void push_locked(const Thread& thread, std::uint64_t object) {
    space.put(thread.address + kLockStack + 8, object);
    space.put(thread.address + kLockStack, kLockStack + 16);
  }

  // -- the tables

  void finish() {
    put_threads();
    std::vector<std::vector<std::uint64_t>> rows;
    for (const auto& [name, field] : fields) {
      const std::size_t split = name.find("::");
      rows.push_back({text(name.substr(0, split)), text(name.substr(split + 2)), text(field.type),
                      field.is_static ? 1u : 0u, field.offset, field.address});
    }
    table("gHotSpotVMStructs", "gHotSpotVMStructEntry",
          {"TypeNameOffset", "FieldNameOffset", "TypeStringOffset", "IsStaticOffset",
           "OffsetOffset", "AddressOffset"},
          rows);
    rows.clear();
    for (const auto& [name, size] : sizes) rows.push_back({text(name), size});
    table("gHotSpotVMTypes", "gHotSpotVMTypeEntry", {"TypeNameOffset", "SizeOffset"}, rows);
    rows.clear();
    for (const auto& [name, value] : constants) rows.push_back({text(name), value});
    table("gHotSpotVMIntConstants", "gHotSpotVMIntConstantEntry", {"NameOffset", "ValueOffset"},
          rows);
    table("gHotSpotVMLongConstants", "gHotSpotVMLongConstantEntry", {"NameOffset", "ValueOffset"},
          {});
  }
  base::Result<JavaTables> tables() const {
    return JavaTables::read(space, [this](std::string_view name) {
      const auto found = variables.find(name);
      return found == variables.end() ? 0 : found->second;
    });
  }
  std::uint64_t variable(std::uint64_t value) {
    const std::uint64_t made = space.allocate(8);
    space.put(made, value);
    return made;
  }
  std::uint64_t text(std::string_view value) {
    const std::uint64_t made = space.allocate(value.size() + 1);
    space.put_bytes(made, value.data(), value.size());
    return made;
  }

  FakeSpace space;
  std::map<std::string, std::uint64_t, std::less<>> variables;
  std::map<std::string, JavaField> fields;
  std::map<std::string, std::uint64_t> sizes;
  std::map<std::string, std::uint64_t> constants;
  std::uint64_t object_class = 0, thread_class = 0, synchronizer_class = 0, lock_class = 0;

 private:
  static constexpr std::uint32_t kSystem = 16, kStackBase = 24, kStackSize = 32, kState = 40,
                                 kWanted = 48, kThreadObject = 56, kNext = 64, kMonitorId = 72,
                                 kLockStack = 80, kMonitorObject = 24, kMonitorOwner = 40;
  static constexpr std::int32_t kBlocked = 10;
  static constexpr int kOopShift = 3, kClassShift = 3;

  struct Declared {
    std::string name;
    std::uint32_t offset;
  };

  void member(const std::string& name, const std::string& type, std::uint64_t offset) {
    fields[name] = {type, false, offset, 0};
  }
  void variable_member(const std::string& name, const std::string& type, std::uint64_t address) {
    fields[name] = {type, true, 0, address};
  }

  void describe_threads() {
    const bool old = kind_ == Kind::kOld;
    member(kind_ == Kind::kRecent ? "Thread::_osthread" : "JavaThread::_osthread", "OSThread*",
           kSystem);
    member("OSThread::_thread_id", "pid_t", 8);
    member("JavaThread::_stack_base", "address", kStackBase);
    member("JavaThread::_stack_size", "size_t", kStackSize);
    member("JavaThread::_thread_state", "JavaThreadState", kState);
    member(old ? "Thread::_current_pending_monitor" : "JavaThread::_current_pending_monitor",
           "ObjectMonitor*", kWanted);
    member("JavaThread::_threadObj", old ? "oop" : "OopHandle", kThreadObject);
    member("ObjectMonitor::_object", "void*", kMonitorObject);
    member("ObjectMonitor::_owner", kind_ == Kind::kRecent ? "int64_t" : "void*", kMonitorOwner);
    constants["_thread_blocked"] = kBlocked;
    if (kind_ != Kind::kRecent) return;
    member("JavaThread::_monitor_owner_id", "int64_t", kMonitorId);
    member("JavaThread::_lock_stack", "LockStack", kLockStack);
    member("LockStack::_top", "uint32_t", 0);
    member("LockStack::_base[0]", "oop", 8);
    constants["ObjectMonitor::ANONYMOUS_OWNER"] = 1;
  }

  void describe_objects() {
    const bool recent = kind_ == Kind::kRecent;
    member("oopDesc::_mark", "markWord", 0);
    member("oopDesc::_metadata._klass", "Klass*", 8);
    member("oopDesc::_metadata._compressed_klass", "narrowKlass", 8);
    member("Klass::_super", "Klass*", 16);
    member("Klass::_name", "Symbol*", 24);
    member("Symbol::_length", "u2", 4);
    member("Symbol::_body[0]", "u1", 6);
    member("InstanceKlass::_constants", "ConstantPool*", 32);
    member("Array<int>::_length", "int", 0);
    sizes["ConstantPool"] = 64;
    constants["markWord::lock_mask_in_place"] = 3;
    constants["markWord::marked_value"] = 3;
    if (recent) {
      member("InstanceKlass::_fieldinfo_stream", "Array<u1>*", 40);
      member("Array<u1>::_data", "u1", 4);
      constants["FieldInfo::FieldFlags::_ff_initialized"] = 0;
      constants["FieldInfo::FieldFlags::_ff_generic"] = 2;
      constants["FieldInfo::FieldFlags::_ff_contended"] = 4;
    } else {
      member("InstanceKlass::_fields", "Array<u2>*", 40);
      member("InstanceKlass::_java_fields_count", "u2", 48);
      member("Array<u2>::_data", "u2", 4);
      constants["FieldInfo::field_slots"] = 6;
      constants["FieldInfo::name_index_offset"] = 1;
      constants["FieldInfo::low_packed_offset"] = 4;
      constants["FieldInfo::high_packed_offset"] = 5;
      constants["FIELDINFO_TAG_SIZE"] = 2;
    }
    const std::string oops = recent ? "CompressedOops::_" : "CompressedOops::_narrow_oop._";
    const std::string classes =
        recent ? "CompressedKlassPointers::_" : "CompressedKlassPointers::_narrow_klass._";
    variable_member(oops + "base", "address", variable(0));
    variable_member(oops + "shift", "int", variable(kOopShift));
    variable_member(classes + "base", "address", variable(0));
    variable_member(classes + "shift", "int", variable(kClassShift));
    describe_flags();
  }

  void describe_flags() {
    const std::vector<std::pair<std::string, bool>> flags = {
        {"UseCompressedOops", options_.compressed},
        {"UseSomethingElse", true},
        {"UseCompressedClassPointers", options_.compressed},
        {"UseZGC", options_.coloured}};
    constexpr std::uint64_t kSize = 24;
    const std::uint64_t array = space.allocate(flags.size() * kSize);
    for (std::size_t index = 0; index < flags.size(); ++index) {
      space.put(array + index * kSize, variable(flags[index].second ? 1 : 0));
      space.put(array + index * kSize + 8, text(flags[index].first));
    }
    member("JVMFlag::_addr", "void*", 0);
    member("JVMFlag::_name", "const char*", 8);
    variable_member("JVMFlag::flags", "JVMFlag*", variable(array));
    variable_member("JVMFlag::numFlags", "size_t", variable(flags.size()));
    sizes["JVMFlag"] = kSize;
  }

  std::uint64_t symbol(std::string_view value) {
    const std::uint64_t made = space.allocate(6 + value.size());
    space.put(made + 4, static_cast<std::uint16_t>(value.size()));
    space.put_bytes(made + 6, value.data(), value.size());
    return made;
  }

  std::uint64_t klass(std::string_view name, std::uint64_t super,
                      const std::vector<Declared>& declared) {
    const std::uint64_t made = space.allocate(128);
    const std::uint64_t pool = space.allocate(64 + 8 * (declared.size() + 1));
    space.put(made + 16, super);
    space.put(made + 24, symbol(name));
    space.put(made + 32, pool);
    for (std::size_t index = 0; index < declared.size(); ++index) {
      space.put(pool + 64 + 8 * (index + 1), symbol(declared[index].name));
    }
    space.put(made + 40, kind_ == Kind::kRecent ? stream(declared) : slots(made, declared));
    return made;
  }
  std::uint64_t slots(std::uint64_t klass, const std::vector<Declared>& declared) {
    const std::uint64_t made = space.allocate(4 + declared.size() * 12);
    space.put(made, static_cast<std::int32_t>(declared.size() * 6));
    space.put(klass + 48, static_cast<std::uint16_t>(declared.size()));
    for (std::size_t index = 0; index < declared.size(); ++index) {
      const std::uint64_t at = made + 4 + index * 12;
      const std::uint32_t packed = declared[index].offset << 2U | 1U;
      space.put(at + 2, static_cast<std::uint16_t>(index + 1));
      space.put(at + 8, static_cast<std::uint16_t>(packed));
      space.put(at + 10, static_cast<std::uint16_t>(packed >> 16U));
    }
    return made;
  }
  // All numbers here are small: one byte each, higher by one than what it means. The first field
  // has one number more than the others (a constant value).
  std::uint64_t stream(const std::vector<Declared>& declared) {
    std::vector<std::uint8_t> bytes{static_cast<std::uint8_t>(declared.size() + 1), 1};
    for (std::size_t index = 0; index < declared.size(); ++index) {
      const auto name = static_cast<std::uint8_t>(index + 2);
      const auto offset = static_cast<std::uint8_t>(declared[index].offset + 1);
      const auto flags = static_cast<std::uint8_t>(index == 0 ? 2 : 1);
      bytes.insert(bytes.end(), {name, 1, offset, 1, flags});
      if (index == 0) bytes.insert(bytes.end(), {std::uint8_t{200}, std::uint8_t{7}});
    }
    const std::uint64_t made = space.allocate(4 + bytes.size() + 1);
    space.put(made, static_cast<std::int32_t>(bytes.size() + 1));
    space.put_bytes(made + 4, bytes.data(), bytes.size());
    return made;
  }

  // What a place outside of the heap has to hold to name an object.
  std::uint64_t named(std::uint64_t object) {
    return kind_ == Kind::kOld ? object : variable(object);
  }

  void put_threads() {
    if (kind_ == Kind::kOld) {
      for (std::size_t index = 0; index + 1 < threads_.size(); ++index) {
        space.put(threads_[index].address + kNext, threads_[index + 1].address);
      }
      member("JavaThread::_next", "JavaThread*", kNext);
      variable_member("Threads::_thread_list", "JavaThread*",
                      variable(threads_.empty() ? 0 : threads_[0].address));
      return;
    }
    const std::uint64_t array = space.allocate(threads_.size() * 8);
    for (std::size_t index = 0; index < threads_.size(); ++index) {
      space.put(array + index * 8, threads_[index].address);
    }
    const std::uint64_t list = space.allocate(32);
    space.put(list + 4, static_cast<std::uint32_t>(threads_.size()));
    space.put(list + 16, array);
    member("ThreadsList::_length", "const uint", 4);
    member("ThreadsList::_threads", "JavaThread *const *const", 16);
    variable_member("ThreadsSMRSupport::_java_thread_list", "ThreadsList*", variable(list));
  }

  // Columns of eight bytes each in an order of their own, with a gap in front.
  void table(const std::string& name, const std::string& entry,
             const std::vector<std::string>& columns,
             const std::vector<std::vector<std::uint64_t>>& rows) {
    const std::uint64_t stride = 8 * (columns.size() + 1);
    const std::uint64_t start = space.allocate(stride * (rows.size() + 1));
    const auto place = [&](std::size_t column) { return 8 * (columns.size() - column); };
    for (std::size_t row = 0; row < rows.size(); ++row) {
      for (std::size_t column = 0; column < columns.size(); ++column) {
        space.put(start + row * stride + place(column), rows[row][column]);
      }
    }
    variables[name] = variable(start);
    variables[entry + "ArrayStride"] = variable(stride);
    for (std::size_t column = 0; column < columns.size(); ++column) {
      variables[entry + columns[column]] = variable(place(column));
    }
  }

  Kind kind_;
  Options options_;
  std::vector<Thread> threads_;
};

}  // namespace stucktrace::unwind
