#include "tracer/compare/naming.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace stucktrace::compare {
namespace {

// Rounds of telling processes apart by their neighbours; each takes in those one step further.
constexpr int kRounds = 8;

std::string plain_word(std::string_view text) {
  std::string word;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view{"._+-<>@"}.contains(c);
    word += plain ? c : '_';
  }
  return word.empty() ? "_" : word;
}

// Colours: processes of one colour are alike as far as was looked.
class Colours {
 public:
  Colours(const Deeds& deeds, const std::map<std::size_t, Channel>& channels, const Things& things,
          Level level)
      : deeds_(deeds), channels_(channels), things_(things), level_(level) {
    for (const auto& [process, deed] : deeds_.processes) {
      if (deed.maker != Roles::kNone) children_[deed.maker].push_back(process);
    }
    std::map<std::size_t, std::string> first;
    for (const auto& [process, deed] : deeds_.processes) first[process] = own(deed);
    recolour(first);
    for (int round = 0; round < kRounds && refine(); ++round) {
    }
  }
  std::size_t operator[](std::size_t process) const { return colours_.at(process); }

 private:
  std::string own(const ProcessDeeds& deed) const {
    std::string text = fmt::format("{}\n{}\n", title_of(deed), end_of(deed));
    if (level_ == Level::kStructure) return text;
    for (const auto& line : deed.effects) text += line + "\n";
    for (const auto& line : deed.files) text += "keeps " + line + "\n";
    for (const auto& line : deed.locks) text += "locks " + line + "\n";
    for (const int fd : deed.closed) text += fmt::format("closed {}\n", fd);
    return text;
  }

  std::string channel_text(std::size_t thing) const {
    const auto channel = channels_.find(channel_of(*things_.all()[thing]));
    if (channel == channels_.end() || channel->second.maker == Roles::kNone) {
      return things_.all()[thing]->name;
    }
    return fmt::format("{}/{}", colours_.at(channel->second.maker), channel->second.order);
  }

  std::vector<std::string> edges(std::size_t process) const {
    const ProcessDeeds& deed = deeds_.processes.at(process);
    std::vector<std::string> list;
    for (const std::size_t child : deed.waits_for) {
      list.push_back(fmt::format("waits {}", colours_.at(child)));
    }
    if (level_ != Level::kStructure) {
      for (const auto& [name, target] : deed.signals) {
        list.push_back(fmt::format("{} {}", name, colours_.at(target)));
      }
      for (const auto& [thing, writing] : deed.holds) {
        list.push_back(fmt::format("holds {} {}", channel_text(thing), writing));
      }
      for (std::size_t fd = 0; fd < deed.standard.size(); ++fd) {
        if (!deed.standard[fd]) continue;
        list.push_back(fmt::format("fd {} {}", fd, channel_text(*deed.standard[fd])));
      }
    }
    return list;
  }

  // False when nothing new was told apart.
  bool refine() {
    std::map<std::size_t, std::vector<std::string>> texts;
    for (const auto& [process, deed] : deeds_.processes) texts[process] = edges(process);
    for (const auto& [index, channel] : channels_) {
      for (const Direction& direction : channel.directions) {
        if (direction.tokens) continue;
        for (const std::size_t writer : direction.writers) {
          if (direction.readers.empty()) texts[writer].emplace_back("to nobody");
          for (const std::size_t reader : direction.readers) {
            texts[writer].push_back(fmt::format("to {}", colours_.at(reader)));
            texts[reader].push_back(fmt::format("from {}", colours_.at(writer)));
          }
        }
      }
    }
    std::map<std::size_t, std::string> next;
    for (auto& [process, list] : texts) {
      std::ranges::sort(list);
      std::vector<std::size_t> below;
      if (const auto at = children_.find(process); at != children_.end()) {
        for (const std::size_t child : at->second) below.push_back(colours_.at(child));
      }
      std::ranges::sort(below);
      const std::size_t maker = deeds_.processes.at(process).maker;
      next[process] =
          fmt::format("{:08} {} [{}] {}", colours_.at(process),
                      maker == Roles::kNone ? -1 : static_cast<long>(colours_.at(maker)),
                      fmt::join(below, ","), fmt::join(list, ";"));
    }
    return recolour(next);
  }

  bool recolour(const std::map<std::size_t, std::string>& texts) {
    std::map<std::string_view, std::size_t> ranks;
    for (const auto& [process, text] : texts) ranks.emplace(text, 0);
    std::size_t rank = 0;
    for (auto& [text, number] : ranks) number = rank++;
    for (const auto& [process, text] : texts) colours_[process] = ranks.at(text);
    return std::exchange(count_, ranks.size()) != ranks.size();
  }

  const Deeds& deeds_;
  const std::map<std::size_t, Channel>& channels_;
  const Things& things_;
  Level level_;
  std::map<std::size_t, std::vector<std::size_t>> children_;
  std::map<std::size_t, std::size_t> colours_;
  std::size_t count_ = 0;
};

void number_processes(const Deeds& deeds, const Roles& roles, const Colours& colours,
                      Naming& naming) {
  std::map<std::size_t, std::vector<std::size_t>> children;
  for (const auto& [process, deed] : deeds.processes) children[deed.maker].push_back(process);
  const auto sort = [&](std::vector<std::size_t>& list) {
    std::ranges::sort(list, {}, [&](std::size_t process) {
      return std::tuple{colours[process], roles.order_of(process), process};
    });
  };
  std::vector<std::size_t> pending = children[Roles::kNone];
  // Roots are what the user named: in that order.
  std::ranges::reverse(pending);
  while (!pending.empty()) {
    const std::size_t process = pending.back();
    pending.pop_back();
    naming.numbers[process] = naming.processes.size();
    naming.processes.push_back(process);
    std::vector<std::size_t>& below = children[process];
    sort(below);
    pending.insert(pending.end(), below.rbegin(), below.rend());
  }
}

void name_tasks(const Roles& roles, Naming& naming) {
  naming.tasks.resize(roles.size());
  for (std::size_t number = 0; number < naming.processes.size(); ++number) {
    naming.tasks[naming.processes[number]] = fmt::format("P{}", number + 1);
  }
  std::vector<std::size_t> threads;
  for (std::size_t task = 0; task < roles.size(); ++task) {
    if (roles.process_of(task) != task) threads.push_back(task);
  }
  std::ranges::stable_sort(threads, {}, [&](std::size_t task) { return roles.order_of(task); });
  std::map<std::size_t, int> counts;
  for (const std::size_t task : threads) {
    const std::size_t process = roles.process_of(task);
    naming.tasks[task] = fmt::format("{}.T{}", naming.tasks[process], ++counts[process]);
  }
}

void name_things(const std::map<std::size_t, Channel>& channels, const Roles& roles,
                 const Things& things, Naming& naming) {
  std::vector<std::tuple<bool, std::size_t, std::size_t, const Thing*>> list;
  for (const auto& thing : things.all()) {
    if (thing == nullptr) continue;
    const auto channel = channels.find(channel_of(*thing));
    const bool is_channel = channel != channels.end();
    if (is_channel ? channel->first != thing->index : !thing->numbered) continue;
    const bool own = !is_channel || !channel->second.shared;
    if (thing->maker != Thing::kNobody) {
      list.emplace_back(own, naming.numbers.at(roles.process_of(thing->maker)),
                        roles.order_of(thing->maker), thing.get());
    } else if (is_channel) {
      list.emplace_back(own, naming.processes.size(), std::size_t{0}, thing.get());
    }
  }
  std::ranges::stable_sort(list, [](const auto& a, const auto& b) {
    const auto key = [](const auto& entry) {
      return std::tuple{std::get<0>(entry), std::get<1>(entry), std::get<2>(entry)};
    };
    if (key(a) != key(b)) return key(a) < key(b);
    return made_before(*std::get<3>(a), *std::get<3>(b));
  });
  std::map<std::string_view, int> counts;
  for (const auto& [own, process, thread, thing] : list) {
    const bool is_channel = channels.contains(thing->index);
    const std::string_view word = is_channel ? channel_word(*thing) : kind_word(thing->kind);
    const std::string name = fmt::format("{}#{}", word, ++counts[word]);
    naming.things[thing->index] = name;
    if (is_channel && thing->peer != nullptr) naming.things[thing->peer->index] = name;
    if (!own) naming.channels.push_back(thing->index);
  }
}

}  // namespace

std::string title_of(const ProcessDeeds& deeds) {
  if (deeds.programs.empty()) {
    return (deeds.inherited.empty() ? std::string{"unknown"} : plain_word(deeds.inherited)) +
           " (forked)";
  }
  std::vector<std::string> words;
  for (const std::string& program : deeds.programs) words.push_back(plain_word(program));
  return fmt::format("{}", fmt::join(words, " > "));
}

std::string end_of(const ProcessDeeds& deeds) {
  if (!deeds.has_end) return "does not end";
  return deeds.signaled ? "killed by " + syscalls::signal_name(deeds.code)
                        : fmt::format("exits {}", deeds.code);
}

Naming canonical_names(const Deeds& deeds, const std::map<std::size_t, Channel>& channels,
                       const Roles& roles, const Things& things, Level level) {
  const Colours colours{deeds, channels, things, level};
  Naming naming;
  number_processes(deeds, roles, colours, naming);
  name_tasks(roles, naming);
  name_things(channels, roles, things, naming);
  return naming;
}

}  // namespace stucktrace::compare
