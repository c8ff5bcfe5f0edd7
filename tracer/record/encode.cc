#include <protozero/pbf_writer.hpp>

#include "tracer/record/codec.h"
#include "tracer/record/encoder.h"

namespace stucktrace::record {
namespace {

constexpr protozero::pbf_tag_type tag_of(Frame frame) {
  return static_cast<protozero::pbf_tag_type>(frame);
}

}  // namespace

void append_preamble(std::string& out) {
  out += kMagic;
  for (std::size_t byte = 0; byte < sizeof(kFormatVersion); ++byte) {
    out.push_back(static_cast<char>(kFormatVersion >> (8 * byte)));
  }
}

void append_header(const model::TraceHeader& header, std::string& out) {
  protozero::pbf_writer frames{out};
  const protozero::pbf_writer open{frames, tag_of(Frame::kHeader)};
  Encoder encoder{out, base::Instant{}};
  Fields<model::TraceHeader>::visit(encoder, header);
}

void append_end(std::uint64_t events, std::string& out) {
  protozero::pbf_writer frames{out};
  protozero::pbf_writer end{frames, tag_of(Frame::kEnd)};
  end.add_uint64(1, events);
}

bool EventEncoder::append(const model::Event& event, std::string& out, std::size_t limit) {
  const std::size_t before = out.size();
  {
    const Nested frame(out, tag_of(Frame::kEvent));
    const auto put = [&out](protozero::pbf_tag_type tag, std::int64_t value) {
      append_key(out, tag, protozero::pbf_wire_type::varint);
      append_varint(out, protozero::encode_zigzag64(value));
    };
    // The chain's fields are always written: an event message is never empty.
    put(1, difference(event.at, chain_.at));
    const auto step = static_cast<std::int64_t>(event.sequence - chain_.sequence - 1);
    if (step != 0) put(2, step);
    if (event.pid) put(3, event.pid.value());
    const std::int64_t thread = std::int64_t{event.tid.value()} - event.pid.value();
    if (thread != 0) put(4, thread);
    Encoder encoder{out, event.at};
    Fields<model::EventData>::visit(encoder, event.data);
  }
  if (out.size() - before > limit) {
    out.resize(before);
    return false;
  }
  chain_ = {event.at, event.sequence};
  return true;
}

}  // namespace stucktrace::record
