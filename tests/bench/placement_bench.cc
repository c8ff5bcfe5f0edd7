#include <benchmark/benchmark.h>

#include "tracer/engine/placement.h"

namespace stucktrace {
namespace {

// What the placement controller adds to each stop, with stops that come fast and with late ones.
void placement_controller(benchmark::State& state, base::Nanoseconds delay) {
  engine::PlacementController controller(engine::PlacementPolicy::kAuto);
  base::Instant now{std::chrono::seconds{1}};
  for (auto _ : state) {
    const base::Instant resumed = now;
    now = now + delay;
    benchmark::DoNotOptimize(controller.on_stop(now, resumed, true));
  }
}
BENCHMARK_CAPTURE(placement_controller, dense, std::chrono::microseconds{4});
BENCHMARK_CAPTURE(placement_controller, late, std::chrono::microseconds{50});

}  // namespace
}  // namespace stucktrace
