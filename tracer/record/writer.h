#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tracer/base/result.h"
#include "tracer/base/unique_fd.h"
#include "tracer/model/event.h"
#include "tracer/record/codec.h"
#include "tracer/record/sink.h"

namespace stucktrace::record {

// Writes a recording (FORMAT.md).
class Writer final : public Sink {
 public:
  // Creates PATH with mode 0600 (a recording may hold program output), or empties an existing
  // file, and writes the header at once, so that an unusable path or a full disk shows before the
  // trace starts.
  static base::Result<std::unique_ptr<Writer>> create(const std::string& path,
                                                      const model::TraceHeader& header);
  // The same into an open file; `path` is its name in messages.
  static base::Result<std::unique_ptr<Writer>> start(const std::string& path, base::UniqueFd file,
                                                     const model::TraceHeader& header);
  // Hands what is buffered to the file; the recording then reads as "not closed".
  ~Writer() override;
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void on_event(const model::Event& event) override;
  void flush() override;
  base::Result<void> finish() override;
  std::optional<base::Error> failure() const override { return failure_; }

  std::uint64_t bytes() const { return written_ + buffer_.size(); }
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
  std::uint64_t written_ = 0;  // bytes
  std::optional<base::Error> failure_;
};

}  // namespace stucktrace::record
