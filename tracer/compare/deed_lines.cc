#include "tracer/compare/deed_lines.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "tracer/compare/path_text.h"

namespace stucktrace::compare {
namespace {

constexpr const char* kStandard[] = {"stdin", "stdout", "stderr"};

constexpr std::string_view kCycle = ", cycle ";
constexpr std::string_view kNext = " -> ";

// Users of one lock that each of them has a line about.
constexpr std::size_t kMostNamed = 16;

// One significant digit.
std::uint64_t rounded(std::uint64_t bytes) {
  std::uint64_t unit = 1;
  while (bytes / unit >= 10) unit *= 10;
  return (bytes / unit + (bytes % unit * 2 >= unit && unit > 1 ? 1 : 0)) * unit;
}

class Lines {
 public:
  Lines(const DeedSources& from, std::size_t process)
      : from_(from), process_(process), deed_(from.deeds.processes.at(process)) {}

  std::vector<std::string> take() {
    if (from_.level != Level::kStructure) plumbing();
    waits();
    if (from_.seen == Seen::kAll) traffic();
    locks();
    if (from_.level != Level::kStructure) effects();
    lines_.push_back(end_of(deed_));
    return std::move(lines_);
  }

 private:
  const std::string& name(std::size_t process) const { return from_.naming.tasks[process]; }

  // Lines of one kind, by the numbers of the roles in them.
  void add_all(std::set<std::pair<std::size_t, std::string>> list) {
    for (const auto& [number, line] : list) lines_.push_back(line);
  }
  std::size_t number_of(std::size_t process) const { return from_.naming.numbers.at(process); }

  std::string thing_text(const Thing& thing) const {
    if (const auto known = from_.naming.things.find(thing.index);
        known != from_.naming.things.end()) {
      return known->second;
    }
    if (!thing.path.empty()) return quoted(path_text(thing.path, from_.normalise));
    if (thing.standard >= 0) return kStandard[thing.standard];
    return std::string{kind_word(thing.kind)};
  }

  void plumbing() {
    for (int fd = 0; fd <= 2; ++fd) {
      if (deed_.closed.contains(fd)) lines_.push_back(fmt::format("{} closed", kStandard[fd]));
      const auto& index = deed_.standard[static_cast<std::size_t>(fd)];
      if (!index) continue;
      const Thing& thing = *from_.things.all()[*index];
      if (thing.standard == fd) continue;
      lines_.push_back(fmt::format("{} is {}", kStandard[fd], thing_text(thing)));
    }
    std::set<std::string> held;
    for (const auto& [index, writing] : deed_.holds) {
      if (deed_.programs.empty() && from_.seen == Seen::kFiltered) continue;
      const Thing& thing = *from_.things.all()[index];
      const auto channel = from_.channels.find(channel_of(thing));
      if (channel == from_.channels.end() || !channel->second.shared) continue;
      // Its maker has it anyhow.
      if (deed_.programs.empty() && channel->second.maker == process_) continue;
      const char* end = thing.peer != nullptr ? "" : writing ? " for writing" : " for reading";
      held.insert(fmt::format("{} {}{}", deed_.programs.empty() ? "keeps" : "inherits",
                              thing_text(thing), end));
    }
    for (const auto& file : deed_.files) held.insert("inherits " + quoted(file));
    lines_.insert(lines_.end(), held.begin(), held.end());
  }

  void waits() {
    std::set<std::pair<std::size_t, std::string>> list;
    for (const std::size_t child : deed_.waits_for) {
      list.emplace(number_of(child), "waits for " + name(child));
    }
    add_all(std::move(list));
  }

  void traffic() {
    std::set<std::pair<std::size_t, std::string>> read;
    std::set<std::pair<std::size_t, std::string>> written;
    const auto used = from_.users.channels.find(process_);
    if (used == from_.users.channels.end()) return;
    for (const std::size_t index : used->second) {
      const Channel& channel = from_.channels.at(index);
      const std::string_view word = channel_word(*from_.things.all()[index]);
      for (const Direction& direction : channel.directions) {
        if (direction.tokens) continue;
        one_way(direction.writers.contains(process_), direction.readers, "writes", "to", "reads",
                word, written);
        one_way(direction.readers.contains(process_), direction.writers, "reads", "from", "writes",
                word, read);
      }
    }
    add_all(std::move(read));
    add_all(std::move(written));
  }

  void one_way(bool takes_part, const std::set<std::size_t>& others, std::string_view verb,
               std::string_view preposition, std::string_view other_verb, std::string_view word,
               std::set<std::pair<std::size_t, std::string>>& out) const {
    if (!takes_part) return;
    for (const std::size_t other : others) {
      out.emplace(number_of(other),
                  fmt::format("{} a {} {} {}", verb, word, preposition, name(other)));
    }
    if (others.empty()) {
      out.emplace(from_.naming.processes.size(),
                  fmt::format("{} a {} that nobody {}", verb, word, other_verb));
    }
  }

  void locks() {
    if (deed_.locks.empty()) return;
    if (from_.level != Level::kStructure) {
      for (const auto& file : deed_.locks) {
        lines_.push_back(file.empty() ? std::string{"locks a file"} : "locks " + quoted(file));
      }
    }
    std::set<std::size_t> others;
    for (const auto& file : deed_.locks) {
      const auto& users = from_.users.locks.find(file)->second;
      // Among so many, who each one is says nothing that their number does not.
      if (users.size() > kMostNamed + 1) {
        lines_.push_back(fmt::format("locks a file as do {} others", users.size() - 1));
      } else {
        others.insert(users.begin(), users.end());
      }
    }
    others.erase(process_);
    std::set<std::pair<std::size_t, std::string>> list;
    for (const std::size_t other : others) {
      list.emplace(number_of(other), "locks a file as does " + name(other));
    }
    add_all(std::move(list));
  }

  void effects() {
    lines_.insert(lines_.end(), deed_.effects.begin(), deed_.effects.end());
    std::set<std::pair<std::size_t, std::string>> list;
    for (const auto& [signal, target] : deed_.signals) {
      list.emplace(number_of(target), fmt::format("sends {} to {}", signal, name(target)));
    }
    add_all(std::move(list));
  }

  const DeedSources& from_;
  std::size_t process_;
  const ProcessDeeds& deed_;
  std::vector<std::string> lines_;
};

std::string amount_line(const Direction& direction, bool pair, bool first) {
  const std::string way = !pair ? "" : first ? " there" : " back";
  if (direction.tokens) return "carries tokens" + way;
  if (direction.cut) return "carries what is taken" + way;
  if (direction.bytes == 0) return "carries nothing" + way;
  return fmt::format("{}{} bytes{}", kCarries, rounded(direction.bytes), way);
}

}  // namespace

std::vector<std::string> process_lines(const DeedSources& from, std::size_t process) {
  return Lines{from, process}.take();
}

std::vector<std::string> channel_lines(const DeedSources& from, std::size_t index) {
  const Channel& channel = from.channels.at(index);
  const Thing& thing = *from.things.all()[index];
  std::vector<std::string> lines;
  lines.push_back("made by " + (channel.maker == Roles::kNone ? std::string{"nobody"}
                                                              : from.naming.tasks[channel.maker]));
  if (!thing.path.empty()) {
    lines.push_back("at " + quoted(path_text(thing.path, from.normalise)));
  }
  if (from.seen == Seen::kFiltered) return lines;
  // A line each: a list in one would have the order of names that a comparison changes.
  const auto add = [&](const std::string& what, const std::set<std::size_t>& processes) {
    std::vector<std::size_t> order{processes.begin(), processes.end()};
    std::ranges::sort(order, {},
                      [&](std::size_t process) { return from.naming.numbers.at(process); });
    for (const std::size_t process : order) {
      lines.push_back(fmt::format("{} by {}", what, from.naming.tasks[process]));
    }
    if (order.empty()) lines.push_back(what + " by nobody");
  };
  const bool pair = thing.peer != nullptr;
  for (const Direction& direction : channel.directions) {
    const bool first = direction.from == index;
    if (pair && direction.writers.empty() && direction.bytes == 0) continue;
    const std::string way = !pair ? "" : first ? " there" : " back";
    if (!direction.tokens) {
      add(fmt::format("written{}", way), direction.writers);
      add(fmt::format("read{}", way), direction.readers);
    }
    lines.push_back(amount_line(direction, pair, first));
  }
  return lines;
}

std::vector<std::string> finding_lines(const DeedSources& from,
                                       const std::vector<model::FindingRecord>& findings) {
  std::set<std::string> lines;
  const auto role = [&](base::Tid tid) {
    const std::size_t task = from.roles.task_of(tid);
    return task == Roles::kNone ? std::string{"<pid>"} : from.naming.tasks[task];
  };
  for (const auto& record : findings) {
    const model::Finding& finding = record.finding;
    std::string line = fmt::format("{} of {}", finding.rule, role(finding.tid));
    std::vector<std::string> cycle;
    for (const base::Tid tid : finding.cycle) cycle.push_back(role(tid));
    if (!cycle.empty()) line += fmt::format("{}{}", kCycle, fmt::join(cycle, kNext));
    if (finding.resource) {
      const Thing* thing = from.things.find(*finding.resource);
      std::string on{kind_word(finding.resource->kind)};
      if (thing != nullptr && from.level != Level::kStructure) {
        const auto known = from.naming.things.find(thing->index);
        if (known != from.naming.things.end()) on = known->second;
      }
      line += ", on " + on;
    }
    lines.insert(rotated_cycle(line));
  }
  return {lines.begin(), lines.end()};
}

std::string rotated_cycle(std::string_view line) {
  const std::size_t mark = line.find(kCycle);
  if (mark == std::string_view::npos) return std::string{line};
  const std::size_t start = mark + kCycle.size();
  const std::size_t end = std::min(line.find(',', start), line.size());
  std::vector<std::string_view> names;
  for (std::size_t at = start; at <= end;) {
    const std::size_t next = std::min(line.find(kNext, at), end);
    names.push_back(line.substr(at, next - at));
    at = next == end ? end + 1 : next + kNext.size();
  }
  // P2 before P10.
  const auto number = [](std::string_view name) { return std::pair{name.size(), name}; };
  std::ranges::rotate(names, std::ranges::min_element(names, {}, number));
  return fmt::format("{}{}{}", line.substr(0, start), fmt::join(names, kNext), line.substr(end));
}

bool same_amount(std::string_view line, std::string_view other) {
  if (!line.starts_with(kCarries) || !other.starts_with(kCarries)) return false;
  const auto amount = [](std::string_view text, std::string_view& rest) {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + kCarries.size(), end, value);
    rest = {parsed.ptr, static_cast<std::size_t>(end - parsed.ptr)};
    return parsed.ec == std::errc{} ? value : 0;
  };
  std::string_view rest;
  std::string_view other_rest;
  const std::uint64_t a = amount(line, rest);
  const std::uint64_t b = amount(other, other_rest);
  if (a == 0 || b == 0 || rest != other_rest) return false;
  // Small amounts are numbers of words and pids; beyond, a factor of four either way.
  constexpr std::uint64_t kSmall = 60;
  constexpr std::uint64_t kFactor = 4;
  if (a <= kSmall && b <= kSmall) return true;
  return a / kFactor <= b && b / kFactor <= a;
}

}  // namespace stucktrace::compare
