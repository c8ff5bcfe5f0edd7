#include <dlfcn.h>
#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/auxv.h>

#include <cstring>
#include <random>

#include "tests/unit/unwind/native_support.h"
#include "tracer/unwind/elf_debug.h"
#include "tracer/unwind/elf_image.h"
#include "tracer/unwind/elf_lines.h"
#include "tracer/unwind/symbols.h"

namespace stucktrace::unwind::testing {
namespace {

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto span = std::as_bytes(std::span(text));
  return {span.begin(), span.end()};
}

TEST(NativeSymbols, AreDemangledWithinBounds) {
  EXPECT_EQ(demangle("_ZN2ns1fEi"), "ns::f(int)");
  EXPECT_EQ(demangle("plain"), "plain");
  EXPECT_EQ(demangle("_Zbroken"), "_Zbroken");
  EXPECT_EQ(demangle(std::string(5000, 'a')).size(), 1024U);
  EXPECT_LE(demangle("_Z" + std::string(100'000, 'P')).size(), 1024U);
}

TEST(NativeSymbols, PreferTheNamePeopleUse) {
  STUCKTRACE_NEEDS_PLAIN_FRAMES();
  // The C library has several names for each of these.
  Dl_info where{};
  ASSERT_NE(::dladdr(reinterpret_cast<void*>(::dlsym(RTLD_NEXT, "getppid")), &where), 0);
  const auto image = open_elf(where.dli_fname);
  ASSERT_TRUE(image) << image.error().message();
  SymbolTable symbols;
  symbols.add(*image);
  const auto base = reinterpret_cast<std::uint64_t>(where.dli_fbase);
  // Asked of that library: a preloaded one may stand before it with names of its own.
  void* const library = ::dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  ASSERT_NE(library, nullptr);
  for (const char* name : {"read", "write", "poll", "waitpid", "nanosleep", "select", "exit"}) {
    void* const function = ::dlsym(library, name);
    ASSERT_NE(function, nullptr) << name;
    const auto found = symbols.find(reinterpret_cast<std::uint64_t>(function) - base + 1);
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(found->name, name);
  }
}

TEST(NativeSymbols, OfTheVdsoComeFromItsImageInMemory) {
  const auto start = ::getauxval(AT_SYSINFO_EHDR);
  if (start == 0) GTEST_SKIP() << "no vdso";
  // Its mapping is at least one page; section headers may be beyond, so take what the maps say.
  std::ifstream maps("/proc/self/maps");
  std::size_t size = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with("[vdso]")) {
      size = std::stoull(line.substr(line.find('-') + 1), nullptr, 16) -
             std::stoull(line, nullptr, 16);
    }
  }
  ASSERT_GT(size, 0U);
  const auto* bytes = reinterpret_cast<const std::byte*>(start);
  auto image = ElfImage::parse(ElfBytes(std::vector<std::byte>(bytes, bytes + size)));
  ASSERT_TRUE(image);
  EXPECT_TRUE(image->unwind_table());
  SymbolTable symbols;
  symbols.add(*image);
  const ElfSection* dynsym = image->section(".dynsym");
  ASSERT_NE(dynsym, nullptr);
  EXPECT_GT(symbols.size(), 0U);
}

TEST(NativeSymbols, NamePltEntries) {
  const TempFolder folder;
  const std::string library = folder.file("lib.so");
  if (!compile("extern \"C\" int imported_thing(); int f() { return imported_thing() + 1; }\n",
               library, "-shared -fPIC -O0")) {
    GTEST_SKIP() << "no compiler";
  }
  const auto image = open_elf(library);
  ASSERT_TRUE(image);
  SymbolTable symbols;
  symbols.add(*image);
  symbols.add_plt(*image);
  std::vector<std::string> names;
  for (const char* name : {".plt", ".plt.sec", ".plt.got"}) {
    const ElfSection* section = image->section(name);
    if (section == nullptr) continue;
    for (std::uint64_t at = section->address; at < section->address + section->size; at += 8) {
      if (const auto symbol = symbols.find(at)) names.push_back(symbol->name);
    }
  }
  EXPECT_THAT(names, ::testing::Contains("imported_thing@plt"));
}

TEST(NativeElf, FindsFunctionStartsByTheUnwindTable) {
  const auto image = open_elf("/proc/self/exe");
  ASSERT_TRUE(image);
  SymbolTable symbols;
  symbols.add(*image);
  Dl_info where{};
  ASSERT_NE(::dladdr(reinterpret_cast<void*>(&demangle), &where), 0);
  const std::uint64_t linked =
      reinterpret_cast<std::uint64_t>(&demangle) -
      (image->segments()[0].address == 0 ? reinterpret_cast<std::uint64_t>(where.dli_fbase) : 0);
  const auto symbol = symbols.find(linked + 3);
  ASSERT_TRUE(symbol);
  EXPECT_EQ(symbol->address, linked);
  EXPECT_EQ(image->function_start(linked + 3), linked);
  EXPECT_EQ(image->function_start(0), std::nullopt);
}

TEST(NativeElf, RefusesWhatIsNotOne) {
  EXPECT_EQ(ElfImage::parse(ElfBytes(bytes_of(""))).error().kind, base::ErrorKind::kMalformed);
  EXPECT_EQ(ElfImage::parse(ElfBytes(bytes_of("#!/bin/sh\n"))).error().kind,
            base::ErrorKind::kMalformed);
  std::string narrow(64, '\0');
  std::memcpy(narrow.data(), ELFMAG, SELFMAG);
  narrow[EI_CLASS] = ELFCLASS32;
  narrow[EI_DATA] = ELFDATA2LSB;
  EXPECT_EQ(ElfImage::parse(ElfBytes(bytes_of(narrow))).error().kind,
            base::ErrorKind::kUnsupported);
  EXPECT_EQ(open_elf("/nonexistent").error().kind, base::ErrorKind::kGone);
  EXPECT_FALSE(open_elf("/proc"));
  EXPECT_FALSE(open_elf("/dev/zero"));
}

TEST(NativeElf, ReadsAreShortWhenTheFileIsCutMeanwhile) {
  const TempFolder folder;
  const std::string path = folder.file("bytes");
  std::ofstream(path) << std::string(200'000, 'a');
  base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const ElfBytes bytes(std::move(fd), 200'000);
  std::vector<std::byte> out(100'000);
  EXPECT_EQ(bytes.read(60'000, out), out.size());  // over the edge of a chunk
  EXPECT_EQ(bytes.read(150'000, out), 50'000U);
  std::filesystem::resize_file(path, 1000);
  EXPECT_EQ(bytes.read_uncached(0, out), 1000U);
  EXPECT_EQ(bytes.read(199'999, std::span(out).first(1)), 1U);  // still in the cache
  EXPECT_EQ(bytes.read(300'000, out), 0U);
}

// Everything that is read from a file, with answers thrown away: none may leave the bytes.
void exercise(ElfImage image) {
  SymbolTable symbols;
  symbols.add(image);
  symbols.add_plt(image);
  for (const ElfSegment& segment : image.segments()) {
    symbols.find(segment.address);
    image.function_start(segment.address + segment.file_size / 2);
  }
  find_debug_file(image, "/nonexistent/file", {""});
}

TEST(NativeElf, SurvivesDamage) {
  const TempFolder folder;
  const std::string library = folder.file("lib.so");
  if (!compile("extern \"C\" int other(); int f() { return other() + 1; }\n", library,
               "-shared -fPIC -O0 -g")) {
    GTEST_SKIP() << "no compiler";
  }
  const std::string good = slurp(library);
  auto whole = ElfImage::parse(ElfBytes(bytes_of(good)));
  ASSERT_TRUE(whole);
  exercise(std::move(*whole));
  std::mt19937 random(1);
  for (int round = 0; round < 600; ++round) {
    std::string bad = good;
    // Headers are where a wrong number hurts most: two of three changes go to their kind of place.
    for (int change = 0; change < 1 + round % 8; ++change) {
      std::size_t at = random() % bad.size();
      if (round % 3 == 0) at = random() % 1024;
      if (round % 3 == 1) at = bad.size() - 1 - random() % 3000;
      bad[at] = static_cast<char>(round % 2 == 0 ? 0xff : random());
    }
    if (round % 5 == 0) bad.resize(random() % bad.size());
    if (auto image = ElfImage::parse(ElfBytes(bytes_of(bad)))) exercise(std::move(*image));
    std::ofstream(library, std::ios::binary | std::ios::trunc) << bad;
    if (const auto image = open_elf(library)) {
      if (const auto lines = LineTable::open(*image)) lines->find(0x1100);
    }
  }
}

}  // namespace
}  // namespace stucktrace::unwind::testing
