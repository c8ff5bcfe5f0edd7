#include <algorithm>
#include <array>
#include <utility>

#include "tracer/model/timeline.h"

namespace stucktrace::model {
namespace {

using syscalls::Value;

base::Instant end_of(const Call& call) {
  return call.end.value_or(call.start);
}

bool equal_values(const Value& a, const Value& b, int depth);

// Addresses, times and payloads never tell two turns apart; everything else does.
struct SameMeaning {
  const Value& other;
  int depth;

  template <class T>
  bool operator()(const T& a) const {
    const T* b = std::get_if<T>(&other.data);
    // Different kinds: memory that was captured for one of the two only.
    if (b == nullptr) return std::holds_alternative<syscalls::Address>(other.data);
    return same(a, *b);
  }
  bool operator()(const syscalls::Address&) const { return true; }

 private:
  bool same(const syscalls::Null&, const syscalls::Null&) const { return true; }
  bool same(const syscalls::Duration&, const syscalls::Duration&) const { return true; }
  bool same(const syscalls::Buffer&, const syscalls::Buffer&) const { return true; }
  bool same(const syscalls::Fd& a, const syscalls::Fd& b) const { return a.fd == b.fd; }
  bool same(const syscalls::PidValue& a, const syscalls::PidValue& b) const {
    return a.pid == b.pid;
  }
  bool same(const syscalls::Signal& a, const syscalls::Signal& b) const {
    return a.number == b.number;
  }
  bool same(const syscalls::Symbol& a, const syscalls::Symbol& b) const { return a.raw == b.raw; }
  bool same(const syscalls::Flags& a, const syscalls::Flags& b) const { return a.raw == b.raw; }
  bool same(const syscalls::Text& a, const syscalls::Text& b) const { return a.bytes == b.bytes; }
  bool same(const syscalls::Array& a, const syscalls::Array& b) const {
    return std::ranges::equal(a.items, b.items, [this](const Value& x, const Value& y) {
      return equal_values(x, y, depth + 1);
    });
  }
  bool same(const syscalls::Struct& a, const syscalls::Struct& b) const {
    return std::ranges::equal(
        a.fields, b.fields, [this](const syscalls::Field& x, const syscalls::Field& y) {
          return x.name == y.name && equal_values(x.value, y.value, depth + 1);
        });
  }
  template <class T>  // plain numbers
  bool same(const T& a, const T& b) const {
    return a.value == b.value;
  }
};

bool equal_values(const Value& a, const Value& b, int depth) {
  constexpr int kDeepest = 8;
  if (depth > kDeepest) return true;
  const bool null_a = std::holds_alternative<syscalls::Null>(a.data);
  const bool null_b = std::holds_alternative<syscalls::Null>(b.data);
  if (null_a || null_b) return null_a == null_b;
  return std::visit(SameMeaning{b, depth}, a.data);
}

// Time-outs that are plain numbers (poll, epoll_wait), and the lengths of payloads.
bool is_time_or_length(std::string_view name) {
  return name.find("timeout") != name.npos || name == "count" || name == "len" || name == "size" ||
         name == "nbytes" || name == "length";
}

bool is_null(const syscalls::Argument& argument) {
  return std::holds_alternative<syscalls::Null>(argument.value.data);
}

bool same_memory(const syscalls::CapturedMemory& a, const syscalls::CapturedMemory& b) {
  return std::ranges::equal(a.ranges(), b.ranges(), [&](const auto& x, const auto& y) {
    return x.address == y.address && std::ranges::equal(a.bytes(x), b.bytes(y));
  });
}

bool same_outcome(const Call& a, const Call& b) {
  if (a.result.has_value() != b.result.has_value()) return false;
  if (!a.result) return true;
  if (a.result->is_error != b.result->is_error) return false;
  if (a.result->is_error) return a.result->value == b.result->value;
  const auto sign = [](std::int64_t value) { return (value > 0) - (value < 0); };
  return sign(a.result->value) == sign(b.result->value);
}

// The beginnings of two paths; what could not be read, or is longer, decides nothing.
bool other_path(const Call& a, const Call& b, std::size_t index) {
  std::array<std::byte, 64> one;
  std::array<std::byte, 64> two;
  const std::size_t count = std::min(a.memory.read(base::RemoteAddr{a.raw.args[index]}, one),
                                     b.memory.read(base::RemoteAddr{b.raw.args[index]}, two));
  for (std::size_t i = 0; i < count; ++i) {
    if (one[i] != two[i]) return true;
    if (one[i] == std::byte{0}) return false;
  }
  return false;
}

// Descriptors and paths, which tell most calls apart without decoding them.
bool differ_at_a_glance(const syscalls::SyscallRow& row, const Call& a, const Call& b) {
  for (std::size_t i = 0; i < row.arg_count; ++i) {
    switch (row.args[i].kind) {
      case syscalls::ArgKind::kFd:
      case syscalls::ArgKind::kDirfd:
        if (static_cast<std::uint32_t>(a.raw.args[i]) != static_cast<std::uint32_t>(b.raw.args[i]))
          return true;
        break;
      case syscalls::ArgKind::kPath:
        if (other_path(a, b, i)) return true;
        break;
      default:
        break;
    }
  }
  return false;
}

}  // namespace

bool same_stack(const StackSeen& a, const StackSeen& b) {
  return std::ranges::equal(a.frames, b.frames, {}, &NativeFrame::pc, &NativeFrame::pc) &&
         a.python == b.python;
}

bool same_step(const Call& a, const Call& b) {
  if (a.raw.number != b.raw.number || a.raw.abi != b.raw.abi || !same_outcome(a, b)) return false;
  // Equal calls from two places in the program are two steps.
  if ((a.stack == nullptr) != (b.stack == nullptr)) return false;
  if (a.stack && !same_stack(*a.stack, *b.stack)) return false;
  // A descriptor or task made is a new thing each time: never a turn of waiting.
  if (!a.made_fds.empty() || !b.made_fds.empty()) return false;
  const syscalls::SyscallRow* row = syscalls::find_row(a.raw.abi, a.raw.number);
  if (row != nullptr && row->has(syscalls::Trait::kMakesTask)) return false;
  if (a.raw.args == b.raw.args && same_memory(a.memory, b.memory)) return true;
  if (row == nullptr) return a.raw.args == b.raw.args;
  if (differ_at_a_glance(*row, a, b)) return false;
  const auto one = syscalls::decode(a.raw, a.result, a.memory);
  const auto two = syscalls::decode(b.raw, b.result, b.memory);
  return std::ranges::equal(one.args, two.args,
                            [](const syscalls::Argument& x, const syscalls::Argument& y) {
                              if (x.name != y.name) return false;
                              // With and without a limit are two things; how long is not.
                              if (is_time_or_length(x.name)) return is_null(x) == is_null(y);
                              return equal_values(x.value, y.value, 0);
                            });
}

void LoopFolder::Window::grow() {
  std::vector<Held> larger(std::max<std::size_t>(2, 2 * ring_.size()));
  for (std::size_t i = 0; i < count_; ++i) larger[i] = std::move((*this)[i]);
  ring_ = std::move(larger);
  first_ = 0;
}

void LoopFolder::Window::push_back(Call&& call) {
  if (count_ == ring_.size()) grow();
  Held& held = (*this)[count_];
  held.call = std::move(call);
  held.handed_out = false;
  ++count_;
}

void LoopFolder::Window::pop_front(std::size_t how_many) {
  for (; how_many > 0; --how_many) {
    // What was captured is not kept beyond its time.
    front().call.memory.reset();
    front().call.made_fds = {};
    front().call.stack = nullptr;
    first_ = (first_ + 1) & (ring_.size() - 1);
    --count_;
  }
}

void LoopFolder::end_loop(std::vector<Item>& out) {
  Loop loop = std::move(*loop_);
  loop_.reset();
  position_ = 0;
  if (loop.turns == 1) {
    for (Call& call : loop.body) out.push_back({std::move(call), std::nullopt});
  } else if (loop.turns > 1) {
    out.push_back({std::nullopt, std::move(loop)});
  }
}

// Makes the newest calls a loop where they are kMinTurns equal turns; the shortest body wins.
bool LoopFolder::start_loop(std::vector<Item>& out) {
  for (std::size_t body = 1; body <= kMaxBody; ++body) {
    const std::size_t span = body * kMinTurns;
    if (span > pending_.size()) return false;
    const std::size_t first = pending_.size() - span;
    bool periodic = true;
    // From the newest backwards: the first comparison decides for most calls.
    for (std::size_t i = pending_.size(); periodic && i > first + body; --i) {
      periodic = same_step(pending_[i - 1].call, pending_[i - 1 - body].call);
    }
    if (!periodic) continue;
    for (std::size_t i = 0; i < first; ++i) {
      if (!pending_.front().handed_out) {
        out.push_back({std::move(pending_.front().call), std::nullopt});
      }
      pending_.pop_front();
    }
    // release() hands out all there is, so what is gone is a prefix; the loop begins after it.
    std::size_t gone = 0;
    while (gone < span && pending_[gone].handed_out) ++gone;
    Loop loop;
    for (std::size_t i = gone; i < gone + body; ++i) {
      loop.body.push_back(pending_[i < span ? i : i - body].call);
    }
    loop.turns = (span - gone) / body;
    position_ = (span - gone) % body;
    loop.start = gone < span ? pending_[gone].call.start : end_of(pending_.back().call);
    loop.end = loop.turns > 0 ? end_of(pending_[span - position_ - 1].call) : loop.start;
    pending_.pop_front(pending_.size() - position_);
    loop_ = std::move(loop);
    return true;
  }
  return false;
}

// The call is the next step of the running loop.
void LoopFolder::turn(Call&& call) {
  Loop& loop = *loop_;
  if (loop.turns == 0 && position_ == 0) loop.start = call.start;
  if (loop.body.size() == 1) {
    loop.end = end_of(call);
    ++loop.turns;
    loop.body.front() = std::move(call);
    return;
  }
  pending_.push_back(std::move(call));
  if (++position_ < loop.body.size()) return;
  loop.end = end_of(pending_.back().call);
  ++loop.turns;
  // The newest turn stands for all: waits that grow (a back-off) are told by what they have become.
  for (std::size_t i = 0; i < loop.body.size(); ++i) loop.body[i] = std::move(pending_[i].call);
  position_ = 0;
  pending_.clear();
}

void LoopFolder::take(Call&& call, std::vector<Item>& out) {
  pending_.push_back(std::move(call));
  if (start_loop(out)) return;
  while (pending_.size() >= kMaxBody * kMinTurns) {
    if (!pending_.front().handed_out) {
      out.push_back({std::move(pending_.front().call), std::nullopt});
    }
    pending_.pop_front();
  }
}

std::vector<LoopFolder::Item> LoopFolder::add(Call&& call) {
  std::vector<Item> out;
  if (loop_) {
    if (same_step(loop_->body[position_], call)) {
      turn(std::move(call));
      return out;
    }
    end_loop(out);
    // At most kMaxBody - 1 calls; none of them was handed out.
    std::array<Call, kMaxBody> unfinished;
    const std::size_t count = pending_.size();
    for (std::size_t i = 0; i < count; ++i) unfinished[i] = std::move(pending_[i].call);
    pending_.clear();
    for (std::size_t i = 0; i < count; ++i) take(std::move(unfinished[i]), out);
  }
  take(std::move(call), out);
  return out;
}

std::vector<LoopFolder::Item> LoopFolder::flush() {
  std::vector<Item> out;
  if (loop_) end_loop(out);
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    Held& held = pending_[i];
    if (!held.handed_out) out.push_back({std::move(held.call), std::nullopt});
  }
  pending_.clear();
  return out;
}

std::optional<Loop> LoopFolder::current() const {
  return loop_;
}

std::vector<LoopFolder::Item> LoopFolder::release() {
  std::vector<Item> out;
  if (loop_) return out;
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    Held& held = pending_[i];
    if (!std::exchange(held.handed_out, true)) out.push_back({held.call, std::nullopt});
  }
  return out;
}

bool LoopFolder::repeating() const {
  if (loop_) return true;
  for (std::size_t body = 1; body <= kMaxBody && body < pending_.size(); ++body) {
    if (same_step(pending_.back().call, pending_[pending_.size() - 1 - body].call)) return true;
  }
  return false;
}

bool LoopFolder::could_continue(const syscalls::RawCall& entered) const {
  const auto same_call = [&](const Call& call) {
    return call.raw.number == entered.number && call.raw.abi == entered.abi;
  };
  if (loop_) return same_call(loop_->body[position_]);
  for (std::size_t back = 1; back <= std::min(pending_.size(), kMaxBody); ++back) {
    if (same_call(pending_[pending_.size() - back].call)) return true;
  }
  return false;
}

std::optional<base::Instant> LoopFolder::held_since() const {
  if (loop_) return std::nullopt;
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    if (!pending_[i].handed_out) return end_of(pending_[i].call);
  }
  return std::nullopt;
}

}  // namespace stucktrace::model
