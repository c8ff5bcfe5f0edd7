#include "tracer/compare/relations.h"

#include <algorithm>
#include <utility>

#include "tracer/model/resource.h"

namespace stucktrace::compare {
namespace {

using Set = std::set<std::size_t>;

// Forks of one process that execute nothing.
std::map<std::pair<std::size_t, std::string>, Set> peers_of(const Deeds& deeds) {
  std::map<std::pair<std::size_t, std::string>, Set> groups;
  for (const auto& [process, deed] : deeds.processes) {
    if (deed.programs.empty() && deed.maker != Roles::kNone) {
      groups[{deed.maker, deed.inherited}].insert(process);
    }
  }
  std::erase_if(groups, [](const auto& group) { return group.second.size() < 2; });
  return groups;
}

void join_peers(Set& users, std::size_t thing, bool writing, const Set& group, const Deeds& deeds) {
  if (std::ranges::none_of(group, [&](std::size_t peer) { return users.contains(peer); })) return;
  for (const std::size_t peer : group) {
    if (deeds.processes.at(peer).holds.contains({thing, writing})) users.insert(peer);
  }
}

}  // namespace

std::string_view channel_word(const Thing& thing) {
  return thing.peer != nullptr ? std::string_view{"socketpair"} : kind_word(thing.kind);
}

std::size_t channel_of(const Thing& thing) {
  return thing.peer == nullptr ? thing.index : std::min(thing.index, thing.peer->index);
}

std::map<std::size_t, Channel> channels_of(const Deeds& deeds, const Roles& roles,
                                           const Things& things) {
  std::map<std::size_t, Channel> channels;
  std::map<std::size_t, std::size_t> made;  // by thread
  for (const auto& thing : things.all()) {
    if (!is_channel(*thing) || thing->maker == Thing::kNobody) continue;
    if (channel_of(*thing) != thing->index) continue;
    Channel& channel = channels[thing->index];
    channel.thing = thing->index;
    channel.maker = roles.process_of(thing->maker);
    channel.order = made[thing->maker]++;
    Direction there;
    there.from = thing->index;
    there.to = thing->peer == nullptr ? thing->index : thing->peer->index;
    channel.directions.push_back(there);
    if (thing->peer == nullptr) continue;
    std::swap(there.from, there.to);
    channel.directions.push_back(there);
  }
  std::map<std::size_t, Direction*> written;
  std::map<std::size_t, Direction*> read;
  for (auto& [index, channel] : channels) {
    for (Direction& direction : channel.directions) {
      written[direction.from] = &direction;
      read[direction.to] = &direction;
    }
  }
  const auto touch = [&](std::size_t thing, std::size_t process) {
    const auto channel = channels.find(channel_of(*things.all()[thing]));
    if (channel != channels.end() && channel->second.maker != process) {
      channel->second.shared = true;
    }
  };
  for (const auto& [process, deed] : deeds.processes) {
    for (const std::size_t thing : deed.writes) {
      if (written.contains(thing)) written[thing]->writers.insert(process);
      touch(thing, process);
    }
    for (const std::size_t thing : deed.reads) {
      if (read.contains(thing)) read[thing]->readers.insert(process);
      touch(thing, process);
    }
    for (const auto& [thing, writing] : deed.holds) touch(thing, process);
    for (const auto& standard : deed.standard) {
      if (standard) touch(*standard, process);
    }
  }
  const auto groups = peers_of(deeds);
  for (auto& [index, channel] : channels) {
    for (Direction& direction : channel.directions) {
      for (const auto& [key, group] : groups) {
        join_peers(direction.writers, direction.from, true, group, deeds);
        join_peers(direction.readers, direction.to, false, group, deeds);
      }
      if (const auto bytes = deeds.channels.find(direction.from); bytes != deeds.channels.end()) {
        direction.bytes = bytes->second.bytes;
        direction.cut = bytes->second.cut;
      }
      for (const std::size_t writer : direction.writers) {
        const ProcessDeeds& deed = deeds.processes.at(writer);
        constexpr int kBrokenPipe = 13;  // SIGPIPE
        direction.cut = direction.cut || (deed.signaled && deed.code == kBrokenPipe);
        direction.tokens = direction.tokens || direction.readers.contains(writer);
      }
    }
  }
  return channels;
}

}  // namespace stucktrace::compare
