#include "tracer/render/watch_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>
#include <tuple>

#include "tracer/model/wait_kind.h"
#include "tracer/render/escape.h"
#include "tracer/render/wait_text.h"

namespace stucktrace::render {
namespace {

using model::Process;
using model::Snapshot;
using model::Thread;

constexpr std::size_t kLongestName = 200;

bool has_ended(char state) {
  return state == 'Z' || state == 'X' || state == 'x';
}

// Processes that a finding speaks of are shown, whether or not they belong to the tree.
std::set<base::Pid> spoken_of(const model::Diagnosis& diagnosis) {
  std::set<base::Pid> pids;
  for (const model::Finding& finding : diagnosis.findings) {
    pids.insert(finding.pid);
    for (const model::ChainLink& link : finding.chain) pids.insert(link.pid);
  }
  return pids;
}

// What a process is called: its comm, and the arguments that tell it from its like.
std::string process_name(const Process& process) {
  std::string name = terminal_text(process.comm, kLongestName);
  if (process.argv.size() < 2) return name;
  std::vector<std::string> arguments(process.argv.begin() + 1, process.argv.end());
  for (std::string& argument : arguments) {
    // Of a path the end tells most; there is little room.
    const std::size_t slash = argument.rfind('/');
    const bool plain = argument.find_first_of(" \n=") == argument.npos;
    if (plain && slash != argument.npos && slash + 1 < argument.size()) {
      argument.erase(0, slash + 1);
    }
  }
  return cut(name + ' ' + command_text(arguments, kLongestName), kLongestName);
}

// The column's heading says "waits for" already.
std::string short_wait(const Thread& thread) {
  std::string text = has_ended(thread.state) ? "has ended, waits to be reaped" : wait_text(thread);
  constexpr std::string_view kSaid = "waits for ";
  if (text.starts_with(kSaid)) text.erase(0, kSaid.size());
  return text;
}

// Two looks that give the same key saw one and the same wait. A polling loop moves all the time.
std::string key_of(const Thread& thread) {
  const auto& wait = thread.wait;
  const auto kind = model::as_seen_without_frames(wait.kind);
  std::string key = fmt::format("{}", static_cast<int>(kind));
  if (wait.polling) return key + " polls " + wait.polling_text;
  const auto& counters = thread.counters;
  return fmt::format("{} {} {} {} {}", key, thread.state, counters.voluntary_switches,
                     counters.involuntary_switches, counters.cpu_ticks);
}

WatchMood mood_of(const Thread& thread, const model::Diagnosis& diagnosis) {
  const auto& all = diagnosis.threads;
  const auto known = std::ranges::lower_bound(all, thread.tid, {}, &model::ThreadAssessment::tid);
  if (known != all.end() && known->tid == thread.tid) {
    switch (known->verdict) {
      case model::ThreadVerdict::kRunning:
        return WatchMood::kRunning;
      case model::ThreadVerdict::kSlow:
        return WatchMood::kSlow;
      case model::ThreadVerdict::kStopped:
        return WatchMood::kStopped;
      case model::ThreadVerdict::kStuck:
        return WatchMood::kStuck;
      case model::ThreadVerdict::kWaiting:
        return WatchMood::kWaiting;
    }
  }
  if (thread.wait.kind == model::WaitKind::kStopped) return WatchMood::kStopped;
  return thread.wait.kind == model::WaitKind::kRunning ? WatchMood::kRunning : WatchMood::kWaiting;
}

// Says who can end a wait, as far as the rows on the screen name them.
class WhomText {
 public:
  WhomText(const Snapshot& snapshot, const std::map<base::Tid, std::string>& roles,
           const std::set<base::Pid>& shown)
      : roles_(roles), shown_(shown) {
    for (const Process& process : snapshot.processes) {
      for (const Thread& thread : process.threads) owner_[thread.tid] = &process;
    }
  }

  std::string operator()(base::Pid self, std::span<const model::Edge> edges) const {
    std::map<const Process*, std::set<base::Tid>> targets;
    bool timer = false;
    bool outside = false;
    for (const model::Edge& edge : edges) {
      timer = timer || edge.timer.has_value();
      outside = outside || edge.outside;
      for (const base::Tid tid : edge.to) {
        const auto owner = owner_.find(tid);
        if (owner != owner_.end()) targets[owner->second].insert(tid);
      }
    }
    std::vector<std::pair<const Process*, std::string>> names;
    for (const auto& [process, tids] : targets) names.emplace_back(process, name(*process, tids));
    // The process's own other threads last: whoever else holds the other end is more likely meant.
    std::ranges::sort(names, {}, [self](const auto& each) {
      return std::tuple{each.first->pid == self, !each.first->in_tree, each.first->pid};
    });
    constexpr std::size_t kShown = 2;
    std::string text;
    for (std::size_t i = 0; i < names.size() && i < kShown; ++i) {
      text += (i == 0 ? "" : " ") + names[i].second;
    }
    if (names.size() > kShown) text += fmt::format(" +{}", names.size() - kShown);
    if (!text.empty()) return text;
    return outside ? "outside" : timer ? "clock" : "";
  }

 private:
  std::string name(const Process& process, const std::set<base::Tid>& tids) const {
    if (!shown_.contains(process.pid)) {
      return fmt::format("{} {}", terminal_text(process.comm, 16), process.pid);
    }
    if (tids.size() == 1 && process.threads.size() > 1) {
      const auto role = roles_.find(*tids.begin());
      if (role != roles_.end()) return role->second;
    }
    return process.role.empty() ? fmt::format("{}", process.pid) : process.role;
  }

  const std::map<base::Tid, std::string>& roles_;
  const std::set<base::Pid>& shown_;
  std::map<base::Tid, const Process*> owner_;
};

}  // namespace

int WatchBook::number_for(base::Pid pid, bool is_main) {
  if (is_main) return 1;
  const auto [at, fresh] = last_number_.try_emplace(pid, 1);
  return ++at->second;
}

void WatchBook::note(Entry& entry, const Process& process, const Thread& thread, base::Instant now,
                     bool fresh) {
  WatchThread& shown = entry.shown;
  if (fresh) {
    shown.tid = thread.tid;
    shown.pid = process.pid;
    shown.started = thread.start_time;
    entry.first_seen = now;
    entry.newcomer = !first_look_;
    entry.number = number_for(process.pid, shown.is_main());
  }
  const std::string key = key_of(thread);
  if (key != entry.wait_key) {
    // Between two looks the wait may have begun at any time since the former.
    entry.waits_since = now;
    entry.older = fresh && first_look_;
    entry.wait_key = key;
  }
  if (!thread.name.empty()) entry.runtime_name = thread.name;
  entry.gone_at.reset();

  shown.parent = process.parent;
  const std::string role = process.role.empty() ? fmt::format("{}", process.pid) : process.role;
  shown.role = shown.is_main() ? role : fmt::format("{}.T{}", role, entry.number);
  shown.name = shown.is_main()
                   ? process_name(process)
                   : terminal_text(entry.runtime_name.empty() ? thread.comm : entry.runtime_name,
                                   kLongestName);
  shown.wait = short_wait(thread);
  shown.word = wait_word(thread);
  shown.fresh = entry.newcomer && now - entry.first_seen < kNewsFor;
}

void WatchBook::observe(const WatchLook& look) {
  const Snapshot& snapshot = *look.snapshot;
  const base::Instant now = snapshot.taken_at;
  const std::set<base::Pid> extra = spoken_of(look.diagnosis);

  std::set<base::Pid> shown;
  std::map<base::Tid, std::string> roles;
  std::vector<std::pair<Entry*, const Thread*>> present;
  std::set<Key> seen;
  all_gone_ = true;
  for (const Process& process : snapshot.processes) {
    if (!process.in_tree && !extra.contains(process.pid)) continue;
    shown.insert(process.pid);
    for (const Thread& thread : process.threads) {
      if (process.in_tree && !has_ended(thread.state)) all_gone_ = false;
      const Key key{thread.tid, thread.start_time};
      const auto [at, fresh] = entries_.try_emplace(key);
      note(at->second, process, thread, now, fresh);
      seen.insert(key);
      roles[thread.tid] = at->second.shown.role;
      present.emplace_back(&at->second, &thread);
    }
  }
  first_look_ = false;

  const WhomText whom(snapshot, roles, shown);
  const auto& edges = look.diagnosis.edges;
  for (const auto& [entry, thread] : present) {
    WatchThread& told = entry->shown;
    told.mood = mood_of(*thread, look.diagnosis);
    const bool waits = told.mood != WatchMood::kRunning && !has_ended(thread->state);
    const auto own = std::ranges::equal_range(edges, thread->tid, {}, &model::Edge::from);
    told.whom = waits ? whom(told.pid, std::span(own.begin(), own.end())) : "";
    told.since.reset();
    told.at_least = false;
    if (!waits || (told.mood == WatchMood::kSlow && !thread->wait.polling)) continue;
    told.since = now - thread->waiting_since.value_or(entry->waits_since);
    told.at_least = entry->older && !thread->waiting_since;
  }

  threads_.clear();
  std::set<base::Pid> alive;
  for (auto at = entries_.begin(); at != entries_.end();) {
    auto& [key, entry] = *at;
    if (!seen.contains(key)) {
      if (!entry.gone_at) {
        entry.gone_at = now;
        entry.shown.mood = WatchMood::kGone;
        entry.shown.fresh = false;
        entry.shown.wait = "gone";
        entry.shown.whom.clear();
        entry.shown.since.reset();
      }
      if (now - *entry.gone_at >= kNewsFor) {
        at = entries_.erase(at);
        continue;
      }
    }
    alive.insert(entry.shown.pid);
    threads_.push_back(entry.shown);
    ++at;
  }
  std::erase_if(last_number_, [&](const auto& each) { return !alive.contains(each.first); });
  std::ranges::sort(threads_, {}, [](const WatchThread& thread) {
    return std::tuple{thread.pid, !thread.is_main(), thread.started, thread.tid};
  });
}

}  // namespace stucktrace::render
