#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/result.h"
#include "tracer/base/unique_fd.h"
#include "tracer/model/event.h"
#include "tracer/record/codec.h"

namespace stucktrace::record {

// Reads a recording (FORMAT.md) event by event, holding one message in memory. The bytes are
// hostile: lengths are bounded, and memory is only taken for bytes that were really there.
class Reader {
 public:
  // One clear error for what cannot be read at all: missing, a directory, foreign, newer, cut
  // before the header's end.
  static base::Result<Reader> open(const std::string& path);
  // The same for an open file, from where it stands; `path` is its name in messages.
  static base::Result<Reader> start(const std::string& path, base::UniqueFd file);

  const model::TraceHeader& header() const { return header_; }
  // The next event; nullopt at the end, which cut() explains if it was not a clean one. An error
  // only where the file system fails. Kinds of events that are not known are left out.
  base::Result<std::optional<model::Event>> next();

  // After next() gave nullopt: why the recording ends there, one sentence without a full stop;
  // empty if it was closed cleanly and is whole.
  const std::optional<std::string>& cut() const { return cut_; }

 private:
  struct Message {
    Frame frame{};
    std::string_view bytes;  // valid until the next read
  };
  enum class End { kClean, kMiddle, kDamaged };  // why there is no further message

  Reader(std::string path, base::UniqueFd file) : path_(std::move(path)), file_(std::move(file)) {}

  base::Result<void> read_preamble();
  base::Result<void> read_header();
  base::Result<std::optional<Message>> next_message(End& end);
  // A varint of the frame's head at `position`, which it advances; nullopt as `end` says.
  base::Result<std::optional<std::uint64_t>> head_varint(std::size_t& position, End& end);
  // True once `count` unread bytes are buffered, false if the file ends before.
  base::Result<bool> fill(std::size_t count);
  std::string_view unread() const { return std::string_view{buffer_}.substr(start_); }
  void stop(End end);
  void check_end(std::string_view message);

  std::string path_;
  base::UniqueFd file_;
  std::string buffer_;
  std::size_t start_ = 0;  // of the unread part of buffer_
  bool at_file_end_ = false;
  bool done_ = false;
  model::TraceHeader header_;
  EventDecoder decoder_{base::Instant{}};
  std::uint64_t events_ = 0;  // whole event messages so far, known or not
  std::optional<std::string> cut_;
};

struct Recording {
  model::TraceHeader header;
  std::vector<model::Event> events;
  std::optional<std::string> cut;  // why the recording is not whole; Reader::cut
};
base::Result<Recording> read_recording(const std::string& path);

}  // namespace stucktrace::record
