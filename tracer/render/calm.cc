#include "tracer/render/calm.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>

#include "tracer/base/text.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_scope.h"
#include "tracer/render/thread_groups.h"
#include "tracer/render/wait_text.h"

namespace stucktrace::render {
namespace {

using model::Report;
using model::ThreadVerdict;

constexpr std::size_t kTreeLines = 40;
constexpr std::size_t kWaitLines = 30;

using Verdicts = std::unordered_map<base::Tid, ThreadVerdict>;

Verdicts verdicts_of(const Report& report) {
  Verdicts verdicts;
  for (const model::ThreadAssessment& each : report.diagnosis.threads) {
    verdicts[each.tid] = each.verdict;
  }
  return verdicts;
}

std::string plural(std::size_t count, std::string_view one) {
  const std::string_view ending = count == 1 ? "" : one.ends_with("ss") ? "es" : "s";
  return fmt::format("{} {}{}", count, one, ending);
}

// Threads of the trees that wait for nobody knows what: their system call was refused.
std::size_t hidden_threads(const Report& report) {
  if (!report.snapshot) return 0;
  const auto members = members_of(*report.snapshot, true);
  return static_cast<std::size_t>(std::ranges::count_if(members, [](const Member& member) {
    return !member.thread->syscall && member.thread->wait.on.size() == 1 &&
           std::holds_alternative<model::OnUnknown>(member.thread->wait.on.front());
  }));
}

using Counts = std::map<ThreadVerdict, std::size_t>;

ThreadVerdict liveliest(Counts& counts, std::size_t threads) {
  for (const auto verdict : {ThreadVerdict::kRunning, ThreadVerdict::kSlow}) {
    if (counts[verdict] > 0) return verdict;
  }
  return counts[ThreadVerdict::kStopped] == threads ? ThreadVerdict::kStopped
                                                    : ThreadVerdict::kWaiting;
}

std::string activity_text(ThreadVerdict verdict, const Counts& counts, std::size_t threads,
                          const model::Thread& main) {
  const auto found = counts.find(verdict);
  const std::size_t count = found == counts.end() ? 0 : found->second;
  const std::string share =
      threads == 1 ? std::string() : fmt::format(" ({} of {} threads)", count, threads);
  switch (verdict) {
    case ThreadVerdict::kRunning:
      return "running" + share;
    case ThreadVerdict::kSlow:
      return fmt::format("slow, it moves on: {}{}", wait_text(main), share);
    case ThreadVerdict::kStopped:
      return "stopped by a signal or a tracer";
    default:
      return (main.wait.polling ? "asks again and again: " : "idle: ") + wait_text(main);
  }
}

// The root that each process of the trees is told under.
class Heads {
 public:
  explicit Heads(const Report& report)
      : snapshot_(*report.snapshot), split_(report.look && report.look->whole_machine) {}

  const model::Process* of(const model::Process& process) const {
    const model::Process* head = &process;
    // No deeper than there are processes, whatever the parents say.
    for (std::size_t steps = 0; steps < snapshot_.processes.size(); ++steps) {
      const model::Process* parent = snapshot_.find(head->parent);
      if (is_root(*head) || parent == nullptr || !parent->in_tree) break;
      if (split_ && is_root(*parent)) break;
      head = parent;
    }
    return head;
  }

 private:
  bool is_root(const model::Process& process) const {
    return std::ranges::find(snapshot_.roots, process.pid) != snapshot_.roots.end();
  }
  const model::Snapshot& snapshot_;
  bool split_;
};

void write_trees(const std::vector<TreeActivity>& trees, Page& page) {
  struct Line {
    std::string who;
    std::string text;
    std::size_t trees = 0;
    std::size_t rank = 0;  // the liveliest first
  };
  std::vector<Line> lines;
  std::map<std::pair<std::string, std::string>, std::size_t> alike;
  for (const TreeActivity& tree : trees) {
    std::string name = terminal_text(tree.root->comm, 20);
    std::string more;
    if (tree.processes > 1) more = fmt::format(" +{}", plural(tree.processes - 1, "process"));
    const auto [at, fresh] = alike.try_emplace({name + more, tree.text}, lines.size());
    if (!fresh) {
      Line& line = lines[at->second];
      line.who = fmt::format("{} × {}{}", ++line.trees, name, more);
      continue;
    }
    const std::size_t rank = tree.verdict == ThreadVerdict::kRunning   ? 0
                             : tree.verdict == ThreadVerdict::kSlow    ? 1
                             : tree.verdict == ThreadVerdict::kStopped ? 2
                                                                       : 3;
    lines.push_back({process_label(*tree.root) + more, tree.text, 1, rank});
  }
  std::ranges::stable_sort(lines, {}, &Line::rank);
  std::size_t widest = 0;
  for (const Line& line : lines) widest = std::max(widest, columns(line.who));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i == kTreeLines && !page.options().verbose) {
      page.line(fmt::format("  … and {} more lines like these (-v)", lines.size() - kTreeLines));
      break;
    }
    const std::string pad(widest - columns(lines[i].who), ' ');
    page.paragraph(lines[i].text, fmt::format("  {}{}  ", lines[i].who, pad),
                   std::string(widest + 6, ' '));
  }
}

// What everybody waits for, equal threads together.
void write_waits(const Report& report, Page& page) {
  const auto groups =
      group_threads(members_of(*report.snapshot, true), report.snapshot->taken_at, kWaitLines);
  std::size_t widest = 0;
  for (const ThreadGroup& group : groups) widest = std::max(widest, columns(group.who));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i == kWaitLines) {
      page.line(fmt::format("  … and {} more kinds of waiting", groups.size() - kWaitLines));
      break;
    }
    const std::string pad(widest - columns(groups[i].who), ' ');
    page.paragraph(group_text(groups[i]), fmt::format("  {}{}  ", groups[i].who, pad),
                   std::string(widest + 6, ' '));
  }
}

// Threads that moved, or that ask or nap over and over: a longer look tells what becomes of them.
void write_advice(const Report& report, Page& page) {
  const std::string command = longer_look(report);
  if (command.empty()) return;
  const Verdicts verdicts = verdicts_of(report);
  std::size_t restless = 0;
  std::size_t threads = 0;
  for (const Member& member : members_of(*report.snapshot, true)) {
    ++threads;
    const auto verdict = verdicts.find(member.thread->tid);
    const bool slow = verdict != verdicts.end() && verdict->second == ThreadVerdict::kSlow;
    const model::Wait& wait = member.thread->wait;
    const bool naps = wait.timeout && *wait.timeout <= std::chrono::seconds{1};
    restless += slow || wait.polling || naps ? 1 : 0;
  }
  if (restless == 0) return;
  page.line("");
  page.paragraph(
      fmt::format("{} of {} only napped, polled or moved slowly meanwhile; a longer look "
                  "tells more: {}",
                  restless, plural(threads, "thread"), command),
      "", "");
}

}  // namespace

std::vector<TreeActivity> tree_activities(const Report& report) {
  std::vector<TreeActivity> trees;
  if (!report.snapshot) return trees;
  const Heads heads(report);
  const Verdicts verdicts = verdicts_of(report);
  std::map<base::Pid, std::pair<std::size_t, Counts>> index;  // by root: place and verdicts
  for (const model::Process& process : report.snapshot->processes) {
    if (!process.in_tree) continue;
    const model::Process* head = heads.of(process);
    const auto [at, fresh] = index.try_emplace(head->pid, trees.size(), Counts{});
    if (fresh) trees.push_back({head, 0, 0, {}, {}});
    TreeActivity& tree = trees[at->second.first];
    ++tree.processes;
    tree.threads += process.threads.size();
    for (const model::Thread& thread : process.threads) {
      const auto verdict = verdicts.find(thread.tid);
      if (verdict != verdicts.end()) ++at->second.second[verdict->second];
    }
  }
  for (TreeActivity& tree : trees) {
    Counts& counts = index.at(tree.root->pid).second;
    tree.verdict = liveliest(counts, tree.threads);
    tree.text = tree.root->threads.empty()
                    ? std::string("has ended")
                    : activity_text(tree.verdict, counts, tree.threads, tree.root->threads.front());
    if (tree.root->frozen) {
      tree.text = "frozen with its control group, until somebody thaws it";
    } else if (tree.root->cpu_starved) {
      tree.text += "; its control group was kept off the CPU meanwhile (cpu.max)";
    }
  }
  return trees;
}

std::string calm_sentence(const Report& report) {
  if (!report.snapshot || report.diagnosis.threads.empty()) return "Nothing is stuck.";
  const Verdicts verdicts = verdicts_of(report);
  Counts counts;
  std::set<base::Pid> processes;
  std::size_t threads = 0;
  for (const Member& member : members_of(*report.snapshot, true)) {
    const auto verdict = verdicts.find(member.thread->tid);
    if (verdict == verdicts.end()) continue;
    processes.insert(member.process->pid);
    ++counts[verdict->second];
    ++threads;
  }
  std::string text = "Nothing is stuck: ";
  if (const std::size_t hidden = hidden_threads(report); hidden > 0) {
    text = fmt::format("Nothing was found stuck, but what {} of {} {} could not be seen: ", hidden,
                       plural(threads, "thread"), hidden == 1 ? "does" : "do");
  }
  text += plural(processes.size(), "process") + ", " + plural(threads, "thread");
  std::string_view before = ": ";
  using enum ThreadVerdict;
  for (const auto verdict : {kWaiting, kRunning, kSlow, kStopped, kStuck}) {
    if (counts[verdict] == 0) continue;
    text +=
        fmt::format("{}{} {}", std::exchange(before, ", "), counts[verdict], to_string(verdict));
  }
  return text + ".";
}

void write_calm(const Report& report, Page& page) {
  const Style style = hidden_threads(report) == 0 ? Style::kGood : Style::kWarn;
  page.paragraph(calm_sentence(report), "", "", style);
  if (!report.snapshot || report.snapshot->processes.empty()) return;
  page.line("");
  const std::vector<TreeActivity> trees = tree_activities(report);
  // Of a few threads each has its line, which says all that a line for their tree could.
  constexpr std::size_t kFew = 8;
  std::size_t threads = 0;
  for (const TreeActivity& tree : trees) threads += tree.threads;
  if (threads > kFew || trees.size() > 1) write_trees(trees, page);
  if (trees.size() == 1) {
    if (threads > kFew) page.line("");
    write_waits(report, page);
  }
  write_advice(report, page);
}

}  // namespace stucktrace::render
