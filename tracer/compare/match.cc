#include "tracer/compare/match.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include "tracer/compare/deed_lines.h"
#include "tracer/compare/scanner.h"

namespace stucktrace::compare {
namespace {

using Section = CanonicalTrace::Section;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
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
  return end == digits ? 0 : end - at;
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
    in_word = is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z') || c == '_';
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
  explicit Side(const CanonicalTrace& trace) : trace_(&trace) {
    std::set<std::string> known;
    for (const Section& section : trace.sections) {
      if (section.is_process()) known.insert(section.role);
    }
    for (const Section& section : trace.sections) {
      if (!section.is_process()) continue;
      // A parent of a name that is not there makes a root, as does one in a circle.
      const bool child = !section.parent.empty() && known.contains(section.parent) &&
                         known_before_.contains(section.parent);
      children_[child ? section.parent : std::string{}].push_back(&section);
      known_before_.insert(section.role);
    }
    // Children stand behind their parents.
    for (auto at = trace.sections.rbegin(); at != trace.sections.rend(); ++at) {
      if (at->is_process()) texts_[at->role] = subtree(*at);
    }
  }

  const std::vector<const Section*>& children(const std::string& role) const {
    static const std::vector<const Section*> kNone;
    const auto at = children_.find(role);
    return at == children_.end() ? kNone : at->second;
  }
  std::size_t shape(const std::string& role) const { return texts_.at(role); }
  std::vector<std::string> lines(const Section& section) const {
    std::vector<std::string> list;
    for (const auto& line : section.lines) list.push_back(masked(line));
    std::ranges::sort(list);
    return list;
  }

 private:
  // A hash of all that is below, names apart.
  std::size_t subtree(const Section& section) const {
    std::string text = section.title + "\n";
    for (const auto& line : lines(section)) text += line + "\n";
    std::vector<std::size_t> below;
    for (const Section* child : children(section.role)) below.push_back(texts_.at(child->role));
    std::ranges::sort(below);
    for (const std::size_t shape : below) text += fmt::format("{} ", shape);
    return std::hash<std::string>{}(text);
  }

  const CanonicalTrace* trace_;
  std::set<std::string> known_before_;
  std::map<std::string, std::vector<const Section*>> children_;
  std::map<std::string, std::size_t> texts_;
};

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

  std::vector<Pair> children(const std::string& a, const std::string& b) const {
    std::vector<const Section*> left = expected_.children(a);
    std::vector<const Section*> right = got_.children(b);
    std::vector<Pair> pairs;
    const auto pair_up = [&](auto&& alike) {
      for (auto x = left.begin(); x != left.end();) {
        const auto y = alike(**x);
        if (y == right.end()) {
          ++x;
          continue;
        }
        pairs.emplace_back(*x, *y);
        right.erase(y);
        x = left.erase(x);
      }
    };
    pair_up([&](const Section& x) {
      return std::ranges::find_if(right, [&](const Section* y) {
        return x.title == y->title && expected_.shape(x.role) == got_.shape(y->role);
      });
    });
    pair_up([&](const Section& x) { return most_alike(x, right); });
    // One of another program in place of one.
    if (left.size() == 1 && right.size() == 1) pairs.emplace_back(left.front(), right.front());
    return pairs;
  }

  std::vector<const Section*>::iterator most_alike(const Section& x,
                                                   std::vector<const Section*>& right) const {
    auto best = right.end();
    std::size_t most = 0;
    const auto lines = expected_.lines(x);
    for (auto y = right.begin(); y != right.end(); ++y) {
      if ((*y)->title != x.title) continue;
      std::vector<std::string> common;
      std::ranges::set_intersection(lines, got_.lines(**y), std::back_inserter(common));
      if (best != right.end() && common.size() <= most) continue;
      most = common.size();
      best = y;
    }
    return best;
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
  static std::string word(const std::string& role) { return role.substr(0, role.find('#')); }

  void channels() {
    std::vector<const Section*> left;
    std::vector<const Section*> right;
    std::map<std::string, int> last;
    for (const Section& section : baseline_.sections) {
      if (!is_channel(section)) continue;
      left.push_back(&section);
      ++last[word(section.role)];
    }
    for (const Section& section : current_.sections) {
      if (is_channel(section)) right.push_back(&section);
    }
    for (const std::size_t lines : {std::size_t{100}, std::size_t{1}}) {
      for (auto y = right.begin(); y != right.end();) {
        const auto x = std::ranges::find_if(
            left, [&](const Section* section) { return alike(*section, **y, lines); });
        if (x == left.end()) {
          ++y;
          continue;
        }
        names_[(*y)->role] = (*x)->role;
        left.erase(x);
        y = right.erase(y);
      }
    }
    for (const Section* section : right) {
      const std::string kind = word(section->role);
      names_[section->role] = fmt::format("{}#{}", kind, ++last[kind]);
    }
  }

  // In their first lines.
  bool alike(const Section& x, const Section& y, std::size_t lines) const {
    if (word(x.role) != word(y.role)) return false;
    for (std::size_t i = 0; i < lines; ++i) {
      if (i >= x.lines.size() || i >= y.lines.size()) {
        return i > 0 && x.lines.size() == y.lines.size();
      }
      const std::string line = renamed(y.lines[i], names_);
      if (line != x.lines[i] && !same_amount(line, x.lines[i])) return false;
    }
    return true;
  }

  const CanonicalTrace& baseline_;
  const CanonicalTrace& current_;
  Side expected_;
  Side got_;
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
    for (std::string& line : section.lines) line = renamed(line, names);
    const auto old = before.find(section.role);
    if (old == before.end()) continue;
    for (std::string& line : section.lines) {
      if (std::ranges::find(old->second->lines, line) != old->second->lines.end()) continue;
      const auto same = std::ranges::find_if(
          old->second->lines, [&](const auto& other) { return same_amount(line, other); });
      if (same != old->second->lines.end()) line = *same;
    }
  }
  return out;
}

RoleTable renamed(RoleTable roles, const Renaming& names) {
  for (std::string& name : roles.names) name = renamed(name, names);
  return roles;
}

}  // namespace stucktrace::compare
