#include "tests/live/same_as_native.h"

// Programs that use ptrace themselves get it: the tracer steps aside (target/tracers.cc).

namespace stucktrace::test {
namespace {

class PtraceUsersTest : public TransparencyTest {};
INSTANTIATE_TEST_SUITE_P(Modes, PtraceUsersTest, testing::ValuesIn(kAllModes), mode_name);

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

}  // namespace
}  // namespace stucktrace::test
