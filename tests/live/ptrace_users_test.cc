#include <algorithm>

#include "tests/live/same_as_native.h"

// Programs that use ptrace themselves get it: the tracer steps aside (target/tracers.cc).

namespace stucktrace::test {
namespace {

class PtraceUsersTest : public TransparencyTest {};
INSTANTIATE_TEST_SUITE_P(Modes, PtraceUsersTest, testing::ValuesIn(kTransparentModes), mode_name);

TEST_P(PtraceUsersTest, AChildThatAsksToBeTraced) {
  same_as_native({"tracers", "traceme"});
}

TEST_P(PtraceUsersTest, AParentThatAttaches) {
  same_as_native({"tracers", "attach"});
}

TEST_P(PtraceUsersTest, AParentThatSeizes) {
  same_as_native({"tracers", "seize"});
}

TEST_P(PtraceUsersTest, AProgramThatWillNotBeDebugged) {
  same_as_native({"tracers", "self"});
}

TEST_P(PtraceUsersTest, AChildThatTracesItsParent) {
  same_as_native({"tracers", "parent"});
}

// As a leak checker does it (target/tracers.cc).
TEST_P(PtraceUsersTest, AnUntracedTaskThatTracesItsMaker) {
  same_as_native({"tracers", "untraced"});
}

TEST_P(PtraceUsersTest, ATracedChildThatExecs) {
  same_as_native({"tracers", "exec"});
}

// It has forbidden itself further filters, so that it cannot be let go from ours; and it is stopped
// while we try.
TEST_P(PtraceUsersTest, AStoppedProcessThatCannotBeLetGo) {
  if (!is_filtered(GetParam())) {
    same_as_native({"tracers", "unfit"});
    return;
  }
  const TracedRun traced = run_traced({target_path("tracers"), "unfit"}, GetParam());
  EXPECT_FALSE(traced.timed_out);
  EXPECT_EQ(traced.output,
            "ready\nchild stopped by 0x13 event 0\nseize: fails errno 1\n"
            "ran while it was stopped 0\nchild exited 12\n");
  const auto notes = traced.events.all<model::Note>();
  EXPECT_TRUE(std::ranges::any_of(notes, [](const model::Event& event) {
    return std::get<model::Note>(event.data).text.contains("stays traced");
  }));
}

}  // namespace
}  // namespace stucktrace::test
