#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tracer/diagnose/history.h"
#include "tracer/model/event.h"
#include "tracer/model/fd_tracker.h"
#include "tracer/model/task_tree.h"
#include "tracer/model/verdict.h"

namespace stucktrace::diagnose {

// Findings over the life of a trace: the same stall found again is one record, which takes its most
// certain and most specific form; it is resolved when the stuck thread moves on, and tells who made
// it move. Feed every event to observe(), every diagnosis to update(), in the order they came.
class FindingTracker {
 public:
  // `now`: when the newer sample was taken. `history` may be null.
  void update(const model::Diagnosis& diagnosis, base::Instant now, const History* history);
  void observe(const model::Event& event);

  // In order of their first report.
  std::vector<model::FindingRecord> records() const;
  // Indexes into records() of those first reported since the last call.
  std::vector<std::size_t> take_new();

 private:
  void resolve(model::FindingRecord& record, base::Instant at, std::string by);
  void on_exit(const model::Event& event, const model::SyscallExit& exit);
  void on_read(const model::Event& event, const model::SyscallExit& exit, base::Instant start);
  void on_task_exit(const model::Event& event, const model::TaskExit& exit);
  std::string actor(base::Tid tid) const;

  struct Reader {  // who last took something out of a watched pipe
    base::Instant at;
    std::string text;
  };
  std::vector<model::FindingRecord> records_;
  std::size_t taken_ = 0;
  std::map<model::ResourceId, Reader> readers_;
  // When the call a thread is in began; nullopt between calls. The place stays for the next one.
  std::unordered_map<base::Tid, std::optional<base::Instant>> open_;
  model::FdTracker fds_;
  model::TaskTree tasks_;
};

}  // namespace stucktrace::diagnose
