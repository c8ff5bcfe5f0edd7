#include "tracer/unwind/java_threads.h"

#include <algorithm>
#include <set>
#include <span>

#include "tracer/unwind/python_memory.h"

namespace stucktrace::unwind {
namespace {

constexpr std::size_t kMaxThreads = 16384;
constexpr std::uint64_t kMaxStack = std::uint64_t{1} << 32;
constexpr std::size_t kMaxLocked = 64;  // a lock stack has room for eight

// Whoever is the only one of the list to fulfil the condition.
template <class Condition>
const JavaThread* only(const std::vector<JavaThread>& threads, Condition condition) {
  const JavaThread* found = nullptr;
  for (const JavaThread& thread : threads) {
    if (!condition(thread)) continue;
    if (found != nullptr) return nullptr;
    found = &thread;
  }
  return found;
}

}  // namespace

std::optional<JavaThreads> JavaThreads::read(const syscalls::RemoteMemory& memory,
                                             const JavaTables& tables) {
  JavaThreads threads{memory, tables};
  if (!threads.list()) return std::nullopt;
  return threads;
}

// An array that is replaced as a whole; up to JDK 9 a chain through the threads.
std::vector<std::uint64_t> JavaThreads::addresses() const {
  std::vector<std::uint64_t> result;
  if (const auto newest = tables_.address({"ThreadsSMRSupport::_java_thread_list"})) {
    const auto length_at = tables_.offset({"ThreadsList::_length"});
    const auto array_at = tables_.offset({"ThreadsList::_threads"});
    const std::uint64_t list = read_word(memory_, *newest);
    std::uint32_t length = 0;
    if (!length_at || !array_at || !plausible_pointer(list)) return {};
    if (!memory_.read_value(base::RemoteAddr{list + *length_at}, length)) return {};
    const std::uint64_t array = read_word(memory_, list + *array_at);
    if (length > kMaxThreads || !plausible_pointer(array)) return {};
    result.resize(length);
    const auto bytes = std::as_writable_bytes(std::span{result});
    if (memory_.read(base::RemoteAddr{array}, bytes) != bytes.size()) return {};
    return result;
  }
  const auto first = tables_.address({"Threads::_thread_list"});
  const auto next = tables_.offset({"JavaThread::_next"});
  if (!first || !next) return {};
  std::uint64_t at = read_word(memory_, *first);
  while (at != 0 && result.size() < kMaxThreads) {
    result.push_back(at);
    at = read_word(memory_, at + *next);
  }
  return at == 0 ? result : std::vector<std::uint64_t>{};
}

bool JavaThreads::list() {
  const auto system = tables_.offset({"JavaThread::_osthread", "Thread::_osthread"});
  const auto number = tables_.offset({"OSThread::_thread_id"});
  const auto base = tables_.offset({"JavaThread::_stack_base", "Thread::_stack_base"});
  const auto size = tables_.offset({"JavaThread::_stack_size", "Thread::_stack_size"});
  const auto state = tables_.offset({"JavaThread::_thread_state"});
  const auto wanted =
      tables_.offset({"JavaThread::_current_pending_monitor", "Thread::_current_pending_monitor"});
  const auto object = tables_.offset({"JavaThread::_threadObj"});
  const auto blocked = tables_.constant({"_thread_blocked"});
  if (!system || !number || !base || !size || !state || !wanted || !object || !blocked) {
    return false;
  }
  const auto monitor_id = tables_.offset({"JavaThread::_monitor_owner_id"});
  const auto virtual_object = tables_.offset({"JavaThread::_vthread"});
  // The member itself names the object, or a slot that does.
  const bool slots = tables_.field("JavaThread::_threadObj")->type == "OopHandle";
  const auto slot = [&](std::uint64_t at) { return slots ? read_word(memory_, at) : at; };
  std::set<std::int32_t> numbers;
  for (const std::uint64_t at : addresses()) {
    JavaThread thread;
    thread.address = at;
    const std::uint64_t own = plausible_pointer(at) ? read_word(memory_, at + *system) : 0;
    if (!plausible_pointer(own) ||
        !memory_.read_value(base::RemoteAddr{own + *number}, thread.number)) {
      continue;  // not started yet, or gone
    }
    if (thread.number <= 0) continue;
    // The same number twice is a list of the past.
    if (!numbers.insert(thread.number).second) return false;
    thread.stack_base = read_word(memory_, at + *base);
    thread.stack_size = read_word(memory_, at + *size);
    if (thread.stack_size > kMaxStack) thread.stack_size = 0;
    std::int32_t now = 0;
    thread.blocked = memory_.read_value(base::RemoteAddr{at + *state}, now) && now == *blocked;
    thread.wanted_monitor = read_word(memory_, at + *wanted);
    thread.thread_slot = slot(at + *object);
    if (virtual_object) thread.virtual_slot = slot(at + *virtual_object);
    if (monitor_id) memory_.read_value(base::RemoteAddr{at + *monitor_id}, thread.monitor_id);
    threads_.push_back(thread);
  }
  return !threads_.empty();
}

const JavaThread* JavaThreads::of_stack(std::uint64_t at) const {
  return only(threads_, [at](const JavaThread& thread) { return thread.on_stack(at); });
}

const JavaThread* JavaThreads::inside(std::uint64_t monitor, const JavaObjects* objects) const {
  const JavaField* member = tables_.field("ObjectMonitor::_owner");
  if (member == nullptr || member->is_static || !plausible_pointer(monitor)) return nullptr;
  std::uint64_t owner = 0;
  if (!memory_.read_value(base::RemoteAddr{monitor + member->offset}, owner)) return nullptr;
  if (owner == 0) return nullptr;
  const auto nobody_named = tables_.constant({"ObjectMonitor::ANONYMOUS_OWNER"});
  if (nobody_named && owner == static_cast<std::uint64_t>(*nobody_named)) {
    if (const auto locker = tables_.offset({"ObjectMonitor::_stack_locker"})) {
      const std::uint64_t at = read_word(memory_, monitor + *locker);
      if (at != 0) return of_stack(at);
    }
    return objects != nullptr ? by_locked_object(monitor, *objects) : nullptr;
  }
  if (tables_.offset({"JavaThread::_monitor_owner_id"})) {
    const auto id = static_cast<std::int64_t>(owner);
    return only(threads_, [id](const JavaThread& thread) { return thread.monitor_id == id; });
  }
  const auto itself = std::ranges::find(threads_, owner, &JavaThread::address);
  return itself != threads_.end() ? &*itself : of_stack(owner);
}

const JavaThread* JavaThreads::by_locked_object(std::uint64_t monitor,
                                                const JavaObjects& objects) const {
  const auto object_at = tables_.offset({"ObjectMonitor::_object"});
  const auto stack = tables_.offset({"JavaThread::_lock_stack"});
  const auto top_at = tables_.offset({"LockStack::_top"});
  const auto first_at = tables_.offset({"LockStack::_base[0]"});
  if (!object_at || !stack || !top_at || !first_at) return nullptr;
  const std::uint64_t object = objects.in_slot(read_word(memory_, monitor + *object_at));
  if (object == 0) return nullptr;
  return only(threads_, [&](const JavaThread& thread) {
    // The top counts in bytes from the start of the thread.
    std::uint32_t top = 0;
    const std::uint32_t first = *stack + *first_at;
    if (!memory_.read_value(base::RemoteAddr{thread.address + *stack + *top_at}, top)) return false;
    if (top < first || (top - first) / 8 > kMaxLocked) return false;
    for (std::uint32_t at = first; at < top; at += 8) {
      if (read_word(memory_, thread.address + at) == object) return true;
    }
    return false;
  });
}

const JavaThread* JavaThreads::runs(std::uint64_t thread_object, const JavaObjects& objects) const {
  if (thread_object == 0) return nullptr;
  return only(threads_, [&](const JavaThread& thread) {
    return objects.in_slot(thread.thread_slot) == thread_object ||
           objects.in_slot(thread.virtual_slot) == thread_object;
  });
}

}  // namespace stucktrace::unwind
