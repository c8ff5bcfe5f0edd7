#include "tracer/unwind/native_frame_pointer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace stucktrace::unwind {
namespace {

#if defined(__x86_64__)

// How far above the stack pointer a frame's return address is searched.
constexpr std::size_t kMaxSearch = 4096;
constexpr std::uint64_t kMaxFrame = 1024 * 1024;

struct Prologue {
  std::uint64_t below = 0;  // bytes between frame pointer and stack pointer, as far as read
  bool whole = false;       // ended by the "sub rsp" that makes the locals
};

class CodeCursor {
 public:
  explicit CodeCursor(std::span<const std::byte> code) : code_(code) {}
  bool take(std::initializer_list<unsigned> bytes) {
    if (code_.size() - at_ < bytes.size()) return false;
    std::size_t i = at_;
    for (const unsigned byte : bytes) {
      if (code_[i++] != static_cast<std::byte>(byte)) return false;
    }
    at_ = i;
    return true;
  }
  template <class T>
  std::optional<T> value() {
    if (code_.size() - at_ < sizeof(T)) return std::nullopt;
    T result;
    std::memcpy(&result, code_.data() + at_, sizeof result);
    at_ += sizeof result;
    return result;
  }

 private:
  std::span<const std::byte> code_;
  std::size_t at_ = 0;
};

bool take_push(CodeCursor& cursor) {
  if (cursor.take({0x53})) return true;  // rbx
  for (unsigned reg = 0x54; reg <= 0x57; ++reg) {
    if (cursor.take({0x41, reg})) return true;  // r12..r15
  }
  return false;
}

std::optional<Prologue> read_prologue(std::span<const std::byte> code) {
  CodeCursor cursor(code);
  cursor.take({0xf3, 0x0f, 0x1e, 0xfa});  // endbr64
  const bool push = cursor.take({0x55});  // push rbp
  if (!push || (!cursor.take({0x48, 0x89, 0xe5}) && !cursor.take({0x48, 0x8b, 0xec}))) {
    // The optimiser mixes other instructions into it; that it sets the frame pointer must be seen.
    constexpr std::size_t kMixed = 48;
    constexpr std::array kSet{std::byte{0x48}, std::byte{0x89}, std::byte{0xe5}};
    const auto start = code.first(std::min(code.size(), kMixed));
    if (std::ranges::search(start, kSet).empty()) return std::nullopt;
    return Prologue{};
  }
  Prologue result;
  while (take_push(cursor)) result.below += 8;
  std::optional<std::int64_t> locals;
  if (cursor.take({0x48, 0x83, 0xec})) {
    if (const auto value = cursor.value<std::int8_t>()) locals = *value;
  } else if (cursor.take({0x48, 0x81, 0xec})) {
    if (const auto value = cursor.value<std::int32_t>()) locals = *value;
  } else if (cursor.take({0x48, 0x83, 0xc4})) {  // add rsp,-128
    if (const auto value = cursor.value<std::int8_t>()) locals = -std::int64_t{*value};
  }
  if (locals && *locals > 0 && static_cast<std::uint64_t>(*locals) <= kMaxFrame) {
    result.below += static_cast<std::uint64_t>(*locals);
    result.whole = true;
  }
  return result;
}

enum class Call : std::uint8_t { kNone, kIndirect, kElsewhere, kThisFunction };

// What stands before a return address.
Call call_before(std::uint64_t return_address, std::uint64_t function, const ReadBytes& read_code) {
  constexpr std::size_t kLongest = 7;
  std::array<std::byte, kLongest> code{};
  if (return_address < kLongest || read_code(return_address - kLongest, code) != code.size()) {
    return Call::kNone;
  }
  if (code[2] == std::byte{0xe8}) {  // call rel32
    std::int32_t distance = 0;
    std::memcpy(&distance, code.data() + 3, sizeof distance);
    return return_address + static_cast<std::uint64_t>(std::int64_t{distance}) == function
               ? Call::kThisFunction
               : Call::kElsewhere;
  }
  // call r/m64: ff /2, in 2 to 7 bytes by its addressing.
  for (std::size_t length = 2; length <= kLongest; ++length) {
    const std::size_t at = kLongest - length;
    if (code[at] == std::byte{0xff} && (std::to_integer<unsigned>(code[at + 1]) & 0x38U) == 0x10U) {
      return Call::kIndirect;
    }
  }
  return Call::kNone;
}

std::optional<std::uint64_t> word_at(std::uint64_t address, const ReadBytes& read_stack) {
  std::uint64_t word = 0;
  if (read_stack(address, std::as_writable_bytes(std::span{&word, 1})) != sizeof word) {
    return std::nullopt;
  }
  return word;
}

std::optional<std::uint64_t> deduce(const FramePointerQuery& query, const ReadBytes& read_stack,
                                    const ReadBytes& read_code) {
  std::array<std::byte, 64> code{};
  const std::size_t count = read_code(query.function, code);
  const auto prologue = read_prologue(std::span(code).first(count));
  if (!prologue || query.pc <= query.function) return std::nullopt;

  const std::uint64_t lowest = query.stack_pointer + prologue->below;
  if (prologue->whole) {
    const auto back = word_at(lowest + 8, read_stack);
    if (back && call_before(*back, query.function, read_code) != Call::kNone) return lowest;
  }
  // The frame was grown further (alloca, pushed arguments) or its prologue is mixed with other
  // code. The ABI keeps the stack aligned to 16 at calls, so the frame pointer is, too.
  std::vector<std::byte> stack(kMaxSearch + 16);
  const std::uint64_t first = (lowest + 15) & ~std::uint64_t{15};
  stack.resize(read_stack(first, stack));
  std::optional<std::uint64_t> found;
  for (std::size_t at = 0; at + 16 <= stack.size(); at += 16) {
    std::uint64_t back = 0;
    std::memcpy(&back, stack.data() + at + 8, sizeof back);
    const Call call = call_before(back, query.function, read_code);
    if (call == Call::kNone) continue;
    if (call == Call::kThisFunction) {
      // Two: one is a left-over of an earlier call, and nothing tells which.
      if (found) return std::nullopt;
      found = first + at;
    } else if (!found) {
      return std::nullopt;  // may be the live one: a call by pointer, or through a jump
    }
  }
  return found;
}

#endif

}  // namespace

std::optional<std::uint64_t> deduce_frame_pointer(const FramePointerQuery& query,
                                                  const ReadBytes& read_stack,
                                                  const ReadBytes& read_code) {
#if defined(__x86_64__)
  return deduce(query, read_stack, read_code);
#else
  static_cast<void>(query), static_cast<void>(read_stack), static_cast<void>(read_code);
  return std::nullopt;
#endif
}

}  // namespace stucktrace::unwind
