// What a futex is used for (phases.h), by the names of the functions that wait on it.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "tracer/diagnose/frame_names.h"
#include "tracer/diagnose/phases.h"

namespace stucktrace::diagnose {
namespace {

using Role = model::OnFutex::Role;

struct UseName {
  std::string_view start;  // of a function's name, as plain_name() gives it
  FutexUse use;
};

// glibc, musl, libstdc++ and Rust. What a function waits in by another of these stands further in,
// and so is met first: pthread_cond_wait() taking its mutex back waits for a mutex.
constexpr std::array kNativeUses{
    UseName{"lll_lock_wait", FutexUse::kMutex},
    UseName{"lll_timedlock_wait", FutexUse::kMutex},
    UseName{"lll_clocklock_wait", FutexUse::kMutex},
    UseName{"pthread_mutex_", FutexUse::kMutex},
    UseName{"mtx_lock", FutexUse::kMutex},
    UseName{"mtx_timedlock", FutexUse::kMutex},
    UseName{"std::mutex::lock", FutexUse::kMutex},
    UseName{"std::recursive_mutex::lock", FutexUse::kMutex},
    UseName{"pthread_cond_", FutexUse::kCondition},
    UseName{"cnd_wait", FutexUse::kCondition},
    UseName{"cnd_timedwait", FutexUse::kCondition},
    UseName{"std::condition_variable", FutexUse::kCondition},
    UseName{"std::_V2::condition_variable", FutexUse::kCondition},
    // A future: ready once, like a condition with a memory.
    UseName{"std::__atomic_futex_unsigned_base::", FutexUse::kCondition},
    UseName{"sem_wait", FutexUse::kSemaphore},
    UseName{"sem_timedwait", FutexUse::kSemaphore},
    UseName{"sem_clockwait", FutexUse::kSemaphore},
    UseName{"new_sem_wait", FutexUse::kSemaphore},
    UseName{"pthread_barrier_wait", FutexUse::kBarrier},
    UseName{"pthread_once", FutexUse::kOnce},
    UseName{"call_once", FutexUse::kOnce},
    UseName{"std::call_once", FutexUse::kOnce},
    UseName{"cxa_guard_acquire", FutexUse::kOnce},
    UseName{"pthread_rwlock_", FutexUse::kRwlock},
    UseName{"std::shared_mutex::", FutexUse::kRwlock},
    UseName{"pthread_join", FutexUse::kJoin},
    UseName{"pthread_timedjoin", FutexUse::kJoin},
    UseName{"pthread_clockjoin", FutexUse::kJoin},
    UseName{"thrd_join", FutexUse::kJoin},
    UseName{"std::thread::join", FutexUse::kJoin},
    // Rust's standard library; its generic parameters come out as $LT$T$GT$.
    UseName{"std::sync::poison::mutex::Mutex", FutexUse::kMutex},
    UseName{"std::sync::mutex::Mutex", FutexUse::kMutex},
    UseName{"std::sync::poison::rwlock::RwLock", FutexUse::kRwlock},
    UseName{"std::sync::rwlock::RwLock", FutexUse::kRwlock},
    UseName{"std::sync::poison::condvar::Condvar", FutexUse::kCondition},
    UseName{"std::sync::condvar::Condvar", FutexUse::kCondition},
    UseName{"std::sync::barrier::Barrier", FutexUse::kBarrier},
    UseName{"std::sync::poison::once::Once", FutexUse::kOnce},
    UseName{"std::sync::once::Once", FutexUse::kOnce},
};

// CPython's, which wait by those above. take_gil() is often inlined into the exported functions.
constexpr std::array kPythonUses{
    UseName{"take_gil", FutexUse::kPythonGil},
    UseName{"PyEval_RestoreThread", FutexUse::kPythonGil},
    UseName{"PyEval_AcquireThread", FutexUse::kPythonGil},
    UseName{"PyEval_AcquireLock", FutexUse::kPythonGil},
    UseName{"lock_PyThread_acquire_lock", FutexUse::kPythonLock},
    UseName{"lock_acquire", FutexUse::kPythonLock},
    UseName{"rlock_acquire", FutexUse::kPythonLock},
    UseName{"simplequeue_get", FutexUse::kCondition},
    UseName{"queue_SimpleQueue_get", FutexUse::kCondition},
    UseName{"ThreadHandle_join", FutexUse::kJoin},
    UseName{"thread_shutdown", FutexUse::kJoin},
};
constexpr std::string_view kTakesLockBack = "rlock_acquire_restore";
constexpr std::array<std::string_view, 2> kEvaluation{"PyEval_EvalFrame", "PyEval_Vector"};
// Anything made of the interpreter's locks.
constexpr std::string_view kAnyPythonLock = "PyThread_acquire_lock";
constexpr std::size_t kNativeDepth = 24;

// "__GI___pthread_mutex_lock@@GLIBC_2.34" -> "pthread_mutex_lock", without arguments and suffixes
// of the compiler's.
std::string_view plain_name(std::string_view name) {
  name = name.substr(0, name.find_first_of("@.("));
  for (;;) {
    const std::size_t start = std::min(name.find_first_not_of('_'), name.size());
    name.remove_prefix(start);
    if (!name.starts_with("GI_")) return name;
    name.remove_prefix(3);
  }
}

// The frames between the call and the code that the interpreter runs.
std::span<const model::NativeFrame> waiting_part(const model::Thread& thread) {
  const std::span<const model::NativeFrame> all{thread.stack};
  std::size_t count = 0;
  for (; count < std::min(all.size(), kNativeDepth); ++count) {
    const std::string_view name = plain_name(all[count].function);
    const bool runs_code = std::ranges::any_of(
        kEvaluation, [&](std::string_view start) { return name.starts_with(start); });
    if (runs_code) break;
  }
  return all.first(count);
}

bool any_named(std::span<const model::NativeFrame> frames, std::string_view start) {
  return std::ranges::any_of(
      frames, [&](const auto& frame) { return plain_name(frame.function).starts_with(start); });
}

std::optional<FutexUse> named_use(std::span<const model::NativeFrame> frames,
                                  std::span<const UseName> names) {
  for (const model::NativeFrame& frame : frames) {
    const std::string_view name = plain_name(frame.function);
    for (const UseName& known : names) {
      if (name.starts_with(known.start)) return known.use;
    }
  }
  return std::nullopt;
}

const model::OnFutex* only_futex(const model::Thread& thread) {
  if (thread.wait.on.size() != 1) return nullptr;
  return std::get_if<model::OnFutex>(&thread.wait.on.front());
}

std::optional<FutexUse> proven_use(Role role) {
  switch (role) {
    case Role::kMutex:
    case Role::kPiMutex:
    case Role::kMonitor:
      return FutexUse::kMutex;
    case Role::kJoin:
      return FutexUse::kJoin;
    case Role::kRwlockWriter:
    case Role::kRwlockReader:
      return FutexUse::kRwlock;
    case Role::kUnknown:
    case Role::kRuntimeLock:
      return std::nullopt;
  }
  return std::nullopt;
}

bool in_directory(std::string_view file, std::string_view directory) {
  return file.find(directory) != std::string_view::npos;
}

// What the library makes of locks, where the thread waits inside of it.
std::optional<FutexUse> library_use(const model::PythonFrame& frame, bool takes_lock_back) {
  const std::string_view function = frame.function;
  if (path_ends_with(frame.file, "threading.py")) {
    if (function == "wait") return takes_lock_back ? FutexUse::kPythonLock : FutexUse::kCondition;
    if (function == "join" || function == "_wait_for_tstate_lock" || function == "_shutdown" ||
        function == "_join_os_thread") {
      return FutexUse::kJoin;
    }
    const bool lock =
        function == "acquire" || function == "__enter__" || function == "_acquire_restore";
    return lock ? FutexUse::kPythonLock : FutexUse::kNothingKnown;
  }
  if (path_ends_with(frame.file, "queue.py") || path_ends_with(frame.file, "Queue.py") ||
      in_directory(frame.file, "/concurrent/futures/")) {
    return FutexUse::kCondition;
  }
  if (is(frame, {"wait", "multiprocessing/synchronize.py"})) return FutexUse::kCondition;
  // A semaphore of several or of one, by these frames.
  if (in_directory(frame.file, "/multiprocessing/")) return FutexUse::kSemaphore;
  return std::nullopt;
}

}  // namespace

FutexUse futex_use(const model::Thread& thread) {
  const model::OnFutex* futex = only_futex(thread);
  if (futex == nullptr) return FutexUse::kNothingKnown;
  if (const auto proven = proven_use(futex->role)) return *proven;
  if (futex->role == Role::kRuntimeLock) return FutexUse::kPythonLock;
  const auto frames = waiting_part(thread);
  const auto python = named_use(frames, kPythonUses);
  const bool plain_lock = python == FutexUse::kPythonLock;
  if (python && !plain_lock) return *python;
  if (!thread.python.empty()) {
    const bool takes_lock_back = any_named(frames, kTakesLockBack);
    if (const auto use = library_use(thread.python.front(), takes_lock_back)) return *use;
  }
  if (plain_lock) return FutexUse::kPythonLock;
  // The wait of a lock object and that of an extension's own queue look alike from here.
  if (any_named(frames, kAnyPythonLock)) return FutexUse::kNothingKnown;
  return named_use(frames, kNativeUses).value_or(FutexUse::kNothingKnown);
}

std::string owner_evidence(const model::OnFutex& futex) {
  std::string_view source = "the owner word of {} names thread {}";
  if (futex.role == Role::kRuntimeLock) {
    source = "the interpreter's frames and lock object of {} name thread {}";
  } else if (futex.role == Role::kMonitor) {
    source = "the virtual machine's own tables name, as owner of the lock behind {}, thread {}";
  }
  return fmt::format(fmt::runtime(source), model::to_string(futex.futex),
                     futex.owner.value_or(base::Tid{}));
}

ResultWait waits_for_result(const model::Thread& thread) {
  struct Known {
    FrameName name;
    ResultWait wait;
  };
  static constexpr std::array kResults{
      Known{{"result", "concurrent/futures/_base.py"}, ResultWait::kFuture},
      Known{{"exception", "concurrent/futures/_base.py"}, ResultWait::kFuture},
      Known{{"wait", "concurrent/futures/_base.py"}, ResultWait::kFuture},
      Known{{"as_completed", "concurrent/futures/_base.py"}, ResultWait::kFuture},
      Known{{"get", "multiprocessing/pool.py"}, ResultWait::kPoolResult},
      Known{{"wait", "multiprocessing/pool.py"}, ResultWait::kPoolResult},
      Known{{"next", "multiprocessing/pool.py"}, ResultWait::kPoolResult},
      Known{{"run_until_complete", "asyncio/base_events.py"}, ResultWait::kEventLoop},
  };
  const std::size_t depth = std::min(thread.python.size(), kTellingDepth);
  for (const model::PythonFrame& frame : std::span{thread.python}.first(depth)) {
    for (const Known& known : kResults) {
      if (is(frame, known.name)) return known.wait;
    }
  }
  return ResultWait::kNone;
}

}  // namespace stucktrace::diagnose
