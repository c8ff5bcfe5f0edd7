#pragma once

#include <bitset>
#include <string>
#include <string_view>
#include <vector>

#include "syscalls/table.h"
#include "tracer/base/result.h"

namespace stucktrace::syscalls {

// A set of calls as -e trace=SET names it: names, %class, /regex/, all, none, a leading ! inverts,
// ?name tolerates an unknown name. "read,write", "%network", "!futex", "/^epoll/".
class TraceSet {
 public:
  static TraceSet all();
  static TraceSet none();
  // An unknown name or class is a usage error that names it and suggests the nearest known one.
  static base::Result<TraceSet> parse(std::string_view text);
  // Unknown numbers are in the set iff it is all() or inverted.
  bool contains(Sys id) const { return members_[static_cast<std::size_t>(id)]; }
  bool empty() const { return members_.none(); }
  void add(const TraceSet& others) { members_ |= others.members_; }
  void add(Sys id) { members_.set(static_cast<std::size_t>(id)); }
  void remove(Sys id) { members_.reset(static_cast<std::size_t>(id)); }
  bool contains_all(const TraceSet& others) const { return (others.members_ & ~members_).none(); }

  // The set in words that another version of the table understands as well.
  struct Names {
    std::vector<std::string> calls;  // sorted
    bool all_but = false;            // those that are not in it; unknown numbers are
  };
  Names names() const;
  // A name without a row here is no call of this table's.
  static TraceSet of(const Names& names);

 private:
  std::bitset<1024> members_;
};

}  // namespace stucktrace::syscalls
