#include <benchmark/benchmark.h>

#include <array>

#include "tracer/kernel/stop.h"

// A raw wait status to a Stop: once per stop.
namespace stucktrace::bench {
namespace {

void classify_stop(benchmark::State& state, kernel::TraceStyle style) {
  // stopped by SIGTRAP|0x80 (a syscall-stop, by far the most frequent), by SIGCHLD, by
  // PTRACE_EVENT_CLONE; exited.
  constexpr std::array kStatuses = {0x857f, 0x857f, 0x857f, 0x117f, 0x3057f, 0x0};
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(at);
    const kernel::WaitStatus status{kStatuses[at]};
    benchmark::DoNotOptimize(kernel::needs_siginfo(status, style));
    benchmark::DoNotOptimize(kernel::classify(status, style, kernel::SiginfoAnswer::kNotAsked));
    if (++at == kStatuses.size()) at = 0;
  }
}
BENCHMARK_CAPTURE(classify_stop, seize, kernel::TraceStyle::kSeize);
BENCHMARK_CAPTURE(classify_stop, attach, kernel::TraceStyle::kAttach);

}  // namespace
}  // namespace stucktrace::bench
