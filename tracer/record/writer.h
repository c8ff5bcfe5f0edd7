#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tracer/base/result.h"
#include "tracer/base/unique_fd.h"
#include "tracer/model/event.h"
#include "tracer/record/codec.h"

namespace stucktrace::record {

// Writes a recording (FORMAT.md). A failing write never disturbs the trace: recording stops, the
// first error is kept, later events are dropped. Nothing here throws or raises a signal by itself;
// the caller ignores SIGPIPE (and SIGXFSZ) if the path may be a pipe or a limited file. One thread
// at a time.
class Writer final : public model::EventSink {
 public:
  // Creates PATH with mode 0600 (a recording may hold program output), or empties an existing
  // file, and writes the header at once, so that an unusable path or a full disk shows before the
  // trace starts.
  static base::Result<std::unique_ptr<Writer>> create(const std::string& path,
                                                      const model::TraceHeader& header);
  // Hands what is buffered to the file; the recording then reads as "not closed".
  ~Writer() override;
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void on_event(const model::Event& event) override;
  // Hands everything up to the last event to the kernel.
  void flush();
  // Marks the clean end and closes the file; the first error of the whole recording, if any. Later
  // calls of any kind change nothing.
  base::Result<void> finish();

  // The error that stopped the recording.
  std::optional<base::Error> failure() const { return failure_; }
  // Events in the recording so far.
  std::uint64_t events() const { return events_; }

 private:
  Writer(std::string path, base::UniqueFd file, base::Instant started)
      : path_(std::move(path)), file_(std::move(file)), encoder_(started) {}
  void fail(base::Errno code);

  std::string path_;
  base::UniqueFd file_;  // invalid once recording has stopped or finished
  EventEncoder encoder_;
  std::string buffer_;  // whole frames only
  std::uint64_t events_ = 0;
  std::optional<base::Error> failure_;
};

}  // namespace stucktrace::record
