#include "tracer/engine/placement.h"

#include <gtest/gtest.h>

#include <optional>

namespace stucktrace::engine {
namespace {

using namespace std::chrono_literals;
using Step = PlacementController::Step;

// Plays the stops of a machine whose speed depends on where the tracer is, as measured on a virtual
// machine with two CPUs.
class Machine {
 public:
  explicit Machine(PlacementPolicy policy) : controller(policy) {}

  // What one stop takes from resume to the next stop's arrival, in each placement.
  base::Nanoseconds local = 4us;
  base::Nanoseconds normal = 80us;
  bool alone = true;

  Step stop() {
    const base::Instant resumed = now;
    now = now + (controller.placement() == Placement::kLocal ? local : normal);
    const Step step = controller.on_stop(now, resumed, alone);
    now = now + 2us;  // the tracer's own work
    if (step == Step::kGoLocal) ++to_local;
    if (step == Step::kGoNormal) ++to_normal;
    return step;
  }
  void stops(int count) {
    for (int i = 0; i < count; ++i) stop();
  }
  // Share of the time till `length` has passed that is spent in LOCAL.
  double local_share(base::Nanoseconds length) {
    const base::Instant end = now + length;
    base::Nanoseconds in_local{};
    base::Nanoseconds whole{};
    while (now < end) {
      const bool was_local = controller.placement() == Placement::kLocal;
      const base::Instant before = now;
      stop();
      whole += now - before;
      if (was_local) in_local += now - before;
    }
    return std::chrono::duration<double>(in_local) / std::chrono::duration<double>(whole);
  }

  PlacementController controller;
  base::Instant now{1s};
  int to_local = 0;
  int to_normal = 0;
};

TEST(Placement, StartsLocalAndStaysWhereStopsComeFast) {
  Machine dense(PlacementPolicy::kAuto);
  EXPECT_EQ(dense.stop(), Step::kGoLocal);
  dense.stops(10000);
  EXPECT_EQ(dense.controller.placement(), Placement::kLocal);
  EXPECT_EQ(dense.controller.counters().trials, 0U);
  EXPECT_EQ(dense.to_normal, 0);
}

TEST(Placement, LeavesLocalWhereNormalIsClearlyFaster) {
  Machine parallel(PlacementPolicy::kAuto);
  parallel.local = 300us;  // the tracees want the CPU that the tracer waits for
  parallel.normal = 60us;
  EXPECT_LT(parallel.local_share(10s), 0.1);
  EXPECT_GE(parallel.controller.counters().kept, 1U);
  EXPECT_EQ(parallel.controller.placement(), Placement::kNormal);
}

TEST(Placement, LeavesLocalForAGainThatWouldNotBringItThere) {
  // A loop of forks: NORMAL is a little faster, and LOCAL again would not be.
  Machine forks(PlacementPolicy::kAuto);
  forks.local = 60us;
  forks.normal = 48us;
  EXPECT_LT(forks.local_share(10s), 0.15);
  EXPECT_EQ(forks.controller.counters().kept, 1U);
}

TEST(Placement, StaysLocalWhereItIsALittleFaster) {
  Machine threads(PlacementPolicy::kAuto);
  threads.local = 30us;
  threads.normal = 34us;
  EXPECT_GT(threads.local_share(10s), 0.9);
  EXPECT_EQ(threads.controller.counters().kept, 0U);
}

TEST(Placement, LateStopsAloneAreNoReasonToLeave) {
  // A tracee that computes between its calls is late anywhere.
  Machine computing(PlacementPolicy::kAuto);
  computing.local = 500us;
  computing.normal = 560us;
  EXPECT_GT(computing.local_share(20s), 0.9);
  EXPECT_EQ(computing.controller.counters().kept, 0U);
  // Failed trials come ever more rarely: the pauses double up to four seconds.
  EXPECT_LE(computing.controller.counters().trials, 12U);
}

TEST(Placement, ComesBackWhenTheLoadChanges) {
  Machine machine(PlacementPolicy::kAuto);
  machine.local = 300us;
  machine.normal = 60us;
  machine.local_share(5s);
  ASSERT_EQ(machine.controller.placement(), Placement::kNormal);
  machine.local = 4us;
  machine.normal = 80us;
  machine.local_share(5s);
  EXPECT_EQ(machine.controller.placement(), Placement::kLocal);
}

TEST(Placement, FollowsOnlyAfterTwoLateStopsAndNotTooOften) {
  Machine machine(PlacementPolicy::kAuto);
  machine.stops(10);
  machine.local = 16us;  // late for following, not for judging
  EXPECT_EQ(machine.stop(), Step::kStay);
  EXPECT_EQ(machine.stop(), Step::kFollow);
  EXPECT_EQ(machine.stop(), Step::kStay);
  int follows = 0;
  const base::Instant end = machine.now + 3ms;
  while (machine.now < end) follows += machine.stop() == Step::kFollow ? 1 : 0;
  EXPECT_GE(follows, 5);
  EXPECT_LE(follows, 10);  // 300 µs apart
}

TEST(Placement, RescueGoesNormalAndWaitsBeforeTheNextTrial) {
  Machine machine(PlacementPolicy::kAuto);
  machine.stops(100);
  ASSERT_EQ(machine.controller.placement(), Placement::kLocal);
  machine.controller.rescued(machine.now);
  EXPECT_EQ(machine.controller.placement(), Placement::kNormal);
  const base::Instant rescue = machine.now;
  while (machine.controller.placement() == Placement::kNormal) machine.stop();
  EXPECT_GE(machine.now - rescue, 100ms);
  EXPECT_EQ(machine.controller.counters().rescues, 1U);
}

TEST(Placement, UnprivilegedEntersForADenseLoneThreadOnlyAndOnce) {
  Machine machine(PlacementPolicy::kOneWay);
  machine.normal = 1ms;  // sparse
  machine.stops(2000);
  EXPECT_EQ(machine.to_local, 0);
  machine.normal = 80us;
  machine.alone = false;
  machine.stops(10000);
  EXPECT_EQ(machine.to_local, 0);
  machine.alone = true;
  machine.stops(10000);
  EXPECT_EQ(machine.to_local, 1);
  EXPECT_EQ(machine.controller.placement(), Placement::kLocal);
  machine.alone = false;  // it has made a child: the CPU mask at least is given back
  machine.stops(1000);
  EXPECT_EQ(machine.controller.placement(), Placement::kNormal);
  machine.alone = true;
  machine.stops(10000);
  EXPECT_EQ(machine.to_local, 1);
}

TEST(Placement, FixedPoliciesDoNotMeasure) {
  Machine normal(PlacementPolicy::kNormal);
  normal.stops(5000);
  EXPECT_EQ(normal.to_local, 0);
  Machine local(PlacementPolicy::kLocal);
  local.local = 300us;
  local.stops(5000);
  EXPECT_EQ(local.to_local, 1);
  EXPECT_EQ(local.to_normal, 0);
  local.controller.rescued(local.now);
  local.stops(5000);
  EXPECT_EQ(local.to_local, 2);
}

TEST(Placement, RefusalIsFinal) {
  Machine machine(PlacementPolicy::kAuto);
  machine.stop();
  machine.controller.refused();
  machine.stops(5000);
  EXPECT_EQ(machine.controller.placement(), Placement::kNormal);
  EXPECT_EQ(machine.to_local, 1);
}

}  // namespace
}  // namespace stucktrace::engine
