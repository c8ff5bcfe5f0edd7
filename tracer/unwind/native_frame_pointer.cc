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
  for (const unsigned low : {0x50U, 0x51U, 0x52U, 0x53U, 0x56U, 0x57U}) {
    if (cursor.take({low})) return true;
  }
  for (unsigned reg = 0x50; reg <= 0x57; ++reg) {
    if (cursor.take({0x41, reg})) return true;  // r8..r15
  }
  return false;
}

bool take_set_frame_pointer(CodeCursor& cursor) {  // mov rbp,rsp, in its two encodings
  return cursor.take({0x48, 0x89, 0xe5}) || cursor.take({0x48, 0x8b, 0xec});
}

// sub rsp,N
std::optional<std::uint64_t> take_locals(CodeCursor& cursor) {
  std::optional<std::int64_t> size;
  if (cursor.take({0x48, 0x83, 0xec})) {
    if (const auto value = cursor.value<std::int8_t>()) size = *value;
  } else if (cursor.take({0x48, 0x81, 0xec})) {
    if (const auto value = cursor.value<std::int32_t>()) size = *value;
  } else if (cursor.take({0x48, 0x83, 0xc4})) {  // add rsp,-128 is shorter than sub rsp,128
    if (const auto value = cursor.value<std::int8_t>()) size = -std::int64_t{*value};
  }
  if (!size || *size <= 0 || static_cast<std::uint64_t>(*size) > kMaxFrame) return std::nullopt;
  return static_cast<std::uint64_t>(*size);
}

struct Operands {
  unsigned reg = 0;            // of the ModRM byte, extended by REX
  std::optional<unsigned> rm;  // likewise where it is a register; nullopt memory
};

std::optional<Operands> take_operands(CodeCursor& cursor, unsigned rex) {
  const auto byte = cursor.value<std::uint8_t>();
  if (!byte) return std::nullopt;
  const unsigned mode = *byte >> 6U, low = *byte & 7U;
  Operands result{(*byte >> 3U & 7U) | (rex & 4U) << 1U, std::nullopt};
  if (mode == 3) {
    result.rm = low | (rex & 1U) << 3U;
    return result;
  }
  bool wide = mode == 2 || (mode == 0 && low == 5);
  if (low == 4) {
    const auto scaled = cursor.value<std::uint8_t>();
    if (!scaled) return std::nullopt;
    wide = wide || (mode == 0 && (*scaled & 7U) == 5);
  }
  if (wide && !cursor.value<std::int32_t>()) return std::nullopt;
  if (mode == 1 && !cursor.value<std::int8_t>()) return std::nullopt;
  return result;
}

// An instruction that optimisers mix into prologues and that leaves rsp and rbp alone: moves,
// address computations, arithmetic, comparisons. Moves the cursor only if it is one.
bool take_harmless(CodeCursor& cursor) {
  constexpr unsigned kRsp = 4, kRbp = 5;
  const auto kept = [](unsigned target) { return target != kRsp && target != kRbp; };
  CodeCursor ahead = cursor;
  ahead.take({0x64});  // fs: the stack protector's canary
  unsigned rex = 0;
  for (unsigned prefix = 0x40; prefix <= 0x4f && rex == 0; ++prefix) {
    if (ahead.take({prefix})) rex = prefix;
  }
  const auto code = ahead.value<std::uint8_t>();
  if (!code) return false;
  bool harmless = false;
  if (*code >= 0xb8 && *code <= 0xbf) {  // mov r,imm
    harmless = kept((*code & 7U) | (rex & 1U) << 3U) &&
               ((rex & 8U) != 0 ? ahead.value<std::int64_t>().has_value()
                                : ahead.value<std::int32_t>().has_value());
  } else if (*code == 0x8b || *code == 0x8d || *code == 0x63 || *code == 0x33) {  // r <- r/m
    const auto operands = take_operands(ahead, rex);
    harmless = operands && kept(operands->reg);
  } else if (*code == 0x89 || *code == 0x31 || *code == 0x88) {  // r/m <- r
    const auto operands = take_operands(ahead, rex);
    harmless = operands && (!operands->rm || kept(*operands->rm));
  } else if (*code == 0x85 || *code == 0x84 || *code == 0x39 || *code == 0x3b) {  // test, cmp
    harmless = take_operands(ahead, rex).has_value();
  } else if (*code == 0x83 || *code == 0x81) {  // arithmetic with a constant
    const auto operands = take_operands(ahead, rex);
    harmless = operands && (!operands->rm || kept(*operands->rm)) &&
               (*code == 0x83 ? ahead.value<std::int8_t>().has_value()
                              : ahead.value<std::int32_t>().has_value());
  } else if (*code == 0xc7) {  // mov r/m,imm32
    const auto operands = take_operands(ahead, rex);
    harmless = operands && (!operands->rm || kept(*operands->rm)) && ahead.value<std::int32_t>();
  } else if (*code == 0x0f) {
    const auto second = ahead.value<std::uint8_t>();
    if (second && (*second == 0xb6 || *second == 0xb7 || *second == 0xbe || *second == 0xbf)) {
      const auto operands = take_operands(ahead, rex);  // movzx, movsx
      harmless = operands && kept(operands->reg);
    }
  }
  if (harmless) cursor = ahead;
  return harmless;
}

// Calls and conditional jumps: what a prologue without locals ends at.
bool at_call_or_branch(CodeCursor cursor) {
  const auto code = cursor.value<std::uint8_t>();
  if (!code) return false;
  if (*code == 0xe8 || (*code >= 0x70 && *code <= 0x7f)) return true;
  const auto second = cursor.value<std::uint8_t>();
  if (!second) return false;
  return (*code == 0xff && (*second & 0x38U) == 0x10U) ||
         (*code == 0x0f && *second >= 0x80 && *second <= 0x8f);
}

std::optional<Prologue> read_prologue(std::span<const std::byte> code) {
  CodeCursor cursor(code);
  cursor.take({0xf3, 0x0f, 0x1e, 0xfa});  // endbr64
  while (!cursor.take({0x55})) {          // push rbp
    if (!take_harmless(cursor)) return std::nullopt;
  }
  while (!take_set_frame_pointer(cursor)) {
    if (!take_harmless(cursor)) return std::nullopt;
  }
  Prologue result;
  while (true) {
    if (take_push(cursor)) {
      result.below += 8;
    } else if (const auto locals = take_locals(cursor)) {
      result.below += *locals;
      result.whole = true;
      return result;
    } else if (!take_harmless(cursor)) {
      result.whole = at_call_or_branch(cursor);
      return result;
    }
  }
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
  std::array<std::byte, 128> code{};
  const std::size_t count = read_code(query.function, code);
  const auto prologue = read_prologue(std::span(code).first(count));
  if (!prologue || query.pc <= query.function) return std::nullopt;

  const std::uint64_t lowest = query.stack_pointer + prologue->below;
  if (prologue->whole) {
    const auto back = word_at(lowest + 8, read_stack);
    const Call call = back ? call_before(*back, query.function, read_code) : Call::kNone;
    const bool left = back && (call != Call::kNone || is_signal_return(*back, read_code));
    if (left && (!query.moves || call == Call::kThisFunction)) return lowest;
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

bool is_signal_return(std::uint64_t address, const ReadBytes& read_code) {
#if defined(__x86_64__)
  constexpr std::array<unsigned char, 9> kCode{0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
  std::array<std::byte, kCode.size()> code{};
  return read_code(address, code) == code.size() &&
         std::memcmp(code.data(), kCode.data(), code.size()) == 0;
#else
  static_cast<void>(address), static_cast<void>(read_code);
  return false;
#endif
}

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
