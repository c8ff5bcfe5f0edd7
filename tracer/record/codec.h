#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tracer/base/result.h"
#include "tracer/model/event.h"
#include "tracer/record/format.h"

// Between model values and the bytes of frames. Pure; no exception leaves these functions.
namespace stucktrace::record {

// What an event's times and sequence are written as differences to: the event before it.
struct EventChain {
  base::Instant at;
  std::uint64_t sequence = 0;
};

void append_preamble(std::string& out);
// Each appends one whole frame.
void append_header(const model::TraceHeader& header, std::string& out);
void append_end(std::uint64_t events, std::string& out);

class EventEncoder {
 public:
  explicit EventEncoder(base::Instant started) : chain_{started, 0} {}
  // False, and nothing appended, if the message would be longer than `limit`.
  bool append(const model::Event& event, std::string& out, std::size_t limit = kMaxMessage);

 private:
  EventChain chain_;
};

// The payloads of frames. Malformed bytes are an error of kind kMalformed.
base::Result<model::TraceHeader> decode_header(std::string_view message);
base::Result<std::uint64_t> decode_end(std::string_view message);

class EventDecoder {
 public:
  explicit EventDecoder(base::Instant started) : chain_{started, 0} {}
  // nullopt: an event of a kind that only a newer writer knows.
  base::Result<std::optional<model::Event>> decode(std::string_view message);

 private:
  EventChain chain_;
};

}  // namespace stucktrace::record
