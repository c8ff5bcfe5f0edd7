#include "tracer/engine/cgroup_reader.h"

#include <gtest/gtest.h>

#include "tests/support/fake_proc.h"

namespace stucktrace::engine {
namespace {

class CgroupReaderTest : public testing::Test {
 protected:
  void throttled(const std::string& group, int microseconds) {
    groups_.write(group + "/cpu.stat",
                  "usage_usec 1\nthrottled_usec " + std::to_string(microseconds) + "\n");
  }
  model::Process look(const std::string& cgroup = "0::/a/b\n") {
    proc_.write("7/cgroup", cgroup);
    model::Process process;
    process.pid = base::Pid{7};
    reader_.begin();
    reader_.fill(kernel::Procfs{proc_.root()}, process);
    return process;
  }

  test::FakeProc proc_;
  test::FakeProc groups_;
  CgroupReader reader_{groups_.root()};
};

TEST_F(CgroupReaderTest, FrozenAtOneLook) {
  groups_.write("a/b/cgroup.events", "populated 1\nfrozen 1\n");
  EXPECT_TRUE(look().frozen);
  groups_.write("a/b/cgroup.events", "populated 1\nfrozen 0\n");
  EXPECT_FALSE(look().frozen);
  EXPECT_FALSE(look("0::/nowhere\n").frozen);
}

TEST_F(CgroupReaderTest, StarvedIfTheTimeGrowsAnywhereOnTheWay) {
  throttled("a", 100);
  throttled("a/b", 50);
  EXPECT_FALSE(look().cpu_starved);  // once, before anybody looked
  EXPECT_FALSE(look().cpu_starved);
  throttled("a", 101);
  EXPECT_TRUE(look().cpu_starved);
  EXPECT_FALSE(look().cpu_starved);
  throttled("a/b", 60);
  EXPECT_TRUE(look().cpu_starved);
}

TEST_F(CgroupReaderTest, AnotherGroupThanBeforeIsNotCompared) {
  throttled("a/b", 50);
  throttled("c", 99);
  EXPECT_FALSE(look().cpu_starved);
  EXPECT_FALSE(look("0::/c\n").cpu_starved);
}

}  // namespace
}  // namespace stucktrace::engine
