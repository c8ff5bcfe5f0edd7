#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tracer/diagnose/announce.h"
#include "tracer/model/event.h"
#include "tracer/model/fd_tracker.h"
#include "tracer/model/timeline.h"
#include "tracer/model/verdict.h"

namespace stucktrace::diagnose {

// A launched command whose main process has ended; others of its tree may live.
struct GoneJob {
  base::Pid pid;
  std::string comm;  // raw bytes
  base::Instant ended;
  std::vector<model::FdEntry> outputs;  // its standard output and error, as it was given them
};

// What a diagnosis needs from the events of a trace, kept as they come. Cheap per event: no text is
// made, nothing is searched. Not thread-safe.
class History {
 public:
  explicit History(AnnouncePhrases phrases = {});

  void observe(const model::Event& event);

  // The completion announcement of this process that stands now; its `evidence` is filled in.
  std::optional<model::Announcement> announcement(base::Pid pid) const;
  // When the call the thread is in began; nullopt when it is in none, or began before the attach.
  std::optional<base::Instant> call_start(base::Tid tid) const;
  // The loop of short calls the thread is in right now.
  std::optional<model::Loop> loop(base::Tid tid) const;
  // The process whose call made this pipe or socket, where that was seen.
  std::optional<base::Pid> maker(const model::ResourceId& resource) const;
  // nullopt while the command runs, and where nothing was launched.
  std::optional<GoneJob> gone_job() const;

 private:
  void note_job(const model::Event& event);
  void note_maker(const model::ResourceId& resource, base::Pid pid);
  void completed(const model::Call& call);
  void note_output(const model::Call& call);
  void note_input(const model::Call& call);
  AnnounceDetector& detector(base::Pid pid);

  AnnouncePhrases phrases_;
  // The first task told of: a launched command, which does not exist before us.
  std::optional<GoneJob> job_;
  bool job_launched_ = false;
  bool job_ended_ = false;
  model::FdTracker fds_;
  model::CallPairer calls_;
  std::unordered_map<base::Tid, model::LoopFolder> loops_;
  std::unordered_map<base::Pid, AnnounceDetector> detectors_;
  std::map<model::ResourceId, base::Pid> makers_;  // the latest some thousand
  std::deque<model::ResourceId> made_;             // in order
};

}  // namespace stucktrace::diagnose
