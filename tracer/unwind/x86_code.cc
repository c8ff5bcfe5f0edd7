#include "tracer/unwind/x86_code.h"

#include <algorithm>
#include <cstring>

namespace stucktrace::unwind {
namespace {

using Kind = X86Instruction::Kind;

constexpr unsigned kRsp = 4, kRbp = 5;

// What follows an opcode: whether a ModRM byte, and how many bytes of constants.
struct Shape {
  bool valid = true;
  bool modrm = false;
  std::size_t constant = 0;
};

constexpr bool within(unsigned code, unsigned first, unsigned last) {
  return code >= first && code <= last;
}

// Opcodes of one byte. `wide`: 4, or 2 after an operand size prefix.
Shape one_byte_shape(unsigned code, std::size_t wide, bool rex_w, bool short_address) {
  if (code < 0x40) {
    switch (code & 7U) {
      case 4:
        return {.constant = 1};
      case 5:
        return {.constant = wide};
      case 6:
      case 7:
        return {.valid = false};
      default:
        return {.modrm = true};
    }
  }
  if (within(code, 0x70, 0x7f) || within(code, 0xb0, 0xb7) || within(code, 0xe0, 0xe7)) {
    return {.constant = 1};
  }
  if (within(code, 0xb8, 0xbf)) return {.constant = rex_w ? 8 : wide};
  if (within(code, 0xa0, 0xa3)) return {.constant = short_address ? std::size_t{4} : 8};
  if (within(code, 0xd8, 0xdf) || within(code, 0xd0, 0xd3) || within(code, 0x84, 0x8f)) {
    return {.modrm = true};
  }
  switch (code) {
    case 0x60:
    case 0x61:
    case 0x82:
    case 0x9a:
    case 0xce:
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xea:
      return {.valid = false};
    case 0x63:
    case 0xf6:  // its constant depends on the ModRM byte
    case 0xf7:
    case 0xfe:
    case 0xff:
      return {.modrm = true};
    case 0x69:
    case 0x81:
    case 0xc7:
      return {.modrm = true, .constant = wide};
    case 0x6b:
    case 0x80:
    case 0x83:
    case 0xc0:
    case 0xc1:
    case 0xc6:
      return {.modrm = true, .constant = 1};
    case 0x68:
    case 0xa9:
      return {.constant = wide};
    case 0xe8:
    case 0xe9:
      return {.constant = 4};
    case 0x6a:
    case 0xa8:
    case 0xcd:
    case 0xeb:
      return {.constant = 1};
    case 0xc2:
    case 0xca:
      return {.constant = 2};
    case 0xc8:
      return {.constant = 3};
    default:
      return {};
  }
}

// Opcodes behind 0f, and those of the vector prefixes' first map.
Shape two_byte_shape(unsigned code) {
  if (within(code, 0x80, 0x8f)) return {.constant = 4};
  if (within(code, 0x30, 0x37) || within(code, 0xc8, 0xcf)) return {};
  switch (code) {
    case 0x05:
    case 0x06:
    case 0x07:
    case 0x08:
    case 0x09:
    case 0x0b:
    case 0x0e:
    case 0x77:
    case 0xa0:
    case 0xa1:
    case 0xa2:
    case 0xa8:
    case 0xa9:
    case 0xaa:
      return {};
    case 0x04:
    case 0x0a:
    case 0x0c:
      return {.valid = false};
    case 0x0f:
    case 0x70:
    case 0x71:
    case 0x72:
    case 0x73:
    case 0xa4:
    case 0xac:
    case 0xba:
    case 0xc2:
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return {.modrm = true, .constant = 1};
    default:
      return {.modrm = true};
  }
}

class Decoder {
 public:
  Decoder(std::uint64_t address, std::span<const std::byte> code)
      : address_(address), code_(code.first(std::min(code.size(), kLongestX86Instruction))) {}

  std::optional<X86Instruction> decode() {
    if (!read_prefixes()) return std::nullopt;
    const Shape shape = read_opcode();
    if (!shape.valid || cut_) return std::nullopt;
    if (shape.modrm) read_operands();
    std::size_t constant = shape.constant;
    // test is the only one of its group that has a constant.
    if (map_ == 0 && (opcode_ == 0xf6 || opcode_ == 0xf7) && reg_low() < 2) {
      constant = opcode_ == 0xf6 ? 1 : wide();
    }
    constant_at_ = at_;
    skip(constant);
    if (cut_) return std::nullopt;
    result_.length = at_;
    if (!vector_) explain(constant);
    return result_;
  }

 private:
  unsigned take() {
    if (at_ >= code_.size()) {
      cut_ = true;
      return 0;
    }
    return std::to_integer<unsigned>(code_[at_++]);
  }
  void skip(std::size_t count) {
    if (code_.size() - at_ < count) {
      cut_ = true;
      return;
    }
    at_ += count;
  }
  template <class T>
  std::int64_t value_at(std::size_t at) const {
    T value;
    std::memcpy(&value, code_.data() + at, sizeof value);
    return value;
  }
  std::int64_t constant(std::size_t size) const {
    switch (size) {
      case 1:
        return value_at<std::int8_t>(constant_at_);
      case 2:
        return value_at<std::int16_t>(constant_at_);
      case 4:
        return value_at<std::int32_t>(constant_at_);
      default:
        return 0;
    }
  }
  std::size_t wide() const { return operand_size_ && !rex_w() ? 2 : 4; }
  bool rex_w() const { return (rex_ & 8U) != 0; }
  unsigned reg_low() const { return modrm_ >> 3U & 7U; }
  unsigned reg() const { return reg_low() | (rex_ & 4U) << 1U; }
  bool rm_is_register() const { return has_modrm_ && modrm_ >= 0xc0; }
  unsigned rm() const { return (modrm_ & 7U) | (rex_ & 1U) << 3U; }

  bool read_prefixes() {
    while (true) {
      if (at_ >= code_.size()) return false;
      switch (const unsigned byte = std::to_integer<unsigned>(code_[at_]); byte) {
        case 0x66:
          operand_size_ = true;
          break;
        case 0x67:
          address_size_ = true;
          break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65:
        case 0xf0:
        case 0xf2:
        case 0xf3:
          break;
        default:
          if (within(byte, 0x40, 0x4f)) {
            rex_ = byte;
            ++at_;
          }
          return true;
      }
      ++at_;
    }
  }

  Shape read_opcode() {
    opcode_ = take();
    if (opcode_ == 0xc5 || opcode_ == 0xc4 || opcode_ == 0x62) return read_vector_opcode();
    if (opcode_ != 0x0f) return one_byte_shape(opcode_, wide(), rex_w(), address_size_);
    map_ = 1;
    opcode_ = take();
    if (opcode_ != 0x38 && opcode_ != 0x3a) return two_byte_shape(opcode_);
    map_ = opcode_ == 0x38 ? 2 : 3;
    opcode_ = take();
    return {.modrm = true, .constant = map_ == 3 ? std::size_t{1} : 0};
  }

  // VEX and EVEX: their operands are vectors, or general registers other than rsp.
  Shape read_vector_opcode() {
    vector_ = true;
    map_ = 1;
    if (opcode_ == 0xc5) {
      skip(1);
    } else {
      const unsigned length = opcode_ == 0xc4 ? 1 : 2;
      map_ = take() & (opcode_ == 0xc4 ? 0x1fU : 7U);
      skip(length);
    }
    opcode_ = take();
    switch (map_) {
      case 1:
        return two_byte_shape(opcode_);
      case 2:
      case 5:
      case 6:
        return {.modrm = true};
      case 3:
        return {.modrm = true, .constant = 1};
      default:
        return {.valid = false};
    }
  }

  void read_operands() {
    has_modrm_ = true;
    modrm_ = take();
    const unsigned mode = modrm_ >> 6U;
    if (mode == 3) return;
    std::size_t distance = mode == 1 ? 1 : mode == 2 ? 4 : 0;
    base_ = rm();
    if ((modrm_ & 7U) == 4) {
      const unsigned scaled = take();
      const unsigned index = (scaled >> 3U & 7U) | (rex_ & 2U) << 2U;
      base_ = (scaled & 7U) | (rex_ & 1U) << 3U;
      if (index != kRsp) base_.reset();
      if (mode == 0 && (scaled & 7U) == 5) {
        base_.reset();
        distance = 4;
      }
    } else if (mode == 0 && (modrm_ & 7U) == 5) {
      base_.reset();
      of_next_ = true;
      distance = 4;
    }
    const std::size_t at = at_;
    skip(distance);
    if (cut_) return;
    if (distance == 1) distance_ = value_at<std::int8_t>(at);
    if (distance == 4) distance_ = value_at<std::int32_t>(at);
  }

  std::uint64_t next() const { return address_ + result_.length; }
  std::uint64_t from_next(std::int64_t distance) const {
    return next() + static_cast<std::uint64_t>(distance);
  }

  void be(Kind kind, std::int64_t value = 0) {
    result_.kind = kind;
    result_.value = value;
  }
  void go(Kind kind, std::size_t constant_size) {
    result_.kind = kind;
    result_.target = from_next(constant(constant_size));
  }
  // A register gets something unknown.
  void load(unsigned target) {
    if (target == kRsp) be(Kind::kLoseStack);
    if (target == kRbp) be(Kind::kLoseFramePointer);
  }
  void move(unsigned target, unsigned source) {
    if (!rex_w() || (target == kRsp && source == kRsp)) return load(target);
    if (target == kRsp && source == kRbp) return be(Kind::kFromFramePointer);
    if (target == kRbp && source == kRsp) return be(Kind::kSetFramePointer);
    load(target);
  }
  void pop(unsigned target) {
    be(Kind::kMoveStack, slot());
    if (target == kRsp) be(Kind::kLoseStack);
    if (target == kRbp) be(Kind::kPopFramePointer);
  }
  std::int64_t slot() const { return operand_size_ ? 2 : 8; }

  void explain(std::size_t constant_size) {
    if (map_ == 1) return explain_two_bytes(constant_size);
    if (map_ != 0) return;
    if (within(opcode_, 0x50, 0x57)) return be(Kind::kMoveStack, -slot());
    if (within(opcode_, 0x58, 0x5f)) return pop((opcode_ & 7U) | (rex_ & 1U) << 3U);
    if (within(opcode_, 0x70, 0x7f) || within(opcode_, 0xe0, 0xe3)) return go(Kind::kBranch, 1);
    if (within(opcode_, 0xb8, 0xbf)) return load((opcode_ & 7U) | (rex_ & 1U) << 3U);
    if (within(opcode_, 0x91, 0x97)) return load((opcode_ & 7U) | (rex_ & 1U) << 3U);
    if (opcode_ < 0x40) return explain_arithmetic();
    switch (opcode_) {
      case 0x68:
      case 0x6a:
      case 0x9c:
        return be(Kind::kMoveStack, -slot());
      case 0x9d:
        return be(Kind::kMoveStack, slot());
      case 0x8f:
        return rm_is_register() ? pop(rm()) : be(Kind::kMoveStack, slot());
      case 0x81:
      case 0x83:
        return explain_constant(constant(constant_size));
      case 0x89:
        if (rm_is_register()) move(rm(), reg());
        return;
      case 0x8b:
        return rm_is_register() ? move(reg(), rm()) : load(reg());
      case 0x8d:
        return explain_address();
      case 0x63:
      case 0x69:
      case 0x6b:
        return load(reg());
      case 0x87:
        load(reg());
        if (rm_is_register()) load(rm());
        return;
      case 0xc1:
      case 0xc7:
      case 0xd1:
      case 0xd3:
        if (rm_is_register()) load(rm());
        return;
      case 0xf7:
        if (rm_is_register() && (reg_low() == 2 || reg_low() == 3)) load(rm());  // not, neg
        return;
      case 0xc2:
      case 0xc3:
      case 0xca:
      case 0xcb:
      case 0xcc:
      case 0xcf:
      case 0xf4:
        return be(Kind::kEnd);
      case 0xc8:
        return be(Kind::kLoseStack);
      case 0xc9:
        return be(Kind::kLeave);
      case 0xe8:
        return go(Kind::kCall, 4);
      case 0xe9:
        return go(Kind::kJump, 4);
      case 0xeb:
        return go(Kind::kJump, 1);
      case 0xff:
        return explain_group_five();
      default:
        return;
    }
  }

  void explain_two_bytes(std::size_t constant_size) {
    if (within(opcode_, 0x80, 0x8f)) return go(Kind::kBranch, constant_size);
    if (within(opcode_, 0x40, 0x4f)) return load(reg());
    switch (opcode_) {
      case 0x0b:
        return be(Kind::kEnd);
      case 0xa0:
      case 0xa8:
        return be(Kind::kMoveStack, -slot());
      case 0xa1:
      case 0xa9:
        return be(Kind::kMoveStack, slot());
      case 0xaf:
      case 0xb6:
      case 0xb7:
      case 0xb8:
      case 0xbc:
      case 0xbd:
      case 0xbe:
      case 0xbf:
        return load(reg());
      default:
        return;
    }
  }

  // add, or, adc, sbb, and, sub, xor, cmp between registers and memory; cmp writes nothing.
  void explain_arithmetic() {
    if (opcode_ >= 0x38 || !has_modrm_) return;
    const bool to_reg = (opcode_ & 2U) != 0;
    if ((opcode_ & 1U) == 0) return;  // bytes
    if (to_reg) return load(reg());
    if (rm_is_register()) load(rm());
  }
  void explain_constant(std::int64_t value) {
    if (!rm_is_register() || reg_low() == 7) return;
    if (rm() != kRsp || !rex_w()) return load(rm());
    if (reg_low() == 0) return be(Kind::kMoveStack, value);
    if (reg_low() == 5) return be(Kind::kMoveStack, -value);
    be(Kind::kLoseStack);
  }
  void explain_address() {
    const bool plain = rex_w() && base_ && !of_next_;
    if (reg() == kRsp && plain && *base_ == kRsp) return be(Kind::kMoveStack, distance_);
    if (reg() == kRsp && plain && *base_ == kRbp) return be(Kind::kFromFramePointer, distance_);
    if (reg() == kRbp && plain && *base_ == kRsp) return be(Kind::kSetFramePointer, distance_);
    load(reg());
  }
  void explain_group_five() {
    switch (reg_low()) {
      case 0:
      case 1:
        if (rm_is_register()) load(rm());
        return;
      case 2:
      case 3:
        result_.kind = Kind::kCall;
        break;
      case 4:
      case 5:
        result_.kind = Kind::kJump;
        break;
      default:
        return be(Kind::kMoveStack, -slot());
    }
    if (of_next_) result_.pointer = from_next(distance_);
  }

  std::uint64_t address_;
  std::span<const std::byte> code_;
  std::size_t at_ = 0;
  bool cut_ = false;
  bool operand_size_ = false, address_size_ = false, vector_ = false;
  unsigned rex_ = 0;
  unsigned map_ = 0;  // 0: one byte; 1: 0f; 2: 0f 38; 3: 0f 3a
  unsigned opcode_ = 0;
  bool has_modrm_ = false;
  unsigned modrm_ = 0;
  std::optional<unsigned> base_;  // the only register that a memory operand is addressed by
  bool of_next_ = false;          // a memory operand relative to the next instruction
  std::int64_t distance_ = 0;
  std::size_t constant_at_ = 0;
  X86Instruction result_;
};

}  // namespace

std::optional<X86Instruction> decode_x86(std::uint64_t address, std::span<const std::byte> code) {
  return Decoder(address, code).decode();
}

}  // namespace stucktrace::unwind
