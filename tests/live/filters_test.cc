#include "tests/live/same_as_native.h"

// Tracees with seccomp filters of their own (target/filters.cc).

namespace stucktrace::test {
namespace {

class FiltersTest : public TransparencyTest {};
INSTANTIATE_TEST_SUITE_P(Modes, FiltersTest, testing::ValuesIn(kTransparentModes), mode_name);

TEST_P(FiltersTest, AnErrnoOfAFilterArrives) {
  same_as_native({"filters", "errno"});
}

TEST_P(FiltersTest, ATrapRaisesSigsysWithItsSiginfo) {
  same_as_native({"filters", "trap"});
}

TEST_P(FiltersTest, AKillKillsTheThreadOrTheProcess) {
  same_as_native({"filters", "kill"});
}

TEST_P(FiltersTest, ATraceWithoutATracerOfItsOwnIsEnosys) {
  same_as_native({"filters", "trace"});
}

TEST_P(FiltersTest, ANotificationIsAnsweredByItsSupervisor) {
  same_as_native({"filters", "notify"});
}

TEST_P(FiltersTest, StrictModeHolds) {
  if (is_filtered(GetParam())) {
    GTEST_SKIP() << "seccomp(2): strict mode cannot be entered by a process that has a filter";
  }
  same_as_native({"filters", "strict"});
}

TEST_P(FiltersTest, StackedFiltersHoldThroughExec) {
  same_as_native({"filters", "stacked"});
}

}  // namespace
}  // namespace stucktrace::test
