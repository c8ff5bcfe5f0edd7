#include "tests/live/same_as_native.h"

// Every signal, its siginfo and its order (target/signals.cc).

namespace stucktrace::test {
namespace {

class SignalsTest : public TransparencyTest {};
INSTANTIATE_TEST_SUITE_P(Modes, SignalsTest, testing::ValuesIn(kTransparentModes), mode_name);

TEST_P(SignalsTest, EachSignalsDefaultActionIsTaken) {
  same_as_native({"signals", "fates"});
}

TEST_P(SignalsTest, AllQueuedSignalsComeInOrderWithTheirValues) {
  same_as_native({"signals", "queue"});
}

TEST_P(SignalsTest, EachOriginKeepsItsSiginfo) {
  same_as_native({"signals", "sources"});
}

TEST_P(SignalsTest, SignalsThatAreWaitedForArriveThere) {
  same_as_native({"signals", "waits"});
}

TEST_P(SignalsTest, HandlersRunAsTheirFlagsSay) {
  same_as_native({"signals", "handlers"});
}

TEST_P(SignalsTest, SigkillEndsAnythingAtAnyMoment) {
  same_as_native({"signals", "kills", "100"});
}

}  // namespace
}  // namespace stucktrace::test
