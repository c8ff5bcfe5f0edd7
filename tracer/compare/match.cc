#include "tracer/compare/match.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <functional>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tracer/compare/deed_lines.h"
#include "tracer/compare/scanner.h"

namespace stucktrace::compare {
namespace {

using Section = CanonicalTrace::Section;

constexpr std::string_view kFindings = "findings";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_word(char c) {
  return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

// Length of a name at `at`: "P12", "pipe#3"; 0 if none starts there. Threads go by their process.
std::size_t name_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  if (text[at] == 'P') {
    ++end;
  } else {
    while (end < text.size() && is_lower(text[end])) ++end;
    if (end == at || end == text.size() || text[end] != '#') return 0;
    ++end;
  }
  const std::size_t digits = end;
  while (end < text.size() && is_digit(text[end])) ++end;
  const bool ends = end == text.size() || !is_word(text[end]);
  return end == digits || !ends ? 0 : end - at;
}

// Calls `on_name` for names, `on_text` for what is between.
void each_part(std::string_view text, auto&& on_name, auto&& on_text) {
  bool quoted = false;
  bool in_word = false;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (quoted && c == '\\' && at + 1 < text.size()) {
      on_text(text.substr(at, 2));
      at += 2;
      continue;
    }
    if (c == '"') quoted = !quoted;
    const std::size_t length = quoted || in_word ? 0 : name_at(text, at);
    if (length > 0) {
      on_name(text.substr(at, length));
      at += length;
      in_word = true;
      continue;
    }
    on_text(text.substr(at, 1));
    in_word = is_word(c);
    ++at;
  }
}

// Without names and amounts: what can be compared before the names are matched.
std::string masked(std::string_view line) {
  std::string out;
  if (line.starts_with(kCarries)) return std::string{kCarries};
  each_part(
      line, [&](std::string_view) { out += '@'; }, [&](std::string_view part) { out += part; });
  return out;
}

class Side {
 public:
  explicit Side(const CanonicalTrace& trace) {
    std::set<std::string_view> before;
    for (const Section& section : trace.sections) {
      if (!section.is_process()) continue;
      // A parent of a name that does not stand before makes a root, as does one in a circle.
      const bool child = before.contains(section.parent);
      children_[child ? section.parent : std::string{}].push_back(&section);
      before.insert(section.role);
    }
    // Children stand behind their parents.
    for (auto at = trace.sections.rbegin(); at != trace.sections.rend(); ++at) {
      if (!at->is_process()) continue;
      std::vector<std::size_t>& lines = lines_[&*at];
      for (const auto& line : at->lines) lines.push_back(std::hash<std::string>{}(masked(line)));
      std::ranges::sort(lines);
      shapes_[at->role] = subtree(*at);
    }
  }

  const std::vector<const Section*>& children(const std::string& role) const {
    static const std::vector<const Section*> kNone;
    const auto at = children_.find(role);
    return at == children_.end() ? kNone : at->second;
  }
  std::size_t shape(const std::string& role) const { return shapes_.at(role); }
  // Hashes of the lines of a process, names apart, sorted.
  const std::vector<std::size_t>& lines(const Section& section) const {
    return lines_.at(&section);
  }

 private:
  // A hash of all that is below, names apart.
  std::size_t subtree(const Section& section) const {
    std::string text = section.title + "\n";
    for (const std::size_t line : lines(section)) text += fmt::format("{} ", line);
    std::vector<std::size_t> below;
    for (const Section* child : children(section.role)) below.push_back(shapes_.at(child->role));
    std::ranges::sort(below);
    text += "\n";
    for (const std::size_t shape : below) text += fmt::format("{} ", shape);
    return std::hash<std::string>{}(text);
  }

  std::map<std::string, std::vector<const Section*>> children_;
  std::map<std::string, std::size_t> shapes_;
  std::unordered_map<const Section*, std::vector<std::size_t>> lines_;
};

std::size_t common(const std::vector<std::size_t>& a, const std::vector<std::size_t>& b) {
  std::size_t count = 0;
  for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
    if (*x == *y) {
      ++count;
      ++x;
      ++y;
    } else if (*x < *y) {
      ++x;
    } else {
      ++y;
    }
  }
  return count;
}

class Matcher {
 public:
  Matcher(const CanonicalTrace& baseline, const CanonicalTrace& current)
      : baseline_(baseline), current_(current), expected_(baseline), got_(current) {}

  Renaming run() {
    std::vector<std::pair<std::string, std::string>> pending{{"", ""}};
    while (!pending.empty()) {
      const auto [a, b] = pending.back();
      pending.pop_back();
      for (const auto& [x, y] : children(a, b)) {
        names_[y->role] = x->role;
        pending.emplace_back(x->role, y->role);
      }
    }
    rest();
    channels();
    return std::move(names_);
  }

 private:
  using Pair = std::pair<const Section*, const Section*>;

  using Sections = std::vector<const Section*>;

  std::vector<Pair> children(const std::string& a, const std::string& b) {
    Sections left = expected_.children(a);
    Sections right = got_.children(b);
    std::vector<Pair> pairs;
    pair_equal(left, right, pairs);
    pair_alike(left, right, pairs);
    // One of another program in place of one.
    if (left.size() == 1 && right.size() == 1) pairs.emplace_back(left.front(), right.front());
    return pairs;
  }

  // Takes out of both sides what has an equal on the other one, first with first.
  void pair_equal(Sections& left, Sections& right, std::vector<Pair>& pairs) const {
    std::map<std::pair<std::string_view, std::size_t>, std::deque<const Section*>> by_shape;
    for (const Section* y : right) by_shape[{y->title, got_.shape(y->role)}].push_back(y);
    std::unordered_set<const Section*> taken;
    std::erase_if(left, [&](const Section* x) {
      const auto equal = by_shape.find({x->title, expected_.shape(x->role)});
      if (equal == by_shape.end() || equal->second.empty()) return false;
      pairs.emplace_back(x, equal->second.front());
      taken.insert(equal->second.front());
      equal->second.pop_front();
      return true;
    });
    std::erase_if(right, [&](const Section* y) { return taken.contains(y); });
  }

  // Of one program: the one with most lines in common.
  void pair_alike(Sections& left, Sections& right, std::vector<Pair>& pairs) {
    std::map<std::string_view, Sections> by_title;
    for (const Section* y : right) by_title[y->title].push_back(y);
    std::unordered_set<const Section*> taken;
    std::erase_if(left, [&](const Section* x) {
      Sections& candidates = by_title[x->title];
      if (candidates.empty()) return false;
      auto best = candidates.begin();
      std::size_t most = 0;
      for (auto y = candidates.begin(); y != candidates.end() && patience_ > 0; ++y) {
        const auto& lines = got_.lines(**y);
        patience_ -= std::min(patience_, lines.size() + expected_.lines(*x).size() + 1);
        const std::size_t same = common(expected_.lines(*x), lines);
        if (same <= most) continue;
        most = same;
        best = y;
      }
      pairs.emplace_back(x, *best);
      taken.insert(*best);
      candidates.erase(best);
      return true;
    });
    std::erase_if(right, [&](const Section* y) { return taken.contains(y); });
  }

  // Numbers of its own for what is new.
  void rest() {
    std::uint64_t last = 0;
    for (const Section& section : baseline_.sections) {
      if (!section.is_process()) continue;
      last = std::max(last, process_number(section.role).value_or(0));
    }
    for (const Section& section : current_.sections) {
      if (section.is_process() && !names_.contains(section.role)) {
        names_[section.role] = fmt::format("P{}", ++last);
      }
    }
  }

  static bool is_channel(const Section& section) { return section.role.contains('#'); }
  static std::uint64_t channel_number(std::string_view role) {
    std::uint64_t number = 0;
    role.remove_prefix(role.find('#') + 1);
    std::from_chars(role.data(), role.data() + role.size(), number);
    return number;
  }
  static std::string word(const std::string& role) { return role.substr(0, role.find('#')); }

  // A channel with the names that its processes have got.
  struct Channel {
    const Section* section = nullptr;
    std::string all;                   // its lines but for amounts, sorted
    std::string first;                 // the first line
    std::vector<std::string> amounts;  // in order
  };

  static Channel channel(const Section& section, const Renaming& names) {
    Channel channel;
    channel.section = &section;
    channel.first = channel.all = word(section.role) + "\n";
    std::vector<std::string> lines;
    for (const std::string& old : section.lines) {
      std::string line = renamed(old, names);
      if (&old == &section.lines.front()) channel.first += line;
      (line.starts_with(kCarries) ? channel.amounts : lines).push_back(std::move(line));
    }
    std::ranges::sort(lines);
    for (const std::string& line : lines) channel.all += line + "\n";
    return channel;
  }

  void channels() {
    std::vector<Channel> left;
    std::vector<Channel> right;
    std::map<std::string, std::uint64_t> last;
    for (const Section& section : baseline_.sections) {
      if (!is_channel(section)) continue;
      left.push_back(channel(section, {}));
      std::uint64_t& most = last[word(section.role)];
      most = std::max(most, channel_number(section.role));
    }
    for (const Section& section : current_.sections) {
      if (is_channel(section)) right.push_back(channel(section, names_));
    }
    pair_channels(left, right, &Channel::all, [](const Channel& x, const Channel& y) {
      return std::ranges::equal(x.amounts, y.amounts, [](const auto& a, const auto& b) {
        return a == b || same_amount(a, b);
      });
    });
    pair_channels(left, right, &Channel::first,
                  [](const Channel&, const Channel&) { return true; });
    for (const Channel& channel : right) {
      const std::string kind = word(channel.section->role);
      names_[channel.section->role] = fmt::format("{}#{}", kind, ++last[kind]);
    }
  }

  void pair_channels(std::vector<Channel>& left, std::vector<Channel>& right,
                     std::string Channel::* key, auto&& alike) {
    std::map<std::string_view, std::deque<const Channel*>> by_key;
    for (const Channel& x : left) by_key[x.*key].push_back(&x);
    std::unordered_set<const Section*> taken;
    const auto pair_up = [&](const Channel& y) {
      const auto candidates = by_key.find(y.*key);
      if (candidates == by_key.end()) return false;
      const auto x = std::ranges::find_if(candidates->second,
                                          [&](const Channel* other) { return alike(*other, y); });
      if (x == candidates->second.end()) return false;
      names_[y.section->role] = (*x)->section->role;
      taken.insert((*x)->section);
      candidates->second.erase(x);
      return true;
    };
    std::vector<Channel> rest;
    for (Channel& y : right) {
      if (!pair_up(y)) rest.push_back(std::move(y));
    }
    right = std::move(rest);
    by_key.clear();
    std::erase_if(left, [&](const Channel& x) { return taken.contains(x.section); });
  }

  const CanonicalTrace& baseline_;
  const CanonicalTrace& current_;
  Side expected_;
  Side got_;
  // How many lines are looked at for likeness; beyond that the first one left is as good.
  std::size_t patience_ = 20'000'000;
  Renaming names_;
};

}  // namespace

Renaming match(const CanonicalTrace& baseline, const CanonicalTrace& current) {
  return Matcher{baseline, current}.run();
}

std::string renamed(std::string_view text, const Renaming& names) {
  std::string out;
  each_part(
      text,
      [&](std::string_view name) {
        const auto known = names.find(name);
        out += known == names.end() ? name : std::string_view{known->second};
      },
      [&](std::string_view part) { out += part; });
  return out;
}

CanonicalTrace renamed(const CanonicalTrace& current, const Renaming& names,
                       const CanonicalTrace& baseline) {
  std::map<std::string_view, const Section*> before;
  for (const Section& section : baseline.sections) before.emplace(section.role, &section);
  CanonicalTrace out = current;
  for (Section& section : out.sections) {
    section.role = renamed(section.role, names);
    section.parent = renamed(section.parent, names);
    for (std::string& line : section.lines) {
      line = renamed(line, names);
      if (section.role == kFindings) line = rotated_cycle(line);
    }
    const auto old = before.find(section.role);
    if (old == before.end()) continue;
    for (std::string& line : section.lines) {
      if (!line.starts_with(kCarries)) continue;
      if (std::ranges::find(old->second->lines, line) != old->second->lines.end()) continue;
      const auto same = std::ranges::find_if(
          old->second->lines, [&](const auto& other) { return same_amount(line, other); });
      if (same != old->second->lines.end()) line = *same;
    }
  }
  // As canonicalise() has them.
  std::ranges::stable_sort(out.sections, {}, [](const Section& section) {
    const std::size_t end = section.role.find_first_of(". ");
    const auto process = process_number(std::string_view{section.role}.substr(0, end));
    const std::uint64_t number = process ? *process : 0;
    return std::tuple{process ? 0 : section.role == kFindings ? 2 : 1, number};
  });
  return out;
}

RoleTable renamed(RoleTable roles, const Renaming& names) {
  for (std::string& name : roles.names) name = renamed(name, names);
  return roles;
}

}  // namespace stucktrace::compare
