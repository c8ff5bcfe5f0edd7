#include "tracer/unwind/stack_depth.h"

#include <sys/ucontext.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <set>
#include <utility>

#include "tracer/unwind/native_frame_pointer.h"
#include "tracer/unwind/x86_code.h"

namespace stucktrace::unwind {

#if defined(__x86_64__)

namespace {

using Kind = X86Instruction::Kind;

// Of one function, with what it leaves to by tail calls. Most have some hundred.
constexpr std::size_t kMaxInstructions = 4096;
constexpr std::size_t kMaxKnown = 4096;
// What the start of a thread takes from the stack it was given.
constexpr std::int64_t kMaxLeft = 64;
// How far before a place its function's start is looked for where no table says.
constexpr std::uint64_t kMaxFunction = 8192;
constexpr std::size_t kWord = sizeof(std::uint64_t);

std::optional<std::uint64_t> word_at(std::uint64_t address, const ReadBytes& read) {
  std::uint64_t word = 0;
  if (read(address, std::as_writable_bytes(std::span{&word, 1})) != kWord) return std::nullopt;
  return word;
}

// Code, read in pieces: instructions are small.
class Code {
 public:
  explicit Code(const ReadBytes& read) : read_(read) {}
  std::optional<X86Instruction> at(std::uint64_t address) {
    if (address < start_ || address - start_ >= count_ ||
        (count_ == bytes_.size() && count_ - (address - start_) < kLongestX86Instruction)) {
      start_ = address;
      count_ = read_(address, bytes_);
    }
    return decode_x86(address, std::span(bytes_).first(count_).subspan(
                                   static_cast<std::size_t>(address - start_)));
  }

 private:
  const ReadBytes& read_;
  std::uint64_t start_ = 0;
  std::size_t count_ = 0;
  std::array<std::byte, 256> bytes_{};
};

// Where control may be, and the stack there: depths below the word that holds the return address.
struct Point {
  std::uint64_t address = 0;
  std::int64_t depth = 0;
  std::optional<std::int64_t> frame_pointer;  // its depth, where it was set from the stack pointer
  bool after_call = false;

  auto operator<=>(const Point&) const = default;
};

class Follower {
 public:
  Follower(const BarePlace& place, const BareCode& code)
      : place_(place), code_(code.read_code), read_data_(code.read_data) {}

  // Takes what it spends from `budget`.
  std::vector<std::int64_t> from(std::uint64_t entry, std::size_t& budget) {
    add({entry, 0, std::nullopt, false});
    for (std::size_t i = 0; i < kMaxInstructions && budget > 0 && !todo_.empty(); ++i, --budget) {
      // The nearest first: what never returns from a call leads into functions that lie behind.
      const Point point = todo_.front();
      todo_.pop_front();
      arrive(point);
      if (const auto instruction = code_.at(point.address)) step(point, *instruction);
    }
    open_ = open_ || !todo_.empty();
    std::ranges::sort(found_);
    return std::move(found_);
  }
  // Not all ways were followed.
  bool open() const { return open_; }

 private:
  void add(const Point& point) {
    if (seen_.insert(point).second) todo_.push_back(point);
  }

  void arrive(const Point& point) {
    if (point.address != place_.pc || (place_.after_call && !point.after_call)) return;
    if (std::ranges::find(found_, point.depth) == found_.end()) found_.push_back(point.depth);
  }

  void step(Point point, const X86Instruction& instruction) {
    const std::uint64_t here = point.address;
    point.address = here + instruction.length;
    point.after_call = false;
    switch (instruction.kind) {
      case Kind::kOther:
        break;
      case Kind::kMoveStack:
        point.depth -= instruction.value;
        break;
      case Kind::kSetFramePointer:
        point.frame_pointer = point.depth - instruction.value;
        break;
      case Kind::kFromFramePointer:
        if (!point.frame_pointer) return;
        point.depth = *point.frame_pointer - instruction.value;
        break;
      case Kind::kLeave:
        if (!point.frame_pointer) return;
        point.depth =
            *std::exchange(point.frame_pointer, std::nullopt) - static_cast<std::int64_t>(kWord);
        break;
      case Kind::kPopFramePointer:
        point.depth -= instruction.value;
        point.frame_pointer.reset();
        break;
      case Kind::kLoseFramePointer:
        point.frame_pointer.reset();
        break;
      case Kind::kCall:
        point.after_call = true;
        break;
      case Kind::kJump:
        if (const auto target = target_of(instruction)) {
          point.address = *target;
          add(point);
        } else {
          open_ = true;
        }
        return;
      case Kind::kBranch: {
        Point taken = point;
        taken.address = *instruction.target;
        add(taken);
        break;
      }
      case Kind::kLoseStack:
      case Kind::kEnd:
        return;
    }
    if (point.depth >= -kMaxLeft &&
        point.depth <= static_cast<std::int64_t>(StackDepth::kMaxFrame)) {
      add(point);
    }
  }

  std::optional<std::uint64_t> target_of(const X86Instruction& instruction) const {
    if (instruction.pointer) return word_at(*instruction.pointer, read_data_);
    return instruction.target;
  }

  const BarePlace& place_;
  Code code_;
  const ReadBytes& read_data_;
  std::deque<Point> todo_;
  std::set<Point> seen_;
  std::vector<std::int64_t> found_;
  bool open_ = false;
};

// What the kernel kept of the interrupted code while a handler runs, once that has returned to
// rt_sigreturn: the stack pointer is that of a ucontext (<sys/ucontext.h>).
std::optional<BareCaller> interrupted_at(std::uint64_t stack_pointer, const BareCode& code) {
  const auto saved = [&](int index) {
    return word_at(stack_pointer + offsetof(ucontext_t, uc_mcontext.gregs) +
                       static_cast<std::uint64_t>(index) * kWord,
                   code.read_data);
  };
  const auto pc = saved(REG_RIP), above = saved(REG_RSP);
  if (!pc || !above) return std::nullopt;
  return BareCaller{false, *pc, *above, true, saved(REG_RBP)};
}

}  // namespace

bool StackDepth::Depths::holds(std::int64_t depth) const {
  return std::ranges::find(found, depth) != found.end();
}

StackDepth::Depths StackDepth::depths(std::uint64_t entry, const BarePlace& place,
                                      const BareCode& code) {
  const std::tuple key{entry, place.pc, place.after_call};
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  Depths result;
  Follower follower(place, code);
  result.found = follower.from(entry, instructions_left_);
  result.open = follower.open();
  if (known_.size() >= kMaxKnown) known_.clear();
  if (instructions_left_ > 0) known_.emplace(key, result);
  return result;
}

StackDepth::Depths StackDepth::any_depths(const BarePlace& place, const BareCode& code) {
  const std::pair key{place.pc, place.after_call};
  if (const auto found = any_known_.find(key); found != any_known_.end()) return found->second;
  Depths all;
  for (const std::uint64_t start : code.possible_starts()) {
    if (start > place.pc || place.pc - start > kMaxFunction) continue;
    const Depths some = depths(start, place, code);
    all.found.insert(all.found.end(), some.found.begin(), some.found.end());
  }
  std::ranges::sort(all.found);
  const auto rest = std::ranges::unique(all.found);
  all.found.erase(rest.begin(), rest.end());
  if (any_known_.size() >= kMaxKnown) any_known_.clear();
  if (instructions_left_ > 0) any_known_.emplace(key, all);
  return all;
}

std::optional<std::uint64_t> StackDepth::pointer_at(std::uint64_t address, const BareCode& code) {
  if (const auto known = pointers_.find(address); known != pointers_.end()) return known->second;
  const auto value = word_at(address, code.read_data);
  if (pointers_.size() >= kMaxKnown) pointers_.clear();
  if (value) pointers_.emplace(address, *value);
  return value;
}

std::optional<std::uint64_t> StackDepth::call_before(std::uint64_t return_address,
                                                     const BareCode& code) {
  constexpr std::size_t kLongest = 7;
  std::array<std::byte, kLongest> bytes{};
  if (return_address < kLongest ||
      code.read_code(return_address - kLongest, bytes) != bytes.size()) {
    return std::nullopt;
  }
  // A direct one first: its five bytes are the least likely to be something else.
  for (const std::size_t length : std::initializer_list<std::size_t>{5, 6, 2, 3, 4, 7}) {
    const auto instruction = decode_x86(return_address - length, std::span(bytes).last(length));
    if (!instruction || instruction->length != length || instruction->kind != Kind::kCall) continue;
    if (instruction->target) return instruction->target;
    return instruction->pointer ? pointer_at(*instruction->pointer, code).value_or(0) : 0;
  }
  return std::nullopt;
}

std::optional<BareCaller> StackDepth::confirmed(const Depths& possible, const BarePlace& place,
                                                const BareCode& code) {
  std::optional<BareCaller> found;
  for (const std::int64_t depth : possible.found) {
    if (depth < 0) continue;
    const std::uint64_t at = place.stack_pointer + static_cast<std::uint64_t>(depth);
    const auto word = word_at(at, code.read_data);
    if (!word) continue;
    if (!is_signal_return(*word, code.read_code)) {
      const auto target = call_before(*word, code);
      if (!target) continue;
      if (*target != 0) {
        const Depths called = depths(*target, place, code);
        if (!called.open && !called.holds(depth)) continue;
      }
    }
    if (found) return std::nullopt;
    found = BareCaller{false, *word, at + kWord, false, std::nullopt};
  }
  if (found || possible.found.empty() || possible.found.back() >= 0) return found;
  return BareCaller{.outermost = true, .frame_pointer = {}};
}

// Where nothing tells the function's start, what called it does.
std::optional<BareCaller> StackDepth::by_direct_call(const BarePlace& place, const BareCode& code) {
  for (std::size_t depth = 0; depth < kMaxFrame && instructions_left_ > 0; depth += kWord) {
    const auto word = word_at(place.stack_pointer + depth, code.read_data);
    if (!word) break;
    const auto target = call_before(*word, code);
    if (!target || *target == 0) continue;
    if (depths(*target, place, code).holds(static_cast<std::int64_t>(depth))) {
      return BareCaller{false, *word, place.stack_pointer + depth + kWord, false, std::nullopt};
    }
  }
  return std::nullopt;
}

std::optional<BareCaller> StackDepth::caller(const BarePlace& place, const BareCode& code) {
  if (is_signal_return(place.pc, code.read_code)) return interrupted_at(place.stack_pointer, code);
  std::optional<BareCaller> found;
  if (code.start) found = confirmed(depths(*code.start, place, code), place, code);
  if (!found) found = confirmed(any_depths(place, code), place, code);
  if (!found) found = by_direct_call(place, code);
  return found;
}

#else

std::optional<BareCaller> StackDepth::caller(const BarePlace&, const BareCode&) {
  return std::nullopt;
}

#endif

}  // namespace stucktrace::unwind
