#include "tracer/diagnose/phases.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "tracer/diagnose/frame_names.h"

namespace stucktrace::diagnose {
namespace {

std::string_view last_two_parts(std::string_view path) {
  const std::size_t last = path.rfind('/');
  if (last == std::string_view::npos || last == 0) return path;
  const std::size_t before = path.rfind('/', last - 1);
  return before == std::string_view::npos ? path : path.substr(before + 1);
}

constexpr std::array kPythonExit{
    FrameName{"_exit_function", "multiprocessing/util.py"},
    FrameName{"_shutdown", "threading.py"},
    FrameName{"_python_exit", "concurrent/futures/thread.py"},
    FrameName{"_python_exit", "concurrent/futures/process.py"},
};
// Runs at exit, but q.join_thread() calls it too (then join_thread is on the stack).
constexpr FrameName kFinalizeJoin{"_finalize_join", "multiprocessing/queues.py"};
constexpr FrameName kJoinThread{"join_thread", "multiprocessing/queues.py"};

constexpr std::array<std::string_view, 6> kNativeExit{
    "exit", "__run_exit_handlers", "__cxa_finalize", "Py_FinalizeEx", "Py_Finalize", "Py_Exit"};

std::optional<std::string> python_exit_frame(const model::Thread& thread) {
  const bool explicit_join =
      std::ranges::any_of(thread.python, [](const auto& frame) { return is(frame, kJoinThread); });
  // Outermost first: the frame that started the exit tells most.
  for (auto frame = thread.python.rbegin(); frame != thread.python.rend(); ++frame) {
    for (const FrameName& name : kPythonExit) {
      if (is(*frame, name)) return fmt::format("{} ({})", name.function, name.file);
    }
    if (!explicit_join && is(*frame, kFinalizeJoin)) {
      return fmt::format("{} ({})", kFinalizeJoin.function, kFinalizeJoin.file);
    }
  }
  return std::nullopt;
}

std::optional<std::string> native_exit_frame(const model::Thread& thread) {
  // dlclose(3) runs __cxa_finalize for one library; the process goes on.
  const bool unloading = std::ranges::any_of(thread.stack, [](const auto& frame) {
    return frame.function == "dlclose" || frame.function == "_dl_close";
  });
  for (auto frame = thread.stack.rbegin(); frame != thread.stack.rend(); ++frame) {
    if (unloading && frame->function == "__cxa_finalize") continue;
    if (std::ranges::find(kNativeExit, frame->function) == kNativeExit.end()) continue;
    return frame->module.empty() ? frame->function
                                 : fmt::format("{} ({})", frame->function, frame->module);
  }
  return std::nullopt;
}

struct WaitingFrame {
  FrameName name;
  FrameWait wait;
};
constexpr std::array kWaitingFrames{
    WaitingFrame{{"_feed", "multiprocessing/queues.py"}, FrameWait::kQueueFeeder},
    WaitingFrame{{"join", "multiprocessing/process.py"}, FrameWait::kChildWait},
    WaitingFrame{{"wait", "multiprocessing/forking.py"}, FrameWait::kChildWait},
    WaitingFrame{{"poll", "multiprocessing/forking.py"}, FrameWait::kChildWait},
    WaitingFrame{{"wait", "multiprocessing/popen_fork.py"}, FrameWait::kChildWait},
    WaitingFrame{{"poll", "multiprocessing/popen_fork.py"}, FrameWait::kChildWait},
    WaitingFrame{{"poll", "multiprocessing/popen_forkserver.py"}, FrameWait::kChildWait},
    WaitingFrame{{"wait", "multiprocessing/popen_spawn_posix.py"}, FrameWait::kChildWait},
    WaitingFrame{{"wait", "subprocess.py"}, FrameWait::kChildWait},
    WaitingFrame{{"_wait", "subprocess.py"}, FrameWait::kChildWait},
    WaitingFrame{{"_try_wait", "subprocess.py"}, FrameWait::kChildWait},
    WaitingFrame{{"join", "threading.py"}, FrameWait::kThreadJoin},
    WaitingFrame{{"_wait_for_tstate_lock", "threading.py"}, FrameWait::kThreadJoin},
    // At exit it takes the locks that the other threads give back when they end.
    WaitingFrame{{"_shutdown", "threading.py"}, FrameWait::kThreadJoin},
    WaitingFrame{{"acquire", "threading.py"}, FrameWait::kLock},
    WaitingFrame{{"wait", "threading.py"}, FrameWait::kLock},
};

// A program's own code, as opposed to the standard library's (.../lib/python3.11/x.py) and to
// modules without a file (<frozen importlib>).
bool is_own_code(const model::PythonFrame& frame) {
  if (frame.file.empty() || frame.file.front() == '<') return false;
  for (const std::string_view folder : {"/lib/python", "/lib64/python"}) {
    const std::size_t at = frame.file.find(folder);
    const std::size_t version = at + folder.size();
    if (at == std::string::npos || version >= frame.file.size()) continue;
    if (frame.file[version] >= '0' && frame.file[version] <= '9') return false;
  }
  return true;
}

// The innermost frame of what the program's author wrote; else of what was installed beside it.
std::vector<model::PythonFrame>::const_iterator find_own(
    const std::vector<model::PythonFrame>& frames) {
  const auto own = std::ranges::find_if(frames, is_own_code);
  if (own != frames.end()) return own;
  return std::ranges::find_if(frames, [](const model::PythonFrame& frame) {
    return frame.file.find("-packages/") != std::string::npos;
  });
}

bool is_exit_frame(const model::PythonFrame& frame) {
  return std::ranges::any_of(kPythonExit, [&](const FrameName& name) { return is(frame, name); });
}

// Which frames a person needs: where it is, what called it there (the exit, or the program's own
// line), and the library's word for the wait between the two.
std::vector<std::size_t> telling_indexes(const std::vector<model::PythonFrame>& frames,
                                         std::size_t limit) {
  std::vector<std::size_t> chosen;
  const auto choose = [&](std::size_t index) {
    if (index < frames.size() && chosen.size() < limit &&
        std::ranges::find(chosen, index) == chosen.end()) {
      chosen.push_back(index);
    }
  };
  const auto index_of = [&](auto at) { return static_cast<std::size_t>(at - frames.begin()); };
  choose(0);
  if (const auto exit = std::ranges::find_if(frames, is_exit_frame); exit != frames.end()) {
    choose(index_of(exit));
  } else if (const auto own = find_own(frames); own != frames.end()) {
    choose(index_of(own));
    if (own != frames.begin()) choose(index_of(own) - 1);
  }
  for (std::size_t i = std::min(frames.size(), kTellingDepth); i > 0; --i) {
    for (const WaitingFrame& known : kWaitingFrames) {
      if (known.wait != FrameWait::kLock && is(frames[i - 1], known.name)) choose(i - 1);
    }
  }
  for (std::size_t i = 1; i < frames.size(); ++i) choose(i);
  std::ranges::sort(chosen);
  return chosen;
}

// What a C library is made of inside, where its file has the names: reserved ones, and musl's for a
// system call that may be cancelled.
bool is_internal(std::string_view function) {
  return function.starts_with('_') || function == "sccp";
}

bool any_frame_of(const model::Process& process, std::string_view directory_or_file) {
  for (const model::Thread& thread : process.threads) {
    for (const model::PythonFrame& frame : thread.python) {
      if (frame.file.find(directory_or_file) != std::string::npos) return true;
    }
  }
  return false;
}

}  // namespace

std::optional<ExitPhase> exit_phase(const model::Process& process) {
  for (const model::Thread& thread : process.threads) {
    if (auto frame = python_exit_frame(thread)) return ExitPhase{thread.tid, std::move(*frame)};
  }
  for (const model::Thread& thread : process.threads) {
    if (auto frame = native_exit_frame(thread)) return ExitPhase{thread.tid, std::move(*frame)};
  }
  return std::nullopt;
}

FrameWait frame_wait(const model::Thread& thread) {
  const std::size_t depth = std::min(thread.python.size(), kTellingDepth);
  FrameWait lock = FrameWait::kNothingKnown;
  for (std::size_t i = 0; i < depth; ++i) {
    for (const WaitingFrame& known : kWaitingFrames) {
      if (!is(thread.python[i], known.name)) continue;
      // Conditions and locks are what joins are made of: an outer, more telling frame wins.
      if (known.wait != FrameWait::kLock) return known.wait;
      lock = FrameWait::kLock;
    }
  }
  return lock;
}

bool uses_multiprocessing(const model::Process& process) {
  return any_frame_of(process, "/multiprocessing/");
}

bool uses_subprocess(const model::Process& process) {
  return any_frame_of(process, "/subprocess.py");
}

std::string frame_place(const model::PythonFrame& frame) {
  return fmt::format("{} ({}:{})", frame.function, last_two_parts(frame.file), frame.line);
}

std::optional<model::PythonFrame> own_frame(const model::Thread& thread) {
  const auto own = find_own(thread.python);
  return own == thread.python.end() ? std::nullopt : std::optional{*own};
}

std::vector<std::string> telling_frames(const model::Thread& thread, std::size_t limit) {
  std::vector<std::string> lines;
  for (const std::size_t index : telling_indexes(thread.python, limit)) {
    const model::PythonFrame& frame = thread.python[index];
    lines.push_back(frame_place(frame));
  }
  if (!lines.empty()) return lines;
  const auto tells = [](const model::NativeFrame& frame) {
    return !frame.function.empty() && !is_internal(frame.function);
  };
  const auto first = std::ranges::find_if(thread.stack, tells);
  // Of a library's own functions only, they are better than nothing.
  const bool all_internal = first == thread.stack.end();
  for (auto at = all_internal ? thread.stack.begin() : first; at != thread.stack.end(); ++at) {
    const model::NativeFrame& frame = *at;
    if (lines.size() >= limit) break;
    if (frame.function.empty() || frame.function == "_start") continue;
    if (!frame.file.empty()) {
      lines.push_back(
          fmt::format("{} ({}:{})", frame.function, last_two_parts(frame.file), frame.line));
    } else if (!frame.module.empty()) {
      lines.push_back(fmt::format("{} ({})", frame.function, frame.module));
    } else {
      lines.push_back(frame.function);
    }
  }
  return lines;
}

}  // namespace stucktrace::diagnose
