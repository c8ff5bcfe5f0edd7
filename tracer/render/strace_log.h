#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "tracer/model/timeline.h"
#include "tracer/render/trace_writer.h"

namespace stucktrace::render {

// The lines of `strace -f -ttt -T`, for programs that read those:
//
//   4711  1700000000.123456 write(4, "x"..., 5) = 5 <0.000017>
//
// Where a stack was taken its native frames follow the call, as with -k. A call is one line, never
// an unfinished and a resumed half; lines are in the order in which calls began. So a line waits
// for the end of older calls; should too many wait, the oldest go out first and the call that held
// them up comes late. What was not recorded reads as strace shows what it cannot read: buffers as
// ""..., memory as its address.
class StraceLog final : public TraceWriter {
 public:
  static constexpr std::size_t kMostHeld = 200'000;

  StraceLog(const model::TraceHeader& header, ByteSink sink, std::size_t most_held = kMostHeld);

  void on_event(const model::Event& event) override;
  void finding(const model::FindingRecord&) override {}  // strace knows none
  void close() override;

 private:
  using Place = std::pair<base::Instant, std::uint64_t>;  // when it began, sequence

  void begun(const model::Event& event);
  void ended(const model::Call& call);
  void remark(const model::Event& event, std::string_view text);
  void hold(Place place, base::Tid tid, std::string_view text);
  void let_out();

  base::Nanoseconds wall_offset_;
  ByteSink sink_;
  std::size_t most_held_;
  model::CallPairer calls_;
  std::unordered_map<base::Tid, Place> open_;
  std::set<Place> open_places_;
  std::map<Place, std::string> held_;
};

}  // namespace stucktrace::render
