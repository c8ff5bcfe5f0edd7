#include <benchmark/benchmark.h>
#include <fcntl.h>

#include <string>

#include "tests/bench/stream.h"
#include "tracer/base/clock.h"
#include "tracer/base/log.h"
#include "tracer/base/unique_fd.h"
#include "tracer/cli/live_session.h"

// All consumers of a live trace together, as `run` wires them: what one event costs beside the stop
// itself. Recording and timeline go to /dev/null.
namespace stucktrace::bench {
namespace {

struct Wiring {
  bool record = false;
  bool quiet = false;
  bool all = false;  // -e trace=all: each call has its line
};

void live_session(benchmark::State& state, Stream (*make)(), Wiring wiring) {
  Stream stream = make();
  cli::CommonOptions options;
  options.quiet = wiring.quiet;
  if (wiring.record) options.record_path = "/dev/null";
  if (wiring.all) options.trace_set = "trace=all";
  const auto settings = cli::check(options);
  const base::SystemClock clock;
  base::StderrLog log(base::LogLevel::kQuiet);
  const base::UniqueFd null{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  cli::Output out(null.get(), "/dev/null");
  if (!settings || !null.valid()) {
    state.SkipWithError("cannot be set up");
    return;
  }
  auto session = cli::LiveSession::create(
      *settings,
      {.mode = "launch", .command = {"load"}, .time_limit = {}, .until_stuck = false, .traced = {}},
      clock, log, out, out);
  if (!session) {
    state.SkipWithError("no session");
    return;
  }
  // As the pump does it: a slot of the queue, and what was printed goes out now and then.
  const auto accept = [&](model::Event event) { (*session)->accept(event); };
  accept(stream.begin());
  for (int i = 0; i < 1000; ++i) accept(stream.next());
  std::size_t taken = 0;
  for (auto _ : state) {
    accept(stream.next());
    constexpr std::size_t kBatch = 1024;
    if (++taken % kBatch == 0) (*session)->flush_lines();
  }
}

constexpr Wiring kDefault{};
constexpr Wiring kRecording{.record = true, .quiet = true, .all = true};
constexpr Wiring kEverything{.record = true, .quiet = false, .all = true};
BENCHMARK_CAPTURE(live_session, default_dense, Stream::dense, kDefault);
BENCHMARK_CAPTURE(live_session, default_varied, Stream::varied, kDefault);
BENCHMARK_CAPTURE(live_session, default_chatty, Stream::chatty, kDefault);
BENCHMARK_CAPTURE(live_session, recording_dense, Stream::dense, kRecording);
BENCHMARK_CAPTURE(live_session, recording_varied, Stream::varied, kRecording);
BENCHMARK_CAPTURE(live_session, everything_dense, Stream::dense, kEverything);
BENCHMARK_CAPTURE(live_session, everything_varied, Stream::varied, kEverything);

}  // namespace
}  // namespace stucktrace::bench
