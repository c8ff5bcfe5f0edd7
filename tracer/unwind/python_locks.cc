#include "tracer/unwind/python_locks.h"

#include <algorithm>
#include <array>

#include "tracer/base/bytes.h"
#include "tracer/unwind/python_memory.h"

namespace stucktrace::unwind {
namespace {

constexpr std::uint64_t kMaxSlots = 4096;
constexpr std::size_t kMaxNames = 4096;
constexpr std::size_t kMaxTable = 1u << 20;
constexpr int kMaxDepth = 4;  // condition -> recursive lock in Python -> lock
// The first word of a freed object links it to the next free one: no number of references.
constexpr std::uint64_t kMaxReferences = 1u << 20;
constexpr std::uint64_t kMaxBlocks = 20;  // CO_MAXBLOCKS
constexpr std::uint64_t kBlockSize = 12;  // PyTryBlock: type, handler, level
constexpr int kBlockLevel = 8;

std::uint64_t plus(std::uint64_t address, int offset) {
  return address + static_cast<std::uint64_t>(offset);
}

constexpr std::string_view kExit = "__exit__";

bool is_sync_module(std::string_view file) {
  return file.ends_with("/threading.py") || file.ends_with("/multiprocessing/synchronize.py");
}

// Modules that take and release locks of their own inside: a lock they do not reach by a local they
// do not touch.
bool is_waiting_module(std::string_view file) {
  return is_sync_module(file) || file.ends_with("/queue.py") || file.ends_with("/Queue.py") ||
         file.find("/multiprocessing/") != std::string_view::npos ||
         file.find("/concurrent/futures/") != std::string_view::npos;
}

}  // namespace

std::uint64_t handler_depth(std::span<const std::byte> table, std::int64_t offset) {
  // Entries of four numbers (start, length, target, depth and a flag) in code units, six bits a
  // byte, high bits first; 64 = more follows, 128 = first byte of an entry. Sorted by start.
  constexpr int kLongest = 6;
  std::size_t at = 0;
  const auto number = [&]() -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    for (int count = 0; count < kLongest && at < table.size(); ++count) {
      const auto byte = std::to_integer<std::uint64_t>(table[at++]);
      value = (value << 6) | (byte & 63);
      if ((byte & 64) == 0) return value;
    }
    return std::nullopt;
  };
  if (offset < 0) return 0;
  const auto unit = static_cast<std::uint64_t>(offset) / 2;
  while (at < table.size()) {
    const auto start = number(), length = number(), target = number(), depth = number();
    if (!start || !length || !target || !depth || *start > unit) return 0;
    if (unit - *start < *length) return *depth >> 1;
  }
  return 0;
}

const PythonLocks::Code* PythonLocks::code(std::uint64_t address) {
  if (const auto known = codes_.find(address); known != codes_.end()) return &known->second;
  auto read = read_code(address);
  if (!read) return nullptr;
  return &codes_.emplace(address, std::move(*read)).first->second;
}

std::optional<PythonLocks::Code> PythonLocks::read_code(std::uint64_t address) const {
  static constexpr std::array<std::string_view, 3> kReleases = {"release", "_release_save",
                                                                "__exit__"};
  const int last_field =
      std::max({layout_.code_name, layout_.code_filename, layout_.code_names,
                layout_.code_stack_size, layout_.code_local_count, layout_.code_exceptions});
  const auto copy =
      RemoteRecord::read(objects_.memory(), address, static_cast<std::size_t>(last_field) + 8);
  if (!copy || !objects_.is_a(address, "code")) return std::nullopt;
  auto name = objects_.text(copy->word(layout_.code_name));
  auto file = objects_.text(copy->word(layout_.code_filename));
  const auto names = objects_.tuple(copy->word(layout_.code_names), kMaxNames);
  if (!name || !file || !names) return std::nullopt;
  Code code;
  code.name = std::move(*name);
  code.file = std::move(*file);
  code.stack_size = copy->at<std::uint32_t>(layout_.code_stack_size);
  code.local_count = copy->at<std::uint32_t>(layout_.code_local_count);
  code.releases = std::ranges::any_of(*names, [&](std::uint64_t one) {
    const auto text = objects_.text(one);
    return text && std::ranges::find(kReleases, *text) != kReleases.end();
  });
  if (layout_.code_exceptions >= 0) {
    auto table = objects_.bytes(copy->word(layout_.code_exceptions), kMaxTable);
    if (!table) return std::nullopt;
    code.exceptions = std::move(*table);
  }
  return code;
}

std::optional<PythonLocks::Slots> PythonLocks::slots(const PythonLink& link) {
  const Code* code_here = code(link.code);
  if (code_here == nullptr) return std::nullopt;
  Slots slots;
  slots.locals = plus(link.frame, layout_.frame_locals);
  slots.capacity = code_here->stack_size;
  if (layout_.has_interpreter_frames()) {
    slots.local_count = code_here->local_count;
    slots.stack = slots.locals + 8 * slots.local_count;
    slots.live = handler_depth(code_here->exceptions, link.offset);
  } else {
    slots.stack = read_word(objects_.memory(), plus(link.frame, layout_.frame_value_stack));
    if (slots.stack < slots.locals) return std::nullopt;
    slots.local_count = (slots.stack - slots.locals) / 8;
    std::uint32_t blocks = 0, level = 0;
    const base::RemoteAddr count{plus(link.frame, layout_.frame_block_count)};
    if (!objects_.memory().read_value(count, blocks) || blocks > kMaxBlocks) return std::nullopt;
    if (blocks > 0) {
      const std::uint64_t last = plus(link.frame, layout_.frame_blocks) + (blocks - 1) * kBlockSize;
      if (!objects_.memory().read_value(base::RemoteAddr{plus(last, kBlockLevel)}, level)) {
        return std::nullopt;
      }
    }
    slots.live = level;
  }
  if (layout_.version() >= 314) {
    const std::uint64_t top =
        read_word(objects_.memory(), plus(link.frame, layout_.frame_stack_top));
    slots.is_exact = top >= slots.stack && top - slots.stack <= 8 * slots.capacity;
    if (slots.is_exact) slots.capacity = (top - slots.stack) / 8;
  }
  const bool sane =
      slots.local_count <= kMaxSlots && slots.capacity <= kMaxSlots && slots.live <= slots.capacity;
  return sane ? std::optional{slots} : std::nullopt;
}

std::vector<std::uint64_t> PythonLocks::references(std::uint64_t start, std::uint64_t count) const {
  std::vector<std::uint64_t> result(count);
  const auto out = std::as_writable_bytes(std::span{result});
  if (objects_.memory().read(base::RemoteAddr{start}, out) != out.size()) result.clear();
  return result;
}

std::vector<std::uint64_t> PythonLocks::values(std::uint64_t start, std::uint64_t count) const {
  auto result = references(start, count);
  for (std::uint64_t& value : result) value = layout_.untagged(value);
  return result;
}

bool PythonLocks::is_taken(const PythonLock& lock) const {
  const base::RemoteAddr at{lock.state};
  if (lock.has_mutex) {
    std::uint8_t bits = 0;
    return objects_.memory().read_value(at, bits) && (bits & 1) != 0;
  }
  std::uint32_t word = 1;  // sem_t: 0 = taken
  return objects_.memory().read_value(at, word) && word == 0;
}

// Of a plain or recursive lock. The later releases of 3.13 have a mutex in a plain one, which is as
// large as it must be for that.
bool PythonLocks::has_mutex(std::uint64_t object, bool plain) const {
  if (layout_.lock_mutex < 0 || layout_.lock_native < 0) return layout_.lock_mutex >= 0;
  constexpr std::uint64_t kSize = 24;
  const auto& memory = objects_.memory();
  const std::uint64_t type = read_word(memory, plus(object, layout_.object_type));
  return plain && read_word(memory, plus(type, layout_.type_basic_size)) == kSize;
}

std::optional<PythonLock> PythonLocks::native_lock(std::uint64_t object,
                                                   const std::string& type) const {
  using Kind = PythonLock::Kind;
  const bool plain = type == (layout_.major < 3 ? "thread.lock" : "_thread.lock");
  const bool recursive = layout_.rlock_owner >= 0 && type == "_thread.RLock";
  const bool shared = type == "_multiprocessing.SemLock";
  if (!plain && !recursive && !shared) return std::nullopt;
  const auto copy = RemoteRecord::read(objects_.memory(), object, 40, 24);
  if (!copy) return std::nullopt;
  PythonLock lock;
  lock.object = object;
  lock.has_mutex = !shared && has_mutex(object, plain);
  // From 3.14 on there are flags above the count.
  lock.references = layout_.version() >= 314 ? copy->at<std::uint32_t>(0) : copy->word(0);
  if (lock.has_mutex) {
    lock.state = plus(object, layout_.lock_mutex);
  } else {
    lock.state = copy->word(shared ? layout_.semlock_handle : layout_.lock_native);
  }
  if (lock.references == 0 || lock.references > kMaxReferences || !plausible_pointer(lock.state)) {
    return std::nullopt;
  }
  if (recursive) {
    lock.kind = Kind::kRecursive;
    // With a mutex the owner is that of a taken lock, and the count one less.
    const bool taken = lock.has_mutex ? is_taken(lock) : copy->word(layout_.rlock_count) != 0;
    if (taken) lock.owner = copy->word(layout_.rlock_owner);
  } else if (shared) {
    // Of a semaphore for several nobody in particular is the holder.
    if (copy->at<std::int32_t>(layout_.semlock_maximum) != 1) return std::nullopt;
    lock.kind = Kind::kShared;
    const bool taken = copy->at<std::int32_t>(layout_.semlock_count) > 0;
    if (taken) lock.owner = copy->word(layout_.semlock_owner);
  }
  return lock;
}

// What the library makes of locks in Python.
std::optional<PythonLock> PythonLocks::library_lock(std::uint64_t object, const std::string& type,
                                                    int depth) const {
  const bool old = layout_.major < 3;
  const auto inside = [&](std::string_view name) {
    return lock(objects_.attribute(object, name), depth + 1);
  };
  if (type == "Condition" || type == "_Condition") {
    return inside(old && type == "_Condition" ? "_Condition__lock" : "_lock");
  }
  if (type == "Lock" || type == "RLock") return inside("_semlock");
  if (type != "_RLock") return std::nullopt;
  auto found = inside(old ? "_RLock__block" : "_block");
  if (!found) return std::nullopt;
  found->kind = PythonLock::Kind::kRecursive;
  found->owner =
      objects_.integer(objects_.attribute(object, old ? "_RLock__owner" : "_owner")).value_or(0);
  return found;
}

std::optional<PythonLock> PythonLocks::lock(std::uint64_t object, int depth) const {
  if (object == 0 || depth > kMaxDepth) return std::nullopt;
  const std::string type = objects_.type_name(object);
  if (type.empty()) return std::nullopt;
  if (auto native = native_lock(object, type)) return native;
  // A call in progress may have only the bound method on the stack.
  const auto& memory = objects_.memory();
  if (type == "builtin_function_or_method") {
    return lock(read_word(memory, plus(object, layout_.builtin_self)), depth + 1);
  }
  if (type == "method" || type == "instancemethod") {
    return lock(read_word(memory, plus(object, layout_.method_self)), depth + 1);
  }
  return library_lock(object, type, depth);
}

// What `method` is the __exit__ of, for the types whose __exit__ releases a lock; else 0.
std::uint64_t PythonLocks::self_of_exit(std::uint64_t method) {
  const auto& memory = objects_.memory();
  const std::string type = objects_.type_name(method);
  if (type == "builtin_function_or_method") {
    const std::uint64_t definition = read_word(memory, plus(method, layout_.builtin_definition));
    std::array<std::byte, kExit.size() + 1> name{};
    const std::uint64_t at = read_word(memory, definition);  // PyMethodDef.ml_name
    const bool readable = at != 0 && memory.read(base::RemoteAddr{at}, name) == name.size();
    if (!readable || base::as_text(std::span{name}) != std::string_view{"__exit__\0", 9}) return 0;
    return read_word(memory, plus(method, layout_.builtin_self));
  }
  if (type != "method" && type != "instancemethod") return 0;
  const std::uint64_t function = read_word(memory, plus(method, layout_.method_function));
  return is_exit_function(function) ? read_word(memory, plus(method, layout_.method_self)) : 0;
}

bool PythonLocks::is_exit_function(std::uint64_t function) {
  if (!objects_.is_a(function, "function")) return false;
  const Code* code_there =
      code(read_word(objects_.memory(), plus(function, layout_.function_code)));
  return code_there != nullptr && code_there->name == kExit && is_sync_module(code_there->file);
}

bool PythonLocks::is_unbound_exit(std::uint64_t function) {
  if (!objects_.is_a(function, "method_descriptor")) return is_exit_function(function);
  const std::uint64_t name = read_word(objects_.memory(), plus(function, layout_.descriptor_name));
  return objects_.text(name) == kExit;
}

std::vector<std::uint64_t> PythonLocks::managers(const Slots& slots) {
  std::vector<std::uint64_t> result;
  const auto live = values(slots.stack, slots.live);
  for (std::size_t index = 0; index < live.size(); ++index) {
    if (live[index] == 0) continue;
    if (const std::uint64_t self = self_of_exit(live[index]); self != 0) {
      result.push_back(self);
    } else if (layout_.version() >= 314 && index + 1 < live.size() && live[index + 1] != 0 &&
               is_unbound_exit(live[index])) {
      result.push_back(live[index + 1]);
    }
  }
  return result;
}

bool PythonLocks::may_have_released(std::span<const PythonLink> inner,
                                    const PythonLock& lock_held) {
  for (const PythonLink& link : inner) {
    const Code* code_here = code(link.code);
    const auto where = code_here == nullptr ? std::nullopt : slots(link);
    if (!where) return true;
    if (!code_here->releases) continue;
    if (!is_waiting_module(code_here->file)) return true;
    for (const std::uint64_t value : values(where->locals, where->local_count)) {
      const auto reached = lock(value);
      if (reached && reached->state == lock_held.state) return true;
    }
  }
  return false;
}

std::vector<std::uint64_t> PythonLocks::held(std::span<const PythonLink> chain,
                                             std::uint64_t ident) {
  std::vector<std::uint64_t> result;
  for (std::size_t index = 0; index < chain.size(); ++index) {
    const auto where = slots(chain[index]);
    if (!where || where->live == 0) continue;
    for (const std::uint64_t manager : managers(*where)) {
      const auto found = lock(manager);
      if (!found || std::ranges::find(result, found->state) != result.end()) continue;
      const bool recorded = found->kind != PythonLock::Kind::kPlain;
      if (recorded && found->owner != ident) continue;
      if (!is_taken(*found)) continue;
      const bool only_owner_releases = found->kind == PythonLock::Kind::kRecursive;
      if (!only_owner_releases && may_have_released(chain.first(index + 1), *found)) continue;
      result.push_back(found->state);
    }
  }
  return result;
}

// Those that its count of references includes: of locals, of values that surely are in use, and of
// the call itself.
std::uint64_t PythonLocks::own_references(std::span<const PythonLink> chain, std::uint64_t object) {
  std::uint64_t count = 0;
  const auto add = [&](std::uint64_t start, std::uint64_t length) {
    for (const std::uint64_t reference : references(start, length)) {
      if (layout_.untagged(reference) == object && layout_.is_counted(reference)) ++count;
    }
  };
  for (const PythonLink& link : chain) {
    const auto where = slots(link);
    if (!where) continue;
    add(where->locals, where->local_count);
    if (where->is_exact) add(where->stack, where->capacity);
  }
  // Where the frames' values are not known to the last one, the call has one of its own.
  return layout_.version() < 314 ? count + 1 : count;
}

std::optional<PythonLockWait> PythonLocks::awaited(std::span<const PythonLink> chain,
                                                   std::uint64_t futex) {
  const Code* innermost = chain.empty() ? nullptr : code(chain.front().code);
  const auto where = innermost == nullptr ? std::nullopt : slots(chain.front());
  if (!where) return std::nullopt;
  const bool takes_lock = innermost->name == "acquire" || innermost->name == "__enter__" ||
                          innermost->name == "_acquire_restore";
  if (is_waiting_module(innermost->file) && !takes_lock) return std::nullopt;
  // For a mutex each thread sleeps on a word of its own, beside the address of what it waits for.
  const std::uint64_t mutex =
      layout_.parked_back < 0
          ? 0
          : read_word(objects_.memory(), futex - static_cast<std::uint64_t>(layout_.parked_back));
  const auto is_awaited = [&](const PythonLock& lock) {
    return lock.state == (lock.has_mutex ? mutex : futex);
  };
  std::optional<PythonLock> found;
  auto candidates = values(where->locals, where->local_count);
  const auto stack = values(where->stack, where->capacity);
  candidates.insert(candidates.end(), stack.begin(), stack.end());
  for (const std::uint64_t value : candidates) {
    const auto one = value == 0 ? std::nullopt : lock(value);
    if (!one || !is_awaited(*one)) continue;
    if (!found || one->kind == PythonLock::Kind::kRecursive) found = one;
  }
  if (!found) return std::nullopt;
  PythonLockWait wait;
  wait.futex = futex;
  wait.lock = found->state;
  if (found->kind == PythonLock::Kind::kRecursive) wait.owner = found->owner;
  if (found->kind == PythonLock::Kind::kPlain) {
    wait.only_own_references = found->references <= own_references(chain, found->object);
  }
  return wait;
}

}  // namespace stucktrace::unwind
