#include "tracer/unwind/code_follower.h"

#include <algorithm>
#include <array>
#include <deque>
#include <set>
#include <utility>

#include "tracer/unwind/x86_code.h"

namespace stucktrace::unwind {

bool FollowedCode::holds(std::int64_t depth) const {
  return std::ranges::find(depths, depth) != depths.end();
}

#if defined(__x86_64__)

namespace {

using Kind = X86Instruction::Kind;

// Of one function, with what it leaves to by tail calls. Most have some hundred.
constexpr std::size_t kMaxInstructions = 8192;
// What the start of a thread takes from the stack it was given.
constexpr std::int64_t kMaxLeft = 64;
// A call over so few bytes is no call: what it calls takes the return address away, to jump or to
// know where it is.
constexpr std::uint64_t kMaxCalledOver = 32;
constexpr auto kWord = static_cast<std::int64_t>(sizeof(std::uint64_t));

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

// Where control may be, and the stack there.
struct Point {
  std::uint64_t address = 0;
  std::optional<std::int64_t> depth;          // nullopt: not in the code
  std::optional<std::int64_t> frame_pointer;  // its depth, where it was set from the stack pointer
  bool after_call = false;

  auto operator<=>(const Point&) const = default;
};

void add_once(std::vector<std::int64_t>& values, std::int64_t value) {
  if (std::ranges::find(values, value) == values.end()) values.push_back(value);
}

class Follower {
 public:
  Follower(const BarePlace& place, const BareCode& code)
      : place_(place), around_(code), code_(code.read_code) {}

  FollowedCode from(std::uint64_t entry, std::size_t& budget) {
    add({entry, 0, std::nullopt, false});
    for (std::size_t i = 0; i < kMaxInstructions && budget > 0 && !todo_.empty(); ++i, --budget) {
      // The nearest first: what never returns from a call leads into functions that lie behind.
      const Point point = todo_.front();
      todo_.pop_front();
      arrive(point);
      if (const auto instruction = code_.at(point.address)) step(point, *instruction);
    }
    result_.cut = !todo_.empty();
    std::ranges::sort(result_.depths);
    return std::move(result_);
  }

 private:
  void add(const Point& point) {
    if (seen_.insert(point).second) todo_.push_back(point);
  }

  void arrive(const Point& point) {
    if (point.address != place_.pc || (place_.after_call && !point.after_call)) return;
    if (!point.depth) {
      result_.lost = true;
      return;
    }
    add_once(result_.depths, *point.depth);
    if (point.frame_pointer) {
      add_once(result_.frame_pointers, *point.depth - *point.frame_pointer);
    } else {
      result_.no_frame_pointer = true;
    }
  }

  void step(Point point, const X86Instruction& instruction) {
    point.address += instruction.length;
    point.after_call = false;
    switch (instruction.kind) {
      case Kind::kOther:
        break;
      case Kind::kMoveStack:
        if (point.depth) *point.depth -= instruction.value;
        break;
      case Kind::kSetFramePointer:
        point.frame_pointer = point.depth;
        if (point.frame_pointer) *point.frame_pointer -= instruction.value;
        break;
      case Kind::kFromFramePointer:
        point.depth = point.frame_pointer;
        if (point.depth) *point.depth -= instruction.value;
        break;
      case Kind::kLeave:
        point.depth = std::exchange(point.frame_pointer, std::nullopt);
        if (point.depth) *point.depth -= kWord;
        break;
      case Kind::kPopFramePointer:
        if (point.depth) *point.depth -= instruction.value;
        point.frame_pointer.reset();
        break;
      case Kind::kLoseFramePointer:
        point.frame_pointer.reset();
        break;
      case Kind::kLoseStack:
        point.depth.reset();
        result_.grows = true;
        break;
      case Kind::kCall:
        point.after_call = true;
        if (instruction.target && *instruction.target - point.address - 1 < kMaxCalledOver) {
          result_.open = true;
        }
        break;
      case Kind::kJump:
        jump(point, instruction);
        return;
      case Kind::kBranch: {
        Point taken = point;
        taken.address = *instruction.target;
        add(taken);
        break;
      }
      case Kind::kEnd:
        return;
    }
    if (point.depth &&
        (*point.depth < -kMaxLeft || *point.depth > static_cast<std::int64_t>(kMaxBareFrame))) {
      return;
    }
    add(point);
  }

  void jump(Point point, const X86Instruction& instruction) {
    std::optional<std::uint64_t> target = instruction.target;
    if (instruction.pointer) {
      std::uint64_t word = 0;
      const auto out = std::as_writable_bytes(std::span{&word, 1});
      if (around_.read_data(*instruction.pointer, out) == out.size()) target = word;
    }
    // Of what may be written it is not known where it led when the jump was made.
    if (!target || (instruction.pointer && !around_.is_constant(*instruction.pointer))) {
      result_.open = true;
    }
    if (!target) return;
    point.address = *target;
    add(point);
  }

  const BarePlace& place_;
  const BareCode& around_;
  Code code_;
  std::deque<Point> todo_;
  std::set<Point> seen_;
  FollowedCode result_;
};

}  // namespace

FollowedCode follow_code(std::uint64_t entry, const BarePlace& place, const BareCode& code,
                         std::size_t& budget) {
  return Follower(place, code).from(entry, budget);
}

#else

FollowedCode follow_code(std::uint64_t, const BarePlace&, const BareCode&, std::size_t&) {
  return {};
}

#endif

}  // namespace stucktrace::unwind
