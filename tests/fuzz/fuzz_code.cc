// libFuzzer entry: machine code and a stack as a hostile process may show them. The input is laid
// out as code that starts in mid-air, followed by the same bytes as a stack; its first bytes say
// where the thread is. Every instruction must lie within what was given, and the search for a
// caller must end after a bounded number of reads, whatever the code does.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "tracer/unwind/native_frame_pointer.h"
#include "tracer/unwind/stack_depth.h"
#include "tracer/unwind/x86_code.h"

namespace {

using namespace stucktrace::unwind;

constexpr std::uint64_t kBase = 0x400000;
// A walk follows 200 000 instructions at most, each read at most once; and looks at 16 384 words,
// each with what stands before what it points to.
constexpr std::size_t kMostReads = 2'000'000;

void check(bool holds) {
  if (!holds) std::abort();
}

void check_decoder(std::span<const std::byte> input) {
  for (std::size_t at = 0; at < input.size();) {
    const auto instruction = decode_x86(kBase + at, input.subspan(at));
    if (!instruction) {
      ++at;
      continue;
    }
    check(instruction->length > 0 && instruction->length <= kLongestX86Instruction);
    check(instruction->length <= input.size() - at);
    at += instruction->length;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  check_decoder(input);
  if (size < 6) return 0;
  const auto number = [&](std::size_t at) { return (data[at] * 256U + data[at + 1]) % size; };

  std::size_t reads = 0;
  const ReadBytes read = [&](std::uint64_t address, std::span<std::byte> out) -> std::size_t {
    ++reads;
    if (address < kBase || address - kBase >= input.size()) return 0;
    const auto from = input.subspan(static_cast<std::size_t>(address - kBase));
    const std::size_t count = std::min(from.size(), out.size());
    std::memcpy(out.data(), from.data(), count);
    return count;
  };
  BareCode code;
  code.read_code = code.read_data = read;
  code.is_constant = [&](std::uint64_t address) { return address % 2 == 0; };
  if (data[0] % 2 == 0) code.start = kBase + number(1) - std::min<std::size_t>(number(1), data[5]);
  code.possible_starts = [&] {
    return std::vector<std::uint64_t>{kBase, kBase + number(2), kBase + number(4)};
  };
  const BarePlace place{kBase + number(1), kBase + number(3), data[0] % 4 < 2};
  StackDepth depth;
  depth.begin();
  const auto caller = depth.caller(place, code);
  if (caller && !caller->outermost && !caller->interrupted) {
    check(caller->stack_pointer > place.stack_pointer);
    check(caller->stack_pointer - place.stack_pointer <= kMaxBareFrame + sizeof(void*));
  }
  code.start = kBase + number(1);
  static_cast<void>(depth.frame_pointer(place, code));
  static_cast<void>(
      deduce_frame_pointer({kBase, place.pc, place.stack_pointer, data[0] % 8 < 4}, read, read));
  check(reads <= kMostReads);
  return 0;
}
