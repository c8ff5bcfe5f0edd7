#include "syscalls/trace_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "tracer/base/text.h"

namespace stucktrace::syscalls {
namespace {

static_assert(static_cast<std::size_t>(Sys::kUnknown) < 1024, "TraceSet holds every id");

struct ClassName {
  std::string_view word;
  CallClass value;
};
// The first spelling of a class is the one in our words; the others are strace's.
constexpr ClassName kClasses[] = {
    {"file", CallClass::kFile},         {"desc", CallClass::kDesc},
    {"process", CallClass::kProcess},   {"network", CallClass::kNetwork},
    {"signal", CallClass::kSignal},     {"ipc", CallClass::kIpc},
    {"memory", CallClass::kMemory},     {"time", CallClass::kTime},
    {"creds", CallClass::kCreds},       {"stat", CallClass::kStat},
    {"poll", CallClass::kPoll},         {"lock", CallClass::kLock},
    {"blocking", CallClass::kBlocking}, {"net", CallClass::kNetwork},
    {"clock", CallClass::kTime},
};

constexpr Abi kAbis[] = {Abi::kX86_64, Abi::kI386, Abi::kAarch64};

template <class Action>
void for_each_row(Action action) {
  for (const Abi abi : kAbis) {
    for (const SyscallRow& row : all_rows(abi)) action(row);
  }
}

// Levenshtein distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replace});
    }
  }
  return row[b.size()];
}

// The known word nearest to a mistyped one, if it is near enough to be what was meant.
class Nearest {
 public:
  explicit Nearest(std::string_view wanted) : wanted_(wanted) {}
  void offer(std::string_view word) {
    const std::size_t found = distance(wanted_, word);
    if (found >= best_) return;
    best_ = found;
    word_ = word;
  }
  std::string hint(std::string_view prefix) const {
    const std::size_t tolerated = std::max<std::size_t>(2, wanted_.size() / 3);
    if (word_.empty() || best_ > tolerated) return {};
    return fmt::format("did you mean '{}{}'?", prefix, word_);
  }

 private:
  std::string_view wanted_;
  std::string_view word_;
  std::size_t best_ = 64;  // nothing farther is worth saying
};

using Members = std::bitset<1024>;

std::size_t bit_of(Sys id) {
  return static_cast<std::size_t>(id);
}

base::Result<Members> class_members(std::string_view word) {
  const auto* found = std::find_if(std::begin(kClasses), std::end(kClasses),
                                   [&](const ClassName& c) { return c.word == word; });
  if (found == std::end(kClasses)) {
    Nearest nearest{word};
    for (const ClassName& c : kClasses) nearest.offer(c.word);
    return base::usage_error(fmt::format("unknown class of calls '%{}'", word), nearest.hint("%"));
  }
  Members members;
  for_each_row([&](const SyscallRow& row) {
    if (row.in(found->value)) members.set(bit_of(row.id));
  });
  return members;
}

base::Result<Members> regex_members(std::string_view pattern) {
  Members members;
  try {
    const std::regex expression{pattern.begin(), pattern.end()};
    for_each_row([&](const SyscallRow& row) {
      if (std::regex_search(row.name.begin(), row.name.end(), expression)) {
        members.set(bit_of(row.id));
      }
    });
  } catch (const std::regex_error& error) {
    return base::usage_error(fmt::format("bad regular expression '/{}/'", pattern), error.what());
  }
  if (members.none()) return base::usage_error(fmt::format("no call matches '/{}/'", pattern));
  return members;
}

base::Result<Members> name_members(std::string_view name) {
  Members members;
  for_each_row([&](const SyscallRow& row) {
    if (row.name == name) members.set(bit_of(row.id));
  });
  if (members.any()) return members;
  const auto* as_class = std::find_if(std::begin(kClasses), std::end(kClasses),
                                      [&](const ClassName& c) { return c.word == name; });
  const std::string what = fmt::format("unknown system call '{}'", name);
  if (as_class != std::end(kClasses)) {
    return base::usage_error(what, fmt::format("did you mean the class '%{}'?", name));
  }
  Nearest nearest{name};
  for_each_row([&](const SyscallRow& row) { nearest.offer(row.name); });
  return base::usage_error(what, nearest.hint(""));
}

base::Result<Members> item_members(std::string_view item) {
  if (item == "all") return Members{}.set();
  if (item == "none") return Members{};
  if (item.starts_with('%')) return class_members(item.substr(1));
  if (item.size() >= 2 && item.starts_with('/') && item.ends_with('/')) {
    return regex_members(item.substr(1, item.size() - 2));
  }
  return name_members(item);
}

// Where the item that starts `text` ends; commas inside /.../ belong to it.
std::size_t item_length(std::string_view text) {
  const std::size_t start = text.starts_with('?') ? 1 : 0;
  if (text.substr(start).starts_with('/')) {
    std::size_t end = text.find("/,", start + 1);
    if (end != std::string_view::npos) return end + 1;
    return text.size();
  }
  return std::min(text.find(','), text.size());
}

}  // namespace

TraceSet TraceSet::all() {
  TraceSet set;
  set.members_.set();
  return set;
}

TraceSet TraceSet::none() {
  return {};
}

TraceSet::Names TraceSet::names() const {
  Names names;
  names.all_but = contains(Sys::kUnknown);
  for_each_row([&](const SyscallRow& row) {
    if (contains(row.id) != names.all_but) names.calls.emplace_back(row.name);
  });
  std::ranges::sort(names.calls);
  const auto doubles = std::ranges::unique(names.calls);
  names.calls.erase(doubles.begin(), doubles.end());
  return names;
}

TraceSet TraceSet::of(const Names& names) {
  TraceSet set;
  for_each_row([&](const SyscallRow& row) {
    if (std::ranges::find(names.calls, row.name) != names.calls.end()) set.add(row.id);
  });
  if (names.all_but) set.members_.flip();
  return set;
}

base::Result<TraceSet> TraceSet::parse(std::string_view text) {
  std::string_view rest = base::trim(text);
  const bool inverted = rest.starts_with('!');
  if (inverted) rest = base::trim(rest.substr(1));
  if (rest.empty()) return base::usage_error("an empty set of system calls");
  TraceSet set;
  while (true) {
    const std::size_t length = item_length(rest);
    std::string_view item = base::trim(rest.substr(0, length));
    const bool tolerant = item.starts_with('?');
    if (tolerant) item.remove_prefix(1);
    if (item.empty()) return base::usage_error(fmt::format("an empty name in '{}'", text));
    auto members = item_members(item);
    if (members) {
      set.members_ |= *members;
    } else if (!tolerant) {
      return std::unexpected{members.error()};
    }
    if (length == rest.size()) break;
    rest = rest.substr(length + 1);
  }
  if (inverted) set.members_.flip();
  return set;
}

}  // namespace stucktrace::syscalls
