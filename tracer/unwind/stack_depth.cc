#include "tracer/unwind/stack_depth.h"

#if defined(__x86_64__)
#include <sys/ucontext.h>
#include <ucontext.h>
#endif

#include <algorithm>
#include <array>

#include "tracer/unwind/native_frame_pointer.h"
#include "tracer/unwind/x86_code.h"

namespace stucktrace::unwind {

void StackDepth::begin() {
  left_ = std::min(kMaxOfWalk, all_left_);
  all_left_ -= left_;
  if (known_.size() < kMaxKnown) return;
  known_.clear();
  any_known_.clear();
}

void StackDepth::end() {
  // What was cut in mid-way may be followed further by another walk.
  if (left_ == 0) {
    known_.clear();
    any_known_.clear();
  }
  all_left_ += std::exchange(left_, 0);
}

void StackDepth::forget() {
  known_.clear();
  any_known_.clear();
  all_left_ = kMaxOfAll;
}

#if defined(__x86_64__)

namespace {

using Kind = X86Instruction::Kind;

constexpr std::size_t kWord = sizeof(std::uint64_t);
constexpr std::uint64_t kFirstPage = 4096;  // where nothing is ever mapped

std::optional<std::uint64_t> word_at(std::uint64_t address, const ReadBytes& read) {
  std::uint64_t word = 0;
  if (read(address, std::as_writable_bytes(std::span{&word, 1})) != kWord) return std::nullopt;
  return word;
}

bool is_code(std::uint64_t address, const BareCode& code) {
  std::byte first{};
  return code.read_code(address, std::span{&first, 1}) == 1;
}

// The calls that may stand before a return address: its bytes can be read in more ways than one.
// Their targets; 0 where only the running program knows it.
std::vector<std::uint64_t> calls_before(std::uint64_t return_address, const BareCode& code) {
  constexpr std::size_t kLongest = 7;
  std::array<std::byte, kLongest> bytes{};
  std::vector<std::uint64_t> targets;
  if (return_address < kLongest ||
      code.read_code(return_address - kLongest, bytes) != bytes.size()) {
    return targets;
  }
  for (std::size_t length = 2; length <= kLongest; ++length) {
    const auto instruction = decode_x86(return_address - length, std::span(bytes).last(length));
    if (!instruction || instruction->length != length || instruction->kind != Kind::kCall) continue;
    if (instruction->target) {
      if (is_code(*instruction->target, code)) targets.push_back(*instruction->target);
      continue;
    }
    const bool fixed = instruction->pointer && code.is_constant(*instruction->pointer);
    targets.push_back(fixed ? word_at(*instruction->pointer, code.read_data).value_or(0) : 0);
  }
  return targets;
}

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

const FollowedCode& StackDepth::followed(std::uint64_t entry, const BarePlace& place,
                                         const BareCode& code) {
  const auto [kept, fresh] = known_.try_emplace({entry, place.pc, place.after_call});
  if (fresh) kept->second = follow_code(entry, place, code, left_);
  return kept->second;
}

const FollowedCode& StackDepth::followed_from_any(const BarePlace& place, const BareCode& code) {
  const auto [kept, fresh] = any_known_.try_emplace({place.pc, place.after_call});
  FollowedCode& all = kept->second;
  if (!fresh) return all;
  for (const std::uint64_t start : code.possible_starts()) {
    if (start > place.pc || place.pc - start > kMaxFunction) continue;
    const FollowedCode& one = followed(start, place, code);
    all.depths.insert(all.depths.end(), one.depths.begin(), one.depths.end());
    all.lost = all.lost || one.lost;
  }
  std::ranges::sort(all.depths);
  const auto rest = std::ranges::unique(all.depths);
  all.depths.erase(rest.begin(), rest.end());
  return all;
}

bool StackDepth::confirms(std::uint64_t return_address, std::uint64_t above, std::int64_t depth,
                          const BarePlace& place, const BareCode& code) {
  if (is_signal_return(return_address, code.read_code)) {
    const auto interrupted = interrupted_at(above, code);
    if (!interrupted || !word_at(interrupted->stack_pointer, code.read_data)) return false;
    // A call by a null pointer is interrupted as well, by SIGSEGV.
    return interrupted->pc < kFirstPage || is_code(interrupted->pc, code);
  }
  for (const std::uint64_t target : calls_before(return_address, code)) {
    if (target == 0) return true;
    const FollowedCode& called = followed(target, place, code);
    if (called.holds(depth) || (called.open && !called.cut)) return true;
  }
  return false;
}

StackDepth::Confirmed StackDepth::confirmed(const FollowedCode& possible, const BarePlace& place,
                                            const BareCode& code) {
  if (possible.lost) return {Found::kNoWayToTell, {}};
  Confirmed result;
  for (const std::int64_t depth : possible.depths) {
    if (depth < 0) continue;
    const std::uint64_t at = place.stack_pointer + static_cast<std::uint64_t>(depth);
    const auto word = word_at(at, code.read_data);
    if (!word || !confirms(*word, at + kWord, depth, place, code)) continue;
    if (result.found == Found::kOne) return {Found::kNoWayToTell, {}};
    result = {Found::kOne, {false, *word, at + kWord, false, std::nullopt}};
  }
  // What calls from beyond the frame it was entered with has none: clone(2)'s, for a new thread.
  if (result.found == Found::kNothing && place.after_call && !possible.depths.empty() &&
      possible.depths.back() < 0) {
    return {Found::kOne, {.outermost = true, .frame_pointer = {}}};
  }
  return result;
}

// Where nothing tells the function's start, what called it does.
StackDepth::Confirmed StackDepth::by_direct_call(const BarePlace& place, const BareCode& code) {
  Confirmed result;
  for (std::size_t depth = 0; depth < kMaxBareFrame && left_ > 0; depth += kWord) {
    const std::uint64_t at = place.stack_pointer + depth;
    const auto word = word_at(at, code.read_data);
    if (!word) break;
    for (const std::uint64_t target : calls_before(*word, code)) {
      if (target == 0) continue;
      const FollowedCode& called = followed(target, place, code);
      if (called.lost) return {Found::kNoWayToTell, {}};
      if (!called.holds(static_cast<std::int64_t>(depth))) continue;
      if (result.found == Found::kOne) return {Found::kNoWayToTell, {}};
      result = {Found::kOne, {false, *word, at + kWord, false, std::nullopt}};
    }
  }
  return result;
}

std::optional<BareCaller> StackDepth::caller(const BarePlace& place, const BareCode& code) {
  if (is_signal_return(place.pc, code.read_code)) return interrupted_at(place.stack_pointer, code);
  Confirmed result;
  if (code.start) result = confirmed(followed(*code.start, place, code), place, code);
  if (result.found == Found::kNothing) {
    result = confirmed(followed_from_any(place, code), place, code);
  }
  if (result.found == Found::kNothing) result = by_direct_call(place, code);
  return result.found == Found::kOne ? std::optional{result.caller} : std::nullopt;
}

StackDepth::FramePointer StackDepth::frame_pointer(const BarePlace& place, const BareCode& code) {
  const FollowedCode& told = followed(*code.start, place, code);
  const bool reached = told.lost || !told.depths.empty();
  FramePointer result{{}, reached || told.grows};
  if (told.lost || told.no_frame_pointer || told.frame_pointers.size() != 1 ||
      told.frame_pointers.front() < 0) {
    return result;
  }
  if (confirmed(told, place, code).found != Found::kOne) return result;
  result.value = place.stack_pointer + static_cast<std::uint64_t>(told.frame_pointers.front());
  return result;
}

#else

std::optional<BareCaller> StackDepth::caller(const BarePlace&, const BareCode&) {
  return std::nullopt;
}

StackDepth::FramePointer StackDepth::frame_pointer(const BarePlace&, const BareCode&) {
  return {};
}

#endif

}  // namespace stucktrace::unwind
