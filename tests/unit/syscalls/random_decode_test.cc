#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "syscalls/table.h"
// The same harness, driven by a fixed seed.
#include "tests/fuzz/fuzz_decode.cc"  // NOLINT(bugprone-suspicious-include)

namespace stucktrace::syscalls {
namespace {

// Mostly small and plausible words, some at the edges of the number range.
std::uint64_t random_word(std::mt19937_64& random) {
  static constexpr std::uint64_t kEdges[] = {
      0, 1, ~std::uint64_t{0}, std::uint64_t{1} << 60, 0x7fffffff, 0x80000000, 0xffffffff};
  switch (random() % 4) {
    case 0:
      return kEdges[random() % std::size(kEdges)];
    case 1:
      return random();
    default:
      return random() % 4096;
  }
}

TEST(RandomDecode, AnyBytesGiveSomeValues) {
  std::mt19937_64 random{20240611};
  std::vector<std::uint64_t> input(8 + 64);
  int decoded = 0;
  for (const Abi abi : {Abi::kX86_64, Abi::kI386, Abi::kX32, Abi::kAarch64}) {
    for (const SyscallRow& row : all_rows(abi)) {
      for (int round = 0; round < 12; ++round) {
        for (std::uint64_t& word : input) word = random_word(random);
        // The head's layout is the harness's: number, ABI and payload in the first word.
        input[0] = row.number | static_cast<std::uint64_t>(abi) << 16 | (random() % 8) << 24;
        EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()),
                                         input.size() * sizeof(input[0])),
                  0);
        ++decoded;
      }
    }
  }
  EXPECT_GT(decoded, 16000);
}

TEST(RandomDecode, ShortInputsAndUnknownNumbers) {
  std::mt19937_64 random{7};
  for (std::size_t size = 0; size < 128; ++size) {
    std::vector<std::uint8_t> input(size);
    for (std::uint8_t& byte : input) byte = static_cast<std::uint8_t>(random());
    EXPECT_EQ(LLVMFuzzerTestOneInput(input.data(), input.size()), 0);
  }
}

}  // namespace
}  // namespace stucktrace::syscalls
