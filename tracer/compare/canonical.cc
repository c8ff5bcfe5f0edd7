#include "tracer/compare/canonical.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "tracer/base/text.h"
#include "tracer/compare/steps.h"

namespace stucktrace::compare {
namespace {

constexpr std::string_view kTitle = "# stucktrace canonical trace 1";
constexpr std::string_view kIndent = "  ";

struct ByTree {
  bool operator()(const std::string& a, const std::string& b) const { return Roles::before(a, b); }
};

std::unordered_set<std::int32_t> numbers_of(const std::vector<model::Event>& events) {
  std::unordered_set<std::int32_t> numbers;
  for (const auto& event : events) {
    numbers.insert(event.pid.value());
    numbers.insert(event.tid.value());
    if (const auto* made = std::get_if<model::NewTask>(&event.data)) {
      numbers.insert(made->child.value());
    }
  }
  return numbers;
}

// One pass over the events, one ThreadLines a role.
class Walk {
 public:
  Walk(const std::vector<model::Event>& events, const Options& options)
      : events_(&events),
        normalise_(numbers_of(events), options.normalise),
        roles_(events),
        things_(normalise_),
        steps_(roles_, things_, normalise_) {}

  CanonicalTrace run(const std::vector<model::FindingRecord>& findings) {
    for (std::size_t index = 0; index < events_->size(); ++index) step(index);
    CanonicalTrace trace;
    for (auto& [role, lines] : threads_) {
      add_section(trace, role, lines.take(normalise_));
    }
    for (auto& [role, facts] : processes_) {
      std::vector<std::string> lines{facts.lines.begin(), facts.lines.end()};
      if (!facts.end.empty()) lines.push_back(facts.end);
      add_section(trace, role + std::string{kProcess}, std::move(lines));
    }
    std::ranges::stable_sort(trace.sections, [](const auto& a, const auto& b) {
      return section_before(a.role, b.role);
    });
    add_section(trace, "findings", finding_lines(findings));
    return trace;
  }

 private:
  static constexpr std::string_view kProcess = " (process)";

  static bool section_before(const std::string& a, const std::string& b) {
    const auto key = [](const std::string& role) {
      return role.substr(0, role.size() - (role.ends_with(kProcess) ? kProcess.size() : 0));
    };
    const std::string x = key(a);
    const std::string y = key(b);
    // "P1", "P1/T1", "P1 (process)", "P1.1": a process's own part stands together.
    const std::string p = Roles::process_of(x);
    const std::string q = Roles::process_of(y);
    if (p != q) return Roles::before(p, q);
    const bool facts_a = a.ends_with(kProcess);
    const bool facts_b = b.ends_with(kProcess);
    if (facts_a != facts_b) return facts_b;
    return Roles::before(x, y);
  }

  static void add_section(CanonicalTrace& trace, std::string role, std::vector<std::string> lines) {
    if (!lines.empty()) trace.sections.push_back({std::move(role), std::move(lines)});
  }

  ThreadLines& lines_of(const std::string& role) { return threads_[role]; }
  ProcessFacts& facts_of(const model::Event& event, const std::string& role) {
    const std::string& main = roles_.of_pid(event.pid);
    return processes_[main.empty() ? Roles::process_of(role) : main];
  }

  void step(std::size_t index) {
    const model::Event& event = (*events_)[index];
    const std::string& role = roles_.of_event(index);
    if (role.empty()) return;
    roles_.advance(index);
    const bool is_root = roles_.is_root(role);
    if (const auto* enter = std::get_if<model::SyscallEnter>(&event.data)) {
      begin(event, *enter, role);
    }
    const auto call = pairer_.observe(event);
    const auto fresh = things_.observe(event, role, is_root);
    if (std::holds_alternative<model::SyscallExit>(event.data)) {
      if (call) finish(event, *call, fresh, role);
    } else {
      happened(index, event, role);
    }
  }

  void begin(const model::Event& event, const model::SyscallEnter& enter, const std::string& role) {
    model::Call call;
    call.pid = event.pid;
    call.tid = event.tid;
    call.raw = enter.call;
    call.memory = enter.memory;
    steps_.enter(call, lines_of(role));
  }

  void finish(const model::Event& event, const model::Call& call, const std::vector<Thing*>& fresh,
              const std::string& role) {
    // Without its entry (lost, or before the trace) the exit has to tell both.
    if (call.first_sequence == event.sequence) steps_.enter(call, lines_of(role));
    steps_.exit(call, fresh, lines_of(role), facts_of(event, role));
  }

  void happened(std::size_t index, const model::Event& event, const std::string& role) {
    if (const auto* seen = std::get_if<model::TaskSeen>(&event.data)) {
      if (seen->at_attach && !seen->argv.empty()) {
        lines_of(role).milestone("runs " + command(seen->exe, seen->argv));
      }
    } else if (const auto* exec = std::get_if<model::Exec>(&event.data)) {
      lines_of(role).program("executes " + command(exec->exe, exec->argv));
    } else if (const auto* made = std::get_if<model::NewTask>(&event.data)) {
      lines_of(role).milestone(fmt::format(
          "makes {} {}", made->kind == model::NewTaskKind::kThread ? "thread" : "process",
          roles_.made_by(index)));
    } else if (const auto* stop = std::get_if<model::SignalStop>(&event.data)) {
      // When it arrives, and at which thread, is timing; that it does is not.
      if (!is_timing_noise(stop->signo)) {
        facts_of(event, role).lines.insert("receives " + syscalls::signal_name(stop->signo));
      }
    } else if (const auto* exit = std::get_if<model::TaskExit>(&event.data)) {
      if (event.tid != base::main_thread(event.pid)) return;
      facts_of(event, role).end = exit->signaled ? "killed by " + syscalls::signal_name(exit->code)
                                                 : fmt::format("exits {}", exit->code);
    }
  }

  std::string command(const std::string& exe, const std::vector<std::string>& argv) const {
    constexpr std::size_t kMaxArguments = 40;
    std::string text = normalise_(exe);
    for (std::size_t i = 0; i < argv.size() && i < kMaxArguments; ++i) {
      text += fmt::format(" \"{}\"", normalise_(argv[i]));
    }
    if (argv.size() > kMaxArguments) text += " ...";
    return text;
  }

  std::vector<std::string> finding_lines(const std::vector<model::FindingRecord>& findings) const {
    std::set<std::string> lines;
    const auto role = [&](base::Tid tid) {
      const std::string& known = roles_.of_tid(tid);
      return known.empty() ? std::string{"<pid>"} : known;
    };
    for (const auto& record : findings) {
      const model::Finding& finding = record.finding;
      std::string line =
          fmt::format("{} ({}) {}", finding.rule, to_string(finding.certainty), role(finding.tid));
      std::vector<std::string> cycle;
      for (const base::Tid tid : finding.cycle) cycle.push_back(role(tid));
      // A cycle has no first thread; the smallest name stands first.
      if (!cycle.empty()) {
        std::ranges::rotate(cycle, std::ranges::min_element(cycle, Roles::before));
        line += fmt::format(", cycle {}", fmt::join(cycle, " -> "));
      }
      if (finding.resource) {
        const Thing* thing = things_.find(*finding.resource);
        line +=
            fmt::format(", on {}", thing == nullptr ? std::string{kind_word(finding.resource->kind)}
                                                    : thing->name);
      }
      lines.insert(std::move(line));
    }
    return {lines.begin(), lines.end()};
  }

  const std::vector<model::Event>* events_;
  Normaliser normalise_;
  Roles roles_;
  Things things_;
  Steps steps_;
  model::CallPairer pairer_;
  std::map<std::string, ThreadLines, ByTree> threads_;
  std::map<std::string, ProcessFacts, ByTree> processes_;
};

}  // namespace

CanonicalTrace canonicalise(const std::vector<model::Event>& events,
                            const std::vector<model::FindingRecord>& findings,
                            const Options& options) {
  return Walk{events, options}.run(findings);
}

std::string to_text(const CanonicalTrace& trace) {
  std::string text = fmt::format("{}\n", kTitle);
  for (const auto& section : trace.sections) {
    text += fmt::format("\n{}\n", section.role);
    for (const std::string& line : section.lines) text += fmt::format("{}{}\n", kIndent, line);
  }
  return text;
}

bool is_canonical_text(std::string_view start) {
  return start.starts_with(kTitle);
}

base::Result<CanonicalTrace> parse(std::string_view text) {
  if (!is_canonical_text(text)) return base::malformed("not a stucktrace canonical trace");
  CanonicalTrace trace;
  std::size_t number = 0;
  for (std::string_view line : base::split(text, '\n')) {
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (number == 1 || line.empty()) continue;
    if (!line.starts_with(kIndent)) {
      trace.sections.push_back({std::string{line}, {}});
    } else if (trace.sections.empty()) {
      return base::malformed(fmt::format("canonical trace, line {}: no section before it", number));
    } else {
      trace.sections.back().lines.emplace_back(line.substr(kIndent.size()));
    }
  }
  std::erase_if(trace.sections, [](const auto& section) { return section.lines.empty(); });
  return trace;
}

}  // namespace stucktrace::compare
