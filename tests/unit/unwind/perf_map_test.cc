#include "tracer/unwind/perf_map.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace stucktrace::unwind {
namespace {

std::string name_at(const PerfMap& map, std::uint64_t address) {
  const auto found = map.find(address);
  return found ? found->name : "";
}

TEST(PerfMap, NamesWhatALineCovers) {
  const PerfMap map("1000 20 LazyCompile:*wait /app/server.js:12\n0x2000 10 Stub\n");
  EXPECT_EQ(map.size(), 2U);
  EXPECT_EQ(name_at(map, 0xfff), "");
  EXPECT_EQ(name_at(map, 0x1000), "LazyCompile:*wait /app/server.js:12");
  EXPECT_EQ(name_at(map, 0x101f), "LazyCompile:*wait /app/server.js:12");
  EXPECT_EQ(name_at(map, 0x1020), "");
  EXPECT_EQ(name_at(map, 0x200f), "Stub");
  ASSERT_TRUE(map.find(0x2008));
  EXPECT_EQ(map.find(0x2008)->address, 0x2000U);
}

TEST(PerfMap, TheLaterLineCounts) {
  const PerfMap map("1000 100 old\n1000 10 new\n1040 10 inside\n");
  EXPECT_EQ(name_at(map, 0x1005), "new");
  EXPECT_EQ(name_at(map, 0x1045), "inside");
  const PerfMap covered("1040 10 old\n1000 100 new\n");
  EXPECT_EQ(name_at(covered, 0x1045), "new");
}

TEST(PerfMap, LinesThatAreNoneAreLeftOut) {
  const PerfMap map(
      "\n \nhello\n10\n10 \n10 20\n10 20 \nxyz 10 name\n10 0 empty\n"
      "ffffffffffffffff 10 wraps\n11223344556677889900 10 big\n30 8 good");
  EXPECT_EQ(map.size(), 1U);
  EXPECT_EQ(name_at(map, 0x37), "good");
}

TEST(PerfMap, IsTheProcesssOwnFile) {
  const std::string path = fmt::format("/tmp/perf-{}.map", ::getpid());
  const base::Pid self{::getpid()};
  std::ofstream(path) << "4000 10 mine\n";
  EXPECT_EQ(name_at(PerfMap::of(self), 0x4001), "mine");
  if (::getuid() == 0 && ::chown(path.c_str(), 12345, 12345) == 0) {
    EXPECT_EQ(PerfMap::of(self).size(), 0U) << "somebody else's file is not believed";
  }
  ::unlink(path.c_str());
  ASSERT_EQ(::symlink("/etc/passwd", path.c_str()), 0);
  EXPECT_EQ(PerfMap::of(self).size(), 0U);
  ::unlink(path.c_str());
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(PerfMap::of(self).size(), 0U);
  ::unlink(path.c_str());
  EXPECT_EQ(PerfMap::of(self).size(), 0U);
  EXPECT_EQ(PerfMap::of(base::Pid{-1}).size(), 0U);
}

}  // namespace
}  // namespace stucktrace::unwind
