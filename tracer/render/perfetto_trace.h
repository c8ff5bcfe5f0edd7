#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tracer/model/fd_tracker.h"
#include "tracer/model/task_tree.h"
#include "tracer/model/timeline.h"
#include "tracer/render/release_finder.h"
#include "tracer/render/trace_writer.h"

namespace stucktrace::render {

// A trace for ui.perfetto.dev and its trace processor: Perfetto's own protobuf (perfetto.protos.
// Trace), packet by packet. Processes and threads are tracks, calls slices with their arguments,
// signals and findings instants; an arrow leads from what ended a wait to the wait's end.
class PerfettoTrace final : public TraceWriter {
 public:
  PerfettoTrace(const model::TraceHeader& header, ByteSink sink);

  void on_event(const model::Event& event) override;
  void finding(const model::FindingRecord& record) override;
  void close() override;

 private:
  struct ProcessTrack {
    base::Pid pid;
    std::string name;
    std::vector<std::string> argv;
  };
  // The task's track, described before its first event; described anew when `renamed`. That of its
  // process is described at the end.
  std::uint64_t track(base::Tid tid, bool renamed = false);
  void begin(const model::Call& call);
  void end(const model::Call& call);
  void end_slice(base::Tid tid, base::Instant at);
  void executed(const model::Event& event, const model::Exec& exec);
  void ended(const model::Event& event, const model::TaskExit& exit);
  void describe(std::uint64_t uuid, const ProcessTrack& process);
  void instant(base::Instant at, base::Tid tid, std::string_view category, std::string_view name,
               std::uint64_t flow = 0, bool flow_ends = false);

  ByteSink sink_;
  base::Instant last_;
  model::TaskTree tasks_;
  model::FdTracker fds_;
  model::CallPairer calls_;
  ReleaseFinder releases_;
  std::unordered_map<base::Tid, std::uint64_t> open_;           // slices begun: their track
  std::unordered_set<std::uint64_t> described_;                 // tracks of threads that live
  std::unordered_map<std::uint64_t, base::Instant> last_ends_;  // by track: of its last slice
  std::map<std::uint64_t, ProcessTrack> processes_;             // by track; to be described
  std::uint64_t flows_ = 0;
};

}  // namespace stucktrace::render
