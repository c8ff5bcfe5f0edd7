#include "tracer/unwind/code_entries.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <link.h>
#include <sys/stat.h>

#include <algorithm>

#include "tracer/unwind/elf_image.h"

namespace stucktrace::unwind {
namespace {

#if defined(__x86_64__)

// Only its address is taken, by the table below.
int through_a_table(int value) {
  return value + 1;
}
int (*volatile table[])(int) = {through_a_table};

__attribute__((noinline)) int by_call(int value) {
  return table[0](value) * 2;
}

TEST(CodeEntries, HoldsWhatIsCalledAndWhatIsPointedTo) {
  base::UniqueFd fd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  struct stat about{};
  ASSERT_EQ(::fstat(fd.get(), &about), 0);
  const auto image =
      ElfImage::parse(ElfBytes(std::move(fd), static_cast<std::uint64_t>(about.st_size)));
  ASSERT_TRUE(image);
  std::uint64_t loaded = 0;
  for (const ElfSegment& segment : image->segments()) loaded += segment.file_size;
  // The sanitizers' code and data make it so.
  if (loaded > 64ULL * 1024 * 1024) GTEST_SKIP() << "a larger program than is looked through";
  EXPECT_EQ(by_call(1), 4);
  const auto entries = code_entries(*image);
  EXPECT_TRUE(std::ranges::is_sorted(entries));
  std::uint64_t base = 0;  // the program is told of first
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* found) {
        *static_cast<std::uint64_t*>(found) = info->dlpi_addr;
        return 1;
      },
      &base);
  const auto linked = [&](auto* function) {
    return reinterpret_cast<std::uint64_t>(function) - base;
  };
  EXPECT_TRUE(std::ranges::binary_search(entries, linked(&through_a_table)));
  EXPECT_TRUE(std::ranges::binary_search(entries, linked(&by_call)));
}

#endif

}  // namespace
}  // namespace stucktrace::unwind
