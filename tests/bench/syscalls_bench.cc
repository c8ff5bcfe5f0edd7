#include <benchmark/benchmark.h>
#include <fcntl.h>

#include "syscalls/decode.h"
#include "syscalls/table.h"
#include "tests/support/event_script.h"
#include "tests/unit/syscalls/fake_tracee.h"

// What a stop costs in syscalls/: the look-up, what is kept of the tracee's memory, and (later, for
// a line of text) the decoding.
namespace stucktrace::bench {
namespace {

using syscalls::CapturedMemory;
using syscalls::RawCall;
using syscalls::RawResult;
using syscalls::testing::FakeTracee;

struct Sample {
  FakeTracee tracee;
  RawCall call;
  RawResult result;
};

Sample read_of_a_byte() {
  Sample sample;
  sample.call = test::raw_call("read", {0, sample.tracee.put_raw("x"), 1});
  sample.result = {1, false};
  return sample;
}

Sample write_to_stdout() {
  Sample sample;
  sample.call = test::raw_call("write", {1, sample.tracee.put_raw("a line of output\n"), 17});
  sample.result = {17, false};
  return sample;
}

Sample openat() {
  Sample sample;
  sample.call = test::raw_call(
      "openat", {static_cast<std::uint64_t>(AT_FDCWD),
                 sample.tracee.put_text("/usr/lib/python3.11/site.py"), O_RDONLY | O_CLOEXEC, 0});
  sample.result = {3, false};
  return sample;
}

void find_row(benchmark::State& state) {
  std::int64_t number = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(syscalls::find_row(syscalls::Abi::kX86_64, number));
    number = (number + 7) % 330;
  }
}
BENCHMARK(find_row);

void capture(benchmark::State& state, Sample (*make)()) {
  const Sample sample = make();
  syscalls::CaptureOptions options;
  options.output_fd = true;
  for (auto _ : state) {
    CapturedMemory memory;
    syscalls::capture_enter(sample.call, sample.tracee, options, memory);
    syscalls::capture_exit(sample.call, sample.result, sample.tracee, options, memory);
    benchmark::DoNotOptimize(memory);
  }
}
BENCHMARK_CAPTURE(capture, read, read_of_a_byte);
BENCHMARK_CAPTURE(capture, write, write_to_stdout);
BENCHMARK_CAPTURE(capture, openat, openat);

void decode(benchmark::State& state, Sample (*make)()) {
  const Sample sample = make();
  CapturedMemory memory;
  syscalls::CaptureOptions options;
  options.output_fd = true;
  syscalls::capture_enter(sample.call, sample.tracee, options, memory);
  syscalls::capture_exit(sample.call, sample.result, sample.tracee, options, memory);
  for (auto _ : state) {
    benchmark::DoNotOptimize(syscalls::decode(sample.call, sample.result, memory));
  }
}
BENCHMARK_CAPTURE(decode, read, read_of_a_byte);
BENCHMARK_CAPTURE(decode, write, write_to_stdout);
BENCHMARK_CAPTURE(decode, openat, openat);

}  // namespace
}  // namespace stucktrace::bench
