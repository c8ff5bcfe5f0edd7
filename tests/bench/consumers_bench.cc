#include <benchmark/benchmark.h>

#include <string>
#include <utility>

#include "tests/bench/stream.h"
#include "tracer/diagnose/finding_tracker.h"
#include "tracer/diagnose/history.h"
#include "tracer/model/fd_tracker.h"
#include "tracer/model/task_tree.h"
#include "tracer/model/timeline.h"
#include "tracer/record/codec.h"
#include "tracer/record/writer.h"
#include "tracer/render/text_timeline.h"

// Whoever is fed with the events of a live trace: the time of one iteration is that of one event,
// an enter or an exit.
namespace stucktrace::bench {
namespace {

using MakeStream = Stream (*)();

template <class Observe>
void feed(benchmark::State& state, Stream& stream, Observe observe) {
  observe(stream.begin());
  // Past the first allocations, and well into the loop if there is one.
  for (int i = 0; i < 1000; ++i) observe(stream.next());
  for (auto _ : state) observe(stream.next());
}

// The price of the stream itself, to be taken off the others.
void stream_alone(benchmark::State& state, MakeStream make) {
  Stream stream = make();
  feed(state, stream, [](const model::Event& event) { benchmark::DoNotOptimize(&event); });
}

void fd_tracker(benchmark::State& state, MakeStream make) {
  Stream stream = make();
  model::FdTracker tracker;
  feed(state, stream, [&](const model::Event& event) { tracker.observe(event); });
}

void task_tree(benchmark::State& state, MakeStream make) {
  Stream stream = make();
  model::TaskTree tree;
  feed(state, stream, [&](const model::Event& event) { tree.observe(event); });
}

void call_pairer(benchmark::State& state, MakeStream make) {
  Stream stream = make();
  model::CallPairer pairer;
  feed(state, stream,
       [&](const model::Event& event) { benchmark::DoNotOptimize(pairer.observe(event)); });
}

// Pairing included: there is nothing to fold without it.
void loop_folder(benchmark::State& state, MakeStream make) {
  Stream stream = make();
  model::CallPairer pairer;
  model::LoopFolder folder;
  feed(state, stream, [&](const model::Event& event) {
    if (auto call = pairer.observe(event)) {
      benchmark::DoNotOptimize(folder.add(std::move(*call)));
    }
  });
}

void history(benchmark::State& state, MakeStream make) {
  Stream stream = make();
  diagnose::History history;
  feed(state, stream, [&](const model::Event& event) { history.observe(event); });
}

void finding_tracker(benchmark::State& state, MakeStream make) {
  Stream stream = make();
  diagnose::FindingTracker tracker;
  feed(state, stream, [&](const model::Event& event) { tracker.observe(event); });
}

void encoder(benchmark::State& state, MakeStream make) {
  Stream stream = make();
  record::EventEncoder encoder(stream.start());
  std::string out;
  feed(state, stream, [&](const model::Event& event) {
    if (out.size() > 60'000) out.clear();
    benchmark::DoNotOptimize(encoder.append(event, out));
  });
}

void writer(benchmark::State& state, MakeStream make) {
  Stream stream = make();
  model::TraceHeader header;
  header.started = stream.start();
  auto writer = record::Writer::create("/dev/null", header);
  if (!writer) {
    state.SkipWithError("cannot record to /dev/null");
    return;
  }
  feed(state, stream, [&](const model::Event& event) { (*writer)->on_event(event); });
}

void timeline(benchmark::State& state, MakeStream make, render::TimelineLevel level) {
  Stream stream = make();
  render::TimelineOptions options;
  options.level = level;
  std::size_t bytes = 0;
  render::TextTimeline timeline(options, stream.start(),
                                [&bytes](std::string_view line) { bytes += line.size(); });
  feed(state, stream, [&](const model::Event& event) { timeline.on_event(event); });
  benchmark::DoNotOptimize(bytes);
}

void timeline_story(benchmark::State& state, MakeStream make) {
  timeline(state, make, render::TimelineLevel::kStory);
}

void timeline_all(benchmark::State& state, MakeStream make) {
  timeline(state, make, render::TimelineLevel::kAll);
}

[[maybe_unused]] const int kRegistered = [] {
  const std::pair<const char*, void (*)(benchmark::State&, MakeStream)> consumers[] = {
      {"stream_alone", stream_alone},       {"fd_tracker", fd_tracker},    {"task_tree", task_tree},
      {"call_pairer", call_pairer},         {"loop_folder", loop_folder},  {"history", history},
      {"finding_tracker", finding_tracker}, {"encoder", encoder},          {"writer", writer},
      {"timeline_story", timeline_story},   {"timeline_all", timeline_all}};
  const std::pair<const char*, MakeStream> streams[] = {{"dense", Stream::dense},
                                                        {"varied", Stream::varied},
                                                        {"polling", Stream::polling},
                                                        {"chatty", Stream::chatty}};
  for (const auto& [name, consume] : consumers) {
    for (const auto& [kind, make] : streams) {
      benchmark::RegisterBenchmark((std::string(name) + "/" + kind).c_str(), consume, make);
    }
  }
  return 0;
}();

}  // namespace
}  // namespace stucktrace::bench
