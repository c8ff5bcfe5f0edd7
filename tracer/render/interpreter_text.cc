#include "tracer/render/interpreter_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tracer/render/escape.h"
#include "tracer/render/thread_groups.h"
#include "tracer/render/wait_text.h"

namespace stucktrace::render {
namespace {

constexpr std::size_t kNamesShown = 6;

std::string thread_text(const model::Process& process, base::Tid tid) {
  const auto thread = std::ranges::find(process.threads, tid, &model::Thread::tid);
  if (thread == process.threads.end()) return fmt::format("thread {}", tid);
  return thread_label({&process, &*thread});
}

std::string facts(const model::Process& process, const model::Interpreter& interpreter) {
  if (interpreter.version.empty()) return terminal_text(interpreter.note, 200);
  std::string text = "CPython " + terminal_text(interpreter.version, 40);
  if (interpreter.finalizing.value_or(false)) text += ", finalizing";
  if (!interpreter.gil_holder) {
    text += ", the lock (GIL): " + terminal_text(interpreter.gil_holder.error().because, 80);
  } else if (!*interpreter.gil_holder) {
    text += ", nobody has the lock (GIL)";
  } else {
    text += fmt::format(", {} has the lock (GIL)", thread_text(process, *interpreter.gil_holder));
  }
  if (!interpreter.note.empty()) text += "; " + terminal_text(interpreter.note, 200);
  return text;
}

std::vector<std::string> frame_lines(const model::PythonTask& task) {
  std::vector<std::string> lines;
  for (const model::PythonFrame& frame : task.frames) lines.push_back("py " + frame_text(frame));
  return lines;
}

bool is_greenlet(const model::PythonTask& task) {
  return task.kind == model::PythonTask::Kind::kGreenlet;
}

std::string what(const model::PythonTask& task) {
  if (is_greenlet(task)) return "suspended";
  if (task.current) return "is running";
  if (task.awaits.empty()) return "could run";
  return "awaits " + terminal_text(task.awaits, 80);
}

// Tasks that run the same coroutine and are at the same place.
struct TaskGroup {
  std::vector<const model::PythonTask*> tasks;
  std::vector<std::string> lines;
};

// "Task-3 serve: awaits Future", "212 tasks (Task-3, Task-4, …) serve: awaits Future",
// "3 greenlets (Greenlet) serve: suspended".
std::string group_text(const TaskGroup& group) {
  const model::PythonTask& first = *group.tasks.front();
  const std::string coroutine = terminal_text(first.coroutine, 80);
  if (is_greenlet(first)) {
    const std::string type = terminal_text(first.name, 80);
    const std::string some =
        group.tasks.size() == 1 ? "greenlet" : fmt::format("{} greenlets", group.tasks.size());
    return fmt::format("{} ({}) {}: {}", some, type, coroutine, what(first));
  }
  if (group.tasks.size() == 1) {
    const std::string name = terminal_text(first.name, 80);
    return fmt::format("{}{}: {}", name.empty() ? "" : name + " ", coroutine, what(first));
  }
  std::string names;
  for (std::size_t i = 0; i < std::min(group.tasks.size(), kNamesShown); ++i) {
    if (group.tasks[i]->name.empty()) continue;
    names += (names.empty() ? "" : ", ") + terminal_text(group.tasks[i]->name, 40);
  }
  if (!names.empty() && group.tasks.size() > kNamesShown) names += ", …";
  return fmt::format("{} tasks {}{}: {}", group.tasks.size(),
                     names.empty() ? "" : "(" + names + ") ", coroutine, what(first));
}

bool alike(const TaskGroup& group, const model::PythonTask& task,
           const std::vector<std::string>& lines) {
  const model::PythonTask& first = *group.tasks.front();
  // Of those that await other tasks each awaits another.
  const bool same_wait = first.awaits == task.awaits ||
                         (!first.awaits.empty() && !task.awaits.empty() &&
                          first.awaits.starts_with("Task-") && task.awaits.starts_with("Task-"));
  const bool same_kind = first.kind == task.kind && (!is_greenlet(task) || first.name == task.name);
  return same_kind && first.coroutine == task.coroutine && first.current == task.current &&
         same_wait && group.lines == lines;
}

// gevent's hub is a Python function that goes round in C.
bool runs_hub(const model::Thread& thread) {
  return std::ranges::any_of(thread.python, [](const model::PythonFrame& frame) {
    return frame.function == "run" && frame.file.ends_with("gevent/hub.py");
  });
}

void write_hubs(const model::Process& process, const model::Interpreter& interpreter, Page& page) {
  const auto greenlets = std::ranges::count_if(interpreter.tasks, is_greenlet);
  if (greenlets == 0) return;
  std::string text;
  for (const model::Thread& thread : process.threads) {
    if (!runs_hub(thread)) continue;
    const bool runs = thread.wait.kind == model::WaitKind::kRunning;
    text += fmt::format("the gevent hub of {} {}; ", thread_label({&process, &thread}),
                        runs ? "runs" : "waits");
  }
  text += greenlets == 1 ? "1 greenlet is suspended"
                         : fmt::format("{} greenlets are suspended", greenlets);
  page.paragraph(text, "    ", "      ");
}

void write_tasks(const model::Process& process, const model::Interpreter& interpreter, Page& page) {
  write_hubs(process, interpreter, page);
  std::vector<TaskGroup> groups;
  for (const model::PythonTask& task : interpreter.tasks) {
    auto lines = frame_lines(task);
    const auto known = std::ranges::find_if(
        groups, [&](const TaskGroup& group) { return alike(group, task, lines); });
    if (known != groups.end()) {
      known->tasks.push_back(&task);
    } else {
      groups.push_back({{&task}, std::move(lines)});
    }
  }
  for (const TaskGroup& group : groups) {
    std::string text = group_text(group);
    const base::Tid tid = group.tasks.front()->tid;
    const bool of_loop = tid && !is_greenlet(*group.tasks.front());
    if (of_loop) text += fmt::format(" (loop of {})", thread_text(process, tid));
    page.paragraph(text, "    ", "      ");
    for (const std::string& line : group.lines) page.line("      " + line, Style::kDim);
  }
  if (interpreter.tasks_left_out > 0) {
    const bool greenlets = std::ranges::any_of(interpreter.tasks, is_greenlet);
    page.line(fmt::format("    {} more {}, not read or changing", interpreter.tasks_left_out,
                          greenlets ? "tasks or greenlets" : "tasks"));
  }
}

}  // namespace

void write_interpreters(const model::Snapshot& snapshot, Page& page) {
  struct Group {
    std::string text;
    std::vector<const model::Process*> processes;
  };
  std::vector<Group> groups;
  for (const model::Process& process : snapshot.processes) {
    if (!process.interpreter) continue;
    std::string text = facts(process, *process.interpreter);
    const bool alone = !process.interpreter->tasks.empty();
    const auto known = std::ranges::find_if(groups, [&](const Group& group) {
      return group.text == text && group.processes.front()->interpreter->tasks.empty();
    });
    if (!alone && known != groups.end()) {
      known->processes.push_back(&process);
    } else {
      groups.push_back({std::move(text), {&process}});
    }
  }
  if (groups.empty()) return;
  page.line("");
  page.line("Interpreters");
  for (const Group& group : groups) {
    std::string names;
    for (std::size_t i = 0; i < std::min(group.processes.size(), kNamesShown); ++i) {
      names += (i == 0 ? "" : ", ") + process_label(*group.processes[i]);
    }
    if (group.processes.size() > kNamesShown) {
      names += fmt::format(" and {} more", group.processes.size() - kNamesShown);
    }
    page.paragraph(fmt::format("{}: {}", names, group.text), "  ", "    ");
    const model::Process& first = *group.processes.front();
    write_tasks(first, *first.interpreter, page);
  }
}

}  // namespace stucktrace::render
