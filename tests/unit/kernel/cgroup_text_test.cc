#include "tracer/kernel/cgroup_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stucktrace::kernel {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(ParseCgroup, OnlyAVersion2GroupWithinOurNamespace) {
  EXPECT_EQ(parse_cgroup("12:cpu:/old\n0::/a/b\n"), "/a/b");
  EXPECT_EQ(parse_cgroup("0::/\n"), "/");
  EXPECT_FALSE(parse_cgroup("12:cpu:/old\n"));
  EXPECT_FALSE(parse_cgroup("0::/../../elsewhere\n"));
  EXPECT_FALSE(parse_cgroup("0::relative\n"));
  EXPECT_FALSE(parse_cgroup(""));
}

TEST(ParseFlatKey, TheWholeKeyAndANumber) {
  EXPECT_EQ(parse_flat_key("populated 1\nfrozen 0\n", "frozen"), 0U);
  EXPECT_EQ(parse_flat_key("nr_throttled 3\nthrottled_usec 17\n", "throttled_usec"), 17U);
  EXPECT_FALSE(parse_flat_key("unfrozen 1\n", "frozen"));
  EXPECT_FALSE(parse_flat_key("frozen x\n", "frozen"));
  EXPECT_FALSE(parse_flat_key("frozen", "frozen"));
}

TEST(ParseMembers, SortedNumbersOfOurNamespace) {
  EXPECT_THAT(parse_members("12\n7\n0\n0\n103\n"),
              ElementsAre(base::Pid{7}, base::Pid{12}, base::Pid{103}));
  EXPECT_THAT(parse_members("x\n-4\n99999999999\n5"), ElementsAre(base::Pid{5}));
  EXPECT_THAT(parse_members(""), IsEmpty());
}

constexpr std::string_view kHybrid =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime shared:9 - cgroup cgroup rw,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:10 - cgroup2 cgroup2 rw\n";

TEST(GroupDirectories, OfVersion2Alone) {
  EXPECT_THAT(group_directories(kHybrid, "/"), ElementsAre("/sys/fs/cgroup/unified"));
  EXPECT_THAT(group_directories(kHybrid, "/a/b"), ElementsAre("/sys/fs/cgroup/unified/a/b"));
  EXPECT_THAT(group_directories("40 31 0:37 / /cgroup rw - cgroup cgroup rw\n", "/"), IsEmpty());
}

TEST(GroupDirectories, AMountMayShowAPartOnly) {
  const std::string_view part = "41 31 0:38 /a/b /mnt/part rw - cgroup2 cgroup2 rw\n";
  EXPECT_THAT(group_directories(part, "/a/b"), ElementsAre("/mnt/part"));
  EXPECT_THAT(group_directories(part, "/a/b/c"), ElementsAre("/mnt/part/c"));
  EXPECT_THAT(group_directories(part, "/a/bc"), IsEmpty());
  EXPECT_THAT(group_directories(part, "/a"), IsEmpty());
}

TEST(GroupDirectories, TheLatestMountFirstAndNamesAsTheyAre) {
  EXPECT_THAT(group_directories("1 0 0:1 / /a\\040b\\134 rw - cgroup2 none rw\n"
                                "2 0 0:1 / /c\\9 rw - cgroup2 none rw\n",
                                "/"),
              ElementsAre("/c\\9", "/a b\\"));
}

TEST(GroupDirectories, DamagedLinesAreSkipped) {
  EXPECT_THAT(group_directories("1 0 0:1 / /a rw\n - cgroup2\n\n1 - cgroup2", "/"), IsEmpty());
}

}  // namespace
}  // namespace stucktrace::kernel
