// Whatever a process's memory holds, a look at it ends, and gives nothing rather than nonsense.
#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string_view>
#include <vector>

#include "python_fakes.h"
#include "tracer/unwind/python_elf.h"
#include "tracer/unwind/python_image.h"
#include "tracer/unwind/python_locks.h"
#include "tracer/unwind/python_memory.h"
#include "tracer/unwind/python_pages.h"
#include "tracer/unwind/python_stack.h"
#include "tracer/unwind/python_state.h"

namespace stucktrace::unwind {
namespace {

std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 31)) * 0x7fb5d329728ea185ull;
  value = (value ^ (value >> 27)) * 0x81dadef4bc2dd44dull;
  return value ^ (value >> 33);
}

enum class Kind { kRandom, kSelf, kWeb, kOnes };

// Readable everywhere; each word is a function of its address.
class HostileMemory final : public syscalls::RemoteMemory {
 public:
  HostileMemory(Kind kind, std::uint64_t seed) : kind_(kind), seed_(seed) {}

  std::size_t read(base::RemoteAddr address, std::span<std::byte> out) const override {
    ++reads_;
    bytes_ += out.size();
    for (std::size_t index = 0; index < out.size(); ++index) {
      const std::uint64_t at = address.value() + index;
      const std::uint64_t value = word(at & ~std::uint64_t{7});
      out[index] = static_cast<std::byte>(value >> (at % 8 * 8));
    }
    return out.size();
  }
  std::size_t reads() const { return reads_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::uint64_t word(std::uint64_t address) const {
    const std::uint64_t value = mix(address ^ seed_);
    switch (kind_) {
      case Kind::kRandom:
        return value;
      case Kind::kSelf:
        return address;
      case Kind::kOnes:
        return ~std::uint64_t{0};
      case Kind::kWeb:
        break;
    }
    // A small web of objects whose types have the very names that are looked for.
    static constexpr std::array<std::string_view, 11> kNames = {
        "code\0\0\0", "dict\0\0\0", "str\0\0\0\0", "bytes\0\0",  "tuple\0\0", "float\0\0",
        "module\0",   "_RLock\0",   "int\0\0\0\0", "Lock\0\0\0", "method\0"};
    switch (value % 8) {
      case 0:
        return 0;
      case 1:
        return value >> 8 & 0xff;
      case 2: {
        std::uint64_t text = 0;
        const std::string_view name = kNames[(value >> 8) % kNames.size()];
        std::memcpy(&text, name.data(), name.size());
        return text;
      }
      default:
        return 0x100000 + (value >> 8) % 512 * 8;
    }
  }

  Kind kind_;
  std::uint64_t seed_;
  mutable std::size_t reads_ = 0, bytes_ = 0;
};

constexpr std::size_t kReads = 200'000;

// Everything that read_python does with memory, from `images` on.
void look(const syscalls::RemoteMemory& everything, const PythonLayout& layout,
          const PythonMappings& mappings) {
  const LimitedMemory memory{everything, kReads};
  const PythonObjects objects{memory, layout, 2};
  PythonStacks stacks{objects};
  PythonLocks locks{objects};
  is_finalizing(objects, mappings.images);
  std::vector<std::uint64_t> interpreters = find_interpreters(objects, mappings);
  EXPECT_LE(interpreters.size(), kMaxPythonInterpreters);
  interpreters.push_back(0x100000);
  for (const std::uint64_t interpreter : interpreters) {
    auto states = list_python_threads(objects, mappings.images, interpreter);
    EXPECT_LE(states.size(), kMaxPythonThreads);
    match_python_threads(memory, states, {{1, base::Tid{1}}, {77, base::Tid{77}}});
    EXPECT_LE(python_thread_names(objects, interpreter).size(), kMaxPythonThreads);
    states.emplace_back();
    states.back().address = 0x100800;
    for (const PythonThreadState& state : states) {
      const auto chain = stacks.chain(state.address);
      if (!chain) continue;
      EXPECT_LE(chain->size(), kMaxPythonFrames);
      const auto frames = stacks.describe(*chain);
      stacks.deadline(*chain);
      EXPECT_LE(locks.held(*chain, 0x100000).size(), kMaxPythonFrames * 4096);
      locks.awaited(*chain, 0x100000);
      if (!frames) continue;
      EXPECT_EQ(frames->size(), chain->size());
      for (const model::PythonFrame& frame : *frames) {
        EXPECT_LE(frame.function.size(), kMaxPythonText * 4);
        EXPECT_FALSE(frame.function.empty());
      }
    }
  }
}

PythonMappings mappings_at(std::uint64_t address) {
  PythonMappings mappings;
  PythonImage image;
  image.path = "/x/libpython3.9.so";
  image.machine = EM_X86_64;
  image.runtime = image.current_thread = image.interpreters = image.interpreters_fn = address;
  image.finalizing = image.version = address;
  image.writable.push_back({address, 1 << 16});
  mappings.images.push_back(image);
  mappings.heap.push_back({0x100000, 1 << 20});
  return mappings;
}

const PythonVersion kVersions[] = {{2, 7, ""},  {3, 6, ""},  {3, 7, ""},  {3, 8, ""}, {3, 9, ""},
                                   {3, 10, ""}, {3, 11, ""}, {3, 12, ""}, {3, 13, ""}};

class PythonHostile : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, PythonHostile,
                         testing::Values(Kind::kRandom, Kind::kSelf, Kind::kWeb, Kind::kOnes));

TEST_P(PythonHostile, EveryVersionEnds) {
  const int seeds = GetParam() == Kind::kWeb ? 30 : 3;
  for (int seed = 1; seed <= seeds; ++seed) {
    for (const PythonVersion& version : kVersions) {
      const HostileMemory memory{GetParam(), static_cast<std::uint64_t>(seed)};
      look(memory, *find_python_layout(version.major, version.minor), mappings_at(0x100400));
      EXPECT_LE(memory.reads(), kReads);
      EXPECT_LE(memory.bytes(), std::size_t{3} << 30);
    }
  }
}

TEST_P(PythonHostile, IdentificationEnds) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const HostileMemory memory{GetParam(), seed};
    const PythonMappings mappings = mappings_at(0x100400);
    const auto build = identify_python(memory, mappings.images);
    // Only the file name is left to tell.
    if (build) {
      EXPECT_EQ(build->version.text, "3.9");
    }
  }
}

TEST(PythonHostileLists, AnEndlessListOfThreadsEnds) {
  FakePython fake{3, 9};
  const std::uint64_t interpreter = fake.space.allocate(2048);
  std::uint64_t next = 0;
  for (std::size_t count = 0; count < kMaxPythonThreads + 50; ++count) {
    const std::uint64_t state = fake.space.allocate(256);
    fake.space.put(fake.at(state, fake.layout.thread_next), next);
    fake.space.put(fake.at(state, fake.layout.thread_interp), interpreter);
    next = state;
  }
  fake.space.put(fake.at(interpreter, fake.layout.interp_threads), next);
  const PythonObjects objects{fake.space, fake.layout};
  EXPECT_EQ(list_python_threads(objects, {}, interpreter).size(), kMaxPythonThreads);
  // And a short cyclic one has each thread once.
  fake.space.put(fake.at(next, fake.layout.thread_next), next);
  EXPECT_EQ(list_python_threads(objects, {}, interpreter).size(), 1u);
}

TEST(PythonHostileLists, LimitedMemoryRunsDry) {
  const HostileMemory all{Kind::kRandom, 1};
  const LimitedMemory memory{all, 2};
  std::uint64_t value = 0;
  EXPECT_TRUE(memory.read_value(base::RemoteAddr{64}, value));
  EXPECT_TRUE(memory.read_value(base::RemoteAddr{64}, value));
  EXPECT_FALSE(memory.read_value(base::RemoteAddr{64}, value));
  EXPECT_TRUE(memory.exhausted());
}

TEST(PythonPages, OneCopyUntilForgotten) {
  FakeSpace space;
  const std::uint64_t block = space.allocate(20000);
  space.put(block, std::uint64_t{1});
  PageCopies pages{space};
  std::uint64_t value = 0;
  ASSERT_TRUE(pages.read_value(base::RemoteAddr{block}, value));
  space.put(block, std::uint64_t{2});
  ASSERT_TRUE(pages.read_value(base::RemoteAddr{block}, value));
  EXPECT_EQ(value, 1u);
  pages.forget();
  ASSERT_TRUE(pages.read_value(base::RemoteAddr{block}, value));
  EXPECT_EQ(value, 2u);
}

TEST(PythonPages, ReadsAcrossPagesAndEndsWhereTheMemoryEnds) {
  const HostileMemory endless{Kind::kRandom, 3};
  PageCopies pages{endless};
  for (const std::size_t size : {1u, 100u, 4096u, 9000u, 16384u, 60000u}) {
    std::vector<std::byte> copied(size), direct(size);
    EXPECT_EQ(pages.read(base::RemoteAddr{0x20ff3}, copied), size);
    endless.read(base::RemoteAddr{0x20ff3}, direct);
    EXPECT_EQ(copied, direct);
  }
  class UpTo final : public syscalls::RemoteMemory {
   public:
    std::size_t read(base::RemoteAddr address, std::span<std::byte> out) const override {
      constexpr std::uint64_t kEnd = 0x21800;
      if (address.value() >= kEnd) return 0;
      return std::min<std::size_t>(out.size(), kEnd - address.value());
    }
  };
  const UpTo bounded;
  PageCopies short_pages{bounded};
  std::vector<std::byte> out(8192);
  EXPECT_EQ(short_pages.read(base::RemoteAddr{0x20ff0}, out), 0x810u);
  EXPECT_EQ(short_pages.read(base::RemoteAddr{0x21900}, out), 0u);
}

// ---- the interpreter's file -----------------------------------------------------------------

std::vector<std::byte> own_file() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::byte> result(bytes.size());
  std::memcpy(result.data(), bytes.data(), bytes.size());
  return result;
}

ElfFile::ReadAt over(std::span<const std::byte> bytes) {
  return [bytes](std::uint64_t offset, std::span<std::byte> out) {
    if (offset > bytes.size() || out.size() > bytes.size() - offset) return false;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return true;
  };
}

TEST(PythonElf, FindsSymbolsAndSections) {
  const auto bytes = own_file();
  const auto file = ElfFile::parse(over(bytes));
  ASSERT_TRUE(file);
  EXPECT_FALSE(file->segments().empty());
  std::uint64_t found = 0;
  file->symbols(ElfFile::Table::kFull, [&](std::string_view name, std::uint64_t address) {
    if (name == "main") found = address;
  });
  EXPECT_NE(found, 0u);
  EXPECT_TRUE(file->section_address(".bss"));
  EXPECT_FALSE(file->section_address(".PyRuntime"));
  EXPECT_FALSE(read_python_image(*file, "self", 0).is_interpreter());
}

TEST(PythonElf, DamagedFilesAreReadWithinTheirBounds) {
  auto bytes = own_file();
  std::mt19937 random{7};
  // Headers at the front, section headers at the end: that is where damage leads somewhere.
  for (int round = 0; round < 60; ++round) {
    std::vector<std::pair<std::size_t, std::byte>> undo;
    for (int flip = 0; flip < 8; ++flip) {
      const std::size_t from_end = bytes.size() - 1 - random() % 3000;
      const std::size_t at = random() % 2 == 0 ? random() % 512 : from_end;
      undo.emplace_back(at, bytes[at]);
      bytes[at] = static_cast<std::byte>(random());
    }
    const auto visible =
        std::span{bytes}.first(random() % 4 == 0 ? random() % bytes.size() : bytes.size());
    if (const auto file = ElfFile::parse(over(visible))) {
      std::size_t longest = 0;
      file->symbols(ElfFile::Table::kDynamic, [&](std::string_view name, std::uint64_t) {
        longest = std::max(longest, name.size());
      });
      EXPECT_LE(longest, bytes.size());
      file->section_address(".PyRuntime");
    }
    for (auto old = undo.rbegin(); old != undo.rend(); ++old) bytes[old->first] = old->second;
  }
  const std::vector<std::byte> text(4096, std::byte{'#'});
  EXPECT_FALSE(ElfFile::parse(over(text)));
  EXPECT_FALSE(ElfFile::parse(over({})));
}

TEST(PythonElf, TheListIsReadOffTheCodeThatReturnsIt) {
  FakeSpace space;
  const std::uint64_t function = space.allocate(64);
  const std::array<std::uint8_t, 8> load = {0x48, 0x8b, 0x05, 0x00, 0x01, 0x00, 0x00, 0xc3};
  space.put(function, load);
  EXPECT_EQ(interpreters_from_code(space, function), function + 7 + 0x100);
  const std::array<std::uint8_t, 4> endbr = {0xf3, 0x0f, 0x1e, 0xfa};
  space.put(function, endbr);
  space.put(function + 4, load);
  EXPECT_EQ(interpreters_from_code(space, function), function + 11 + 0x100);
  space.put(function + 11, std::uint8_t{0x90});
  EXPECT_EQ(interpreters_from_code(space, function), 0u) << "does more than return it";
  EXPECT_EQ(interpreters_from_code(space, 0), 0u);
  EXPECT_EQ(interpreters_from_code(space, 0xdead0000), 0u);
}

}  // namespace
}  // namespace stucktrace::unwind
