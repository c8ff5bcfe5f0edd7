#include "tracer/render/thread_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "tracer/base/text.h"
#include "tracer/render/escape.h"
#include "tracer/render/wait_text.h"

namespace stucktrace::render {
namespace {

constexpr std::size_t kNameLimit = 24;

enum class Likeness : std::uint8_t { kPlace, kThing, kKind };

// How long the calls of a group may still take: equal waits begun one after the other differ in it.
struct Span {
  std::optional<base::Nanoseconds> least;
  std::optional<base::Nanoseconds> most;

  void add(const std::optional<base::Nanoseconds>& value) {
    if (!value) return;
    if (!least || *value < *least) least = value;
    if (!most || *value > *most) most = value;
  }
  std::string text() const {
    const std::string low = base::human_duration(*least);
    const std::string high = base::human_duration(*most);
    return low == high ? low : fmt::format("{} to {}", low, high);
  }
};

std::string time_text(const std::vector<Member>& members) {
  Span left;
  Span limit;
  for (const Member& member : members) {
    const model::Wait& wait = member.thread->wait;
    left.add(wait.remaining);
    if (!wait.remaining) limit.add(wait.timeout);
  }
  if (left.least) return ", " + left.text() + " left";
  if (limit.least) return ", at most " + limit.text();
  return {};
}

std::string name_of(const Member& member) {
  const model::Thread& thread = *member.thread;
  if (!thread.name.empty()) return thread.name;
  return thread.comm == member.process->comm ? std::string() : thread.comm;
}

// "(reader-1, reader-2, reader-3, … 209 more names)"; "" where they have none of their own.
std::string names_text(const std::vector<Member>& members) {
  constexpr std::size_t kShown = 3;
  std::set<std::string> names;
  for (const Member& member : members) {
    if (std::string name = name_of(member); !name.empty()) names.insert(std::move(name));
  }
  if (names.empty()) return {};
  std::string text;
  std::size_t shown = 0;
  for (const std::string& name : names) {
    if (shown == kShown) break;
    text += (shown++ == 0 ? "" : ", ") + terminal_text(name, kNameLimit);
  }
  if (names.size() > kShown) text += fmt::format(", … {} more names", names.size() - kShown);
  return " (" + text + ")";
}

// "" where they wait in different places.
std::string common_place(const std::vector<Member>& members) {
  std::string place = place_text(*members.front().thread);
  const bool common = std::ranges::all_of(
      members, [&](const Member& member) { return place_text(*member.thread) == place; });
  return common ? place : std::string();
}

std::vector<ThreadGroup> grouped(const std::vector<Member>& members, Likeness likeness,
                                 base::Instant now) {
  using Key = std::tuple<std::string, std::string, std::string>;  // who, what, where
  std::vector<std::pair<Key, ThreadGroup>> groups;
  std::map<Key, std::size_t> index;
  for (const Member& member : members) {
    const bool kind_only = likeness == Likeness::kKind;
    Key key{kind_only ? terminal_text(member.process->comm, kNameLimit)
                      : process_label(*member.process),
            kind_only ? wait_kind_text(*member.thread) : wait_thing_text(*member.thread),
            likeness == Likeness::kPlace ? place_text(*member.thread) : std::string()};
    const auto [at, fresh] = index.try_emplace(key, groups.size());
    if (fresh) groups.emplace_back(std::move(key), ThreadGroup{});
    ThreadGroup& group = groups[at->second].second;
    // Threads of one process come together.
    if (group.members.empty() || group.members.back().process != member.process) ++group.processes;
    group.members.push_back(member);
    if (!member.thread->waiting_since) continue;
    const base::Nanoseconds since = now - *member.thread->waiting_since;
    if (!group.longest || since > *group.longest) group.longest = since;
  }
  std::vector<ThreadGroup> result;
  for (auto& [key, group] : groups) {
    const std::string& who = std::get<0>(key);
    const std::string& what = std::get<1>(key);
    const std::string place = common_place(group.members);
    group.who = group.processes > 1 ? fmt::format("{} processes {}", group.processes, who)
                                    : process_label(*group.members.front().process);
    group.what =
        fmt::format("{}{}{}{}", what, place.empty() ? "" : " ", place, time_text(group.members));
    if (group.members.front().thread->wait.polling && likeness != Likeness::kKind) {
      group.what += polling_text(*group.members.front().thread);
    }
    result.push_back(std::move(group));
  }
  return result;
}

bool has_ended(const model::Thread& thread) {
  return thread.state == 'Z' || thread.state == 'X' || thread.state == 'x';
}

}  // namespace

std::vector<Member> members_of(const model::Snapshot& snapshot, bool tree_only) {
  std::vector<Member> members;
  for (const model::Process& process : snapshot.processes) {
    if (tree_only && !process.in_tree) continue;
    for (const model::Thread& thread : process.threads) {
      if (!has_ended(thread)) members.push_back({&process, &thread});
    }
  }
  return members;
}

std::vector<ThreadGroup> group_threads(const std::vector<Member>& members, base::Instant now,
                                       std::size_t most) {
  for (const Likeness likeness : {Likeness::kPlace, Likeness::kThing}) {
    auto groups = grouped(members, likeness, now);
    if (groups.size() <= most) return groups;
  }
  auto groups = grouped(members, Likeness::kKind, now);
  std::ranges::stable_sort(groups, std::ranges::greater{},
                           [](const ThreadGroup& group) { return group.members.size(); });
  return groups;
}

std::string group_text(const ThreadGroup& group) {
  const std::size_t count = group.members.size();
  std::string text;
  if (count > 1 && count != group.processes) {
    text = fmt::format("{} threads{}: ", count, names_text(group.members));
  }
  text += group.what;
  if (group.longest) {
    text +=
        fmt::format(", for {}{}", count > 1 ? "up to " : "", base::human_duration(*group.longest));
  }
  return text;
}

std::string thread_label(const Member& member) {
  if (member.thread->tid == base::main_thread(member.process->pid)) return "main thread";
  const std::string name = name_of(member);
  return name.empty() ? fmt::format("thread {}", member.thread->tid)
                      : fmt::format("thread {} ({})", member.thread->tid, terminal_text(name, 40));
}

std::string process_label(const model::Process& process) {
  return fmt::format("{} {} ({})", process.role.empty() ? "-" : process.role,
                     terminal_text(process.comm, 20), process.pid);
}

std::string place_text(const model::Thread& thread) {
  constexpr std::size_t kShown = 3;
  constexpr std::size_t kFunctionLimit = 40;
  std::vector<std::string> functions;
  for (const model::PythonFrame& frame : thread.python) {
    if (functions.size() == kShown) break;
    functions.push_back(terminal_text(frame.function, kFunctionLimit));
  }
  if (functions.empty() && !thread.stack.empty()) {
    // The library that makes the system call says no more than the call itself; its caller does.
    const std::string& library = thread.stack.front().module;
    for (const model::NativeFrame& frame : thread.stack) {
      if (functions.size() == kShown - 1) break;
      if (frame.module == library || frame.function.empty() || frame.function == "_start") continue;
      functions.push_back(terminal_text(frame.function, kFunctionLimit));
    }
  }
  std::string text;
  for (const std::string& function : functions) text += (text.empty() ? "in " : " ← ") + function;
  return text;
}

}  // namespace stucktrace::render
