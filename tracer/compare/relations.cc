#include "tracer/compare/relations.h"

#include <algorithm>
#include <utility>

#include "tracer/model/resource.h"

namespace stucktrace::compare {
namespace {

using Set = std::set<std::size_t>;

// Forks of one process that execute nothing.
struct Peers {
  std::map<std::pair<std::size_t, std::string>, Set> groups;
  std::map<std::size_t, const Set*> of;  // process -> its group

  // Adds to the users of a thing those of their peers that have it as well.
  void join(Set& users, std::size_t thing, bool writing, const Deeds& deeds) const {
    std::set<const Set*> taking_part;
    for (const std::size_t user : users) {
      if (const auto group = of.find(user); group != of.end()) taking_part.insert(group->second);
    }
    for (const Set* group : taking_part) {
      for (const std::size_t peer : *group) {
        if (deeds.processes.at(peer).holds.contains({thing, writing})) users.insert(peer);
      }
    }
  }
};

Peers peers_of(const Deeds& deeds) {
  Peers peers;
  for (const auto& [process, deed] : deeds.processes) {
    if (deed.programs.empty() && deed.maker != Roles::kNone) {
      peers.groups[{deed.maker, deed.inherited}].insert(process);
    }
  }
  std::erase_if(peers.groups, [](const auto& group) { return group.second.size() < 2; });
  for (const auto& [key, group] : peers.groups) {
    for (const std::size_t process : group) peers.of[process] = &group;
  }
  return peers;
}

// Things whose channels have an order of their own: that of their making, by name where nobody is
// known to have made them.
std::vector<const Thing*> in_order(const Things& things) {
  std::vector<const Thing*> list;
  for (const auto& thing : things.all()) {
    if (thing == nullptr || !is_channel(*thing) || channel_of(*thing) != thing->index) continue;
    if (thing->maker == Thing::kNobody && thing->kind != model::ResourceKind::kFifo) continue;
    list.push_back(thing.get());
  }
  std::ranges::stable_sort(list,
                           [](const Thing* a, const Thing* b) { return made_before(*a, *b); });
  return list;
}

}  // namespace

std::string_view channel_word(const Thing& thing) {
  return thing.peer != nullptr ? std::string_view{"socketpair"} : kind_word(thing.kind);
}

std::size_t channel_of(const Thing& thing) {
  return thing.peer == nullptr ? thing.index : std::min(thing.index, thing.peer->index);
}

bool made_before(const Thing& a, const Thing& b) {
  if (a.maker != b.maker) return a.maker < b.maker;
  return a.maker == Thing::kNobody ? a.name < b.name : a.order < b.order;
}

Users users_of(const Deeds& deeds, const std::map<std::size_t, Channel>& channels) {
  Users users;
  for (const auto& [index, channel] : channels) {
    if (!channel.shared) continue;
    Set all;
    for (const Direction& direction : channel.directions) {
      all.insert(direction.writers.begin(), direction.writers.end());
      all.insert(direction.readers.begin(), direction.readers.end());
    }
    for (const std::size_t process : all) users.channels[process].push_back(index);
  }
  for (const auto& [process, deed] : deeds.processes) {
    for (const std::string& file : deed.locks) users.locks[file].insert(process);
  }
  return users;
}

std::map<std::size_t, Channel> channels_of(const Deeds& deeds, const Roles& roles,
                                           const Things& things) {
  std::map<std::size_t, Channel> channels;
  std::map<std::size_t, std::size_t> made;  // by thread
  for (const Thing* thing : in_order(things)) {
    Channel& channel = channels[thing->index];
    channel.thing = thing->index;
    channel.maker = thing->maker == Thing::kNobody ? Roles::kNone : roles.process_of(thing->maker);
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
  const Peers peers = peers_of(deeds);
  for (auto& [index, channel] : channels) {
    for (Direction& direction : channel.directions) {
      peers.join(direction.writers, direction.from, true, deeds);
      peers.join(direction.readers, direction.to, false, deeds);
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
