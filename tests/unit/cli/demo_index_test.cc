#include "tracer/cli/demo_index.h"

#include <gtest/gtest.h>

namespace stucktrace::cli {
namespace {

TEST(DemoIndex, ReadsOneLineADemo) {
  const auto demos = parse_demo_index(
      "# comment\nqueue-join\tpython3\tq.py\tthe birth case\t200000 5\t1000\tpipe-full\n"
      "plain\t-\tplain\twithout an interpreter\t\t\tnone\n",
      "/opt/t");
  ASSERT_TRUE(demos);
  ASSERT_EQ(demos->size(), 2U);
  EXPECT_EQ(demos->front().interpreter, "python3");
  EXPECT_EQ(demos->front().path, "/opt/t/q.py");
  EXPECT_EQ(demos->front().hanging, (std::vector<std::string>{"200000", "5"}));
  EXPECT_TRUE(demos->back().interpreter.empty());
  EXPECT_TRUE(demos->back().hanging.empty());
}

TEST(DemoIndex, RefusesALineWithTheWrongNumberOfColumns) {
  const auto demos = parse_demo_index("name\tonly\n", "/opt/t");
  ASSERT_FALSE(demos);
  EXPECT_EQ(demos.error().kind, base::ErrorKind::kMalformed);
}

}  // namespace
}  // namespace stucktrace::cli
