#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tracer/model/trace_state.h"
#include "tracer/record/sink.h"
#include "tracer/record/writer.h"

namespace stucktrace::record {

// A recording that keeps the last part of a long trace: about SIZE bytes, of which at least half
// are the latest events. Where something is missing stands a Lost event that counts it, after what
// the rest builds on (model::TraceState): the live tasks, their descriptors and calls, the samples
// that findings were made from. If those alone take more than SIZE, it is exceeded.
//
// While it grows there are two files, each a recording of its own: PATH and, before it in time,
// PATH.earlier; a new one begins as PATH.next. finish() makes one of them, with a third,
// PATH.whole, on its way. If the program dies before, both replay, and where there is PATH.earlier,
// PATH tells that something came before it. For a moment of a turn the part before it is PATH.next
// or, on a file system that cannot exchange two names, PATH.whole; only where that knows no links
// either there may then be no PATH.
class RingWriter final : public Sink {
 public:
  static constexpr std::uint64_t kSmallest = std::uint64_t{64} << 10U;

  // Like Writer::create; an error too if PATH is no regular file, SIZE is too small, or something
  // that is no recording is at PATH.earlier, PATH.next or PATH.whole.
  static base::Result<std::unique_ptr<RingWriter>> create(const std::string& path,
                                                          const model::TraceHeader& header,
                                                          std::uint64_t size);

  void on_event(const model::Event& event) override;
  void flush() override { writer_->flush(); }
  // If the parts cannot be joined they are kept, and the error says so.
  base::Result<void> finish() override;
  std::optional<base::Error> failure() const override;

 private:
  RingWriter(std::string path, model::TraceHeader header, std::uint64_t size,
             std::unique_ptr<Writer> writer)
      : path_(std::move(path)),
        header_(std::move(header)),
        size_(size),
        writer_(std::move(writer)) {}
  std::string earlier() const { return path_ + ".earlier"; }
  std::string next() const { return path_ + ".next"; }
  std::string whole() const { return path_ + ".whole"; }
  // Starts the next part; the one before the present one is given up.
  void turn();
  base::Result<void> put_in_place() const;
  base::Result<void> join() const;

  std::string path_;
  model::TraceHeader header_;
  std::uint64_t size_;
  std::unique_ptr<Writer> writer_;
  model::TraceState state_;
  std::uint64_t part_events_ = 0;      // of the trace in the present part
  std::uint64_t before_part_ = 0;      // of the trace before it
  std::uint64_t prologue_events_ = 0;  // at the beginning of the present part
  std::uint64_t prologue_bytes_ = 0;
  bool turned_ = false;
  bool finished_ = false;
  std::optional<base::Error> failure_;  // of turning
};

}  // namespace stucktrace::record
