// Runs a fuzz target without a fuzzing engine, so that every build checks it: the given seed files,
// then mutations of them from a fixed random sequence. The same entry point serves libFuzzer
// (clang++ -fsanitize=fuzzer in place of this file).
//
// usage: fuzz_NAME [ITERATIONS [SEED-FILE...]]
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// One to eight small damages: what a cut file, a flipped bit or a hostile writer looks like.
Bytes mutate(Bytes input, std::mt19937& random) {
  const auto below = [&](std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>{0, limit - 1}(random);
  };
  for (std::size_t left = 1 + below(8); left > 0; --left) {
    if (input.empty()) input.push_back(static_cast<std::uint8_t>(below(256)));
    const std::size_t at = below(input.size());
    switch (below(6)) {
      case 0:
        input[at] = static_cast<std::uint8_t>(below(256));
        break;
      case 1:
        input[at] = static_cast<std::uint8_t>(input[at] ^ (1U << below(8)));
        break;
      case 2:
        input.resize(at);
        break;
      case 3:
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), below(2) ? 0xff : 0);
        break;
      case 4:
        input.erase(input.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      default: {
        const std::size_t from = below(input.size());
        const std::size_t count = below(input.size() - from) % 64;
        const Bytes piece(input.begin() + static_cast<std::ptrdiff_t>(from),
                          input.begin() + static_cast<std::ptrdiff_t>(from + count));
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), piece.begin(), piece.end());
      }
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  const long iterations = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 2000;
  std::vector<Bytes> seeds;
  for (int i = 2; i < argc; ++i) seeds.push_back(read_file(argv[i]));
  if (seeds.empty()) seeds.emplace_back();
  std::mt19937 random(20);  // fixed: a failure is found again
  for (const Bytes& seed : seeds) LLVMFuzzerTestOneInput(seed.data(), seed.size());
  for (long i = 0; i < iterations; ++i) {
    Bytes& seed = seeds[static_cast<std::size_t>(i) % seeds.size()];
    const Bytes input = mutate(seed, random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
    // Now and then a mutation becomes a seed, so that damage adds up.
    if (i % 16 == 0 && input.size() < 4096) seeds.push_back(input);
    if (seeds.size() > 256) seeds.resize(128);
  }
  std::printf("%ld inputs\n", iterations);
  return 0;
}
