#include "tracer/unwind/python_awaited.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "tracer/unwind/python_memory.h"
#include "tracer/unwind/python_state.h"

namespace stucktrace::unwind {
namespace {

struct Place {
  std::string_view function;
  std::string_view file;  // how the source's path ends
};

// What the waits below are made of.
constexpr std::array kSteps{
    Place{"_wait_for_tstate_lock", "/threading.py"},
    Place{"wait", "/threading.py"},  // 2.7: a condition
    Place{"select", "/selectors.py"},
    Place{"wait", "/multiprocessing/connection.py"},
    Place{"poll", "/multiprocessing/popen_fork.py"},
    Place{"wait", "/multiprocessing/popen_fork.py"},
    Place{"poll", "/multiprocessing/popen_forkserver.py"},
    Place{"poll", "/multiprocessing/forking.py"},
    Place{"wait", "/multiprocessing/forking.py"},
    Place{"_try_wait", "/subprocess.py"},
    Place{"_wait", "/subprocess.py"},
    Place{"_wait_pidfd", "/subprocess.py"},  // 3.15
    Place{"_eintr_retry_call", "/subprocess.py"},
};
constexpr Place kThreadJoin{"join", "/threading.py"};
constexpr Place kShutdown{"_shutdown", "/threading.py"};
constexpr Place kProcessJoin{"join", "/multiprocessing/process.py"};
constexpr Place kPopenWait{"wait", "/subprocess.py"};

bool is(const model::PythonFrame& frame, const Place& place) {
  return frame.function == place.function && frame.file.ends_with(place.file);
}

bool is_step(const model::PythonFrame& frame) {
  return std::ranges::any_of(kSteps, [&](const Place& step) { return is(frame, step); });
}

}  // namespace

std::uint64_t PythonAwaited::lock_word(std::uint64_t lock) const {
  const PythonLayout& layout = objects_.layout();
  if (layout.lock_native < 0) return 0;
  if (!objects_.is_a(lock, layout.major < 3 ? "thread.lock" : "_thread.lock")) return 0;
  return read_word(objects_.memory(), lock + static_cast<std::uint64_t>(layout.lock_native));
}

std::optional<bool> PythonAwaited::is_parked_for(std::uint64_t thread, std::uint64_t futex) const {
  const PythonLayout& layout = objects_.layout();
  if (layout.parked_back < 0 || futex == 0) return std::nullopt;
  // ThreadHandle: what a join waits for is one byte in it.
  constexpr std::uint64_t kHandleSize = 64;
  const auto& memory = objects_.memory();
  const bool old = layout.version() < 314;
  const std::uint64_t handle = objects_.attribute(thread, old ? "_handle" : "_os_thread_handle");
  if (!objects_.is_a(handle, "_thread._ThreadHandle")) return false;
  const std::uint64_t native =
      read_word(memory, handle + static_cast<std::uint64_t>(layout.handle_native));
  std::uint64_t parked = 0;
  const base::RemoteAddr at{futex - static_cast<std::uint64_t>(layout.parked_back)};
  if (native == 0 || !memory.read_value(at, parked)) return false;
  return parked >= native && parked - native < kHandleSize;
}

std::optional<PythonAwaitedEnd> PythonAwaited::thread_end(std::uint64_t thread,
                                                          std::uint64_t futex) const {
  if (!objects_.is_kind_of(thread, "Thread")) return std::nullopt;
  const bool old = objects_.layout().major < 3;
  const auto ident =
      objects_.integer(objects_.attribute(thread, old ? "_Thread__ident" : "_ident"));
  if (!ident || *ident == 0) return std::nullopt;
  PythonAwaitedEnd end;
  end.pthread = *ident;
  const auto name = objects_.text(objects_.attribute(thread, old ? "_Thread__name" : "_name"));
  end.object = name.value_or("Thread");
  end.futex = lock_word(objects_.attribute(thread, "_tstate_lock"));  // 3.4 to 3.12
  // Without it nothing ties what the thread sleeps on to this join.
  if (!old && objects_.layout().version() < 313 && end.futex == 0) return std::nullopt;
  if (const auto parked = is_parked_for(thread, futex)) {
    if (!*parked) return std::nullopt;
    end.futex = futex;
  }
  return end;
}

std::optional<PythonAwaitedEnd> PythonAwaited::popen_end(std::uint64_t popen) const {
  if (!objects_.is_kind_of(popen, "Popen")) return std::nullopt;
  const auto pid = objects_.integer(objects_.attribute(popen, "pid"));
  if (!pid || *pid == 0 || *pid > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  PythonAwaitedEnd end;
  end.pid = static_cast<std::int32_t>(*pid);
  end.object = "Popen";
  return end;
}

std::optional<PythonAwaitedEnd> PythonAwaited::process_end(std::uint64_t process) const {
  auto end = popen_end(objects_.attribute(process, "_popen"));
  if (!end) return std::nullopt;
  end->object = objects_.text(objects_.attribute(process, "_name")).value_or("Process");
  return end;
}

// The locks of all threads that count are taken one after the other; 3.13 does it in C, where it is
// told by the word that it sleeps on; where that is not known, if one such thread is left.
std::optional<PythonAwaitedEnd> PythonAwaited::at_exit(std::uint64_t interpreter,
                                                       const PythonLink& link,
                                                       std::uint64_t futex) {
  const std::uint64_t active =
      objects_.item(python_module(objects_, interpreter, "threading"), "_active");
  const bool in_c = objects_.layout().version() >= 313;
  const std::uint64_t lock = in_c ? 0 : stacks_.local(link, "lock");
  if (!in_c && lock == 0) return std::nullopt;
  std::optional<PythonAwaitedEnd> found;
  std::size_t matches = 0;
  objects_.each_item(active, [&](std::uint64_t, std::uint64_t thread) {
    const bool counts =
        in_c ? is_parked_for(thread, futex).value_or(true) &&
                   objects_.truth(objects_.attribute(thread, "_daemonic")) == false &&
                   !objects_.is_kind_of(thread, "_MainThread")
             : objects_.attribute(thread, "_tstate_lock") == lock;
    if (!counts) return true;
    found = thread_end(thread, futex);
    return ++matches < 2;
  });
  return matches == 1 ? found : std::nullopt;
}

std::optional<PythonAwaitedEnd> PythonAwaited::find(std::uint64_t interpreter,
                                                    std::span<const PythonLink> chain,
                                                    std::span<const model::PythonFrame> frames,
                                                    std::uint64_t futex) {
  std::size_t at = 0;
  const std::size_t count = std::min(chain.size(), frames.size());
  std::uint64_t waiter = 0;  // 2.7: the lock that a condition sleeps on
  while (at < count && is_step(frames[at])) {
    if (frames[at].function == "wait" && frames[at].file.ends_with("/threading.py")) {
      // Elsewhere Thread.join() is not made of conditions, and this is somebody else's.
      if (objects_.layout().major >= 3) return std::nullopt;
      waiter = lock_word(stacks_.local(chain[at], "waiter"));
      if (waiter == 0) return std::nullopt;
    }
    ++at;
  }
  if (at == count) return std::nullopt;
  std::optional<PythonAwaitedEnd> end;
  if (is(frames[at], kThreadJoin)) {
    // Up to 3.12 join() itself sleeps in nothing but what stands further in.
    if (at == 0 && objects_.layout().version() < 313) return std::nullopt;
    end = thread_end(stacks_.local(chain[at], "self"), futex);
    if (end && objects_.layout().major < 3) {
      if (waiter == 0) return std::nullopt;
      end->futex = waiter;
    }
  } else if (is(frames[at], kShutdown) && at == 0) {
    end = at_exit(interpreter, chain[at], futex);
  } else if (is(frames[at], kProcessJoin)) {
    end = process_end(stacks_.local(chain[at], "self"));
  } else if (is(frames[at], kPopenWait)) {
    end = popen_end(stacks_.local(chain[at], "self"));
  }
  if (end) end->frame = at;
  return end;
}

}  // namespace stucktrace::unwind
