#include <protozero/pbf_reader.hpp>

#include "tracer/record/codec.h"
#include "tracer/record/decoder.h"

namespace stucktrace::record {
namespace {

DecodeContext context_for(std::string_view message, base::Instant origin) {
  return {origin, kExpansionBase + kExpansionFactor * message.size()};
}

protozero::data_view view(std::string_view message) {
  return {message.data(), message.size()};
}

// The one place where malformed bytes stop being exceptions: protozero reports them that way.
template <class Body>
auto guarded(std::string_view what, Body body) -> base::Result<decltype(body())> {
  try {
    return body();
  } catch (const protozero::exception& error) {
    return base::malformed(fmt::format("{}: {}", what, error.what()));
  } catch (const BadMessage&) {
    return base::malformed(fmt::format("{}: lists longer than can be believed", what));
  }
}

struct Envelope {
  std::int64_t at = 0;
  std::int64_t step = 0;
  std::int64_t pid = 0;
  std::int64_t thread = 0;
};

Envelope decode_envelope(std::string_view message) {
  Envelope envelope;
  protozero::pbf_reader reader{view(message)};
  while (reader.next()) {
    if (reader.wire_type() != protozero::pbf_wire_type::varint) {
      reader.skip();
      continue;
    }
    switch (reader.tag()) {
      case 1:
        envelope.at = reader.get_sint64();
        break;
      case 2:
        envelope.step = reader.get_sint64();
        break;
      case 3:
        envelope.pid = reader.get_sint64();
        break;
      case 4:
        envelope.thread = reader.get_sint64();
        break;
      default:
        reader.skip();
    }
  }
  return envelope;
}

// False if no field is an event this version knows.
bool decode_data(std::string_view message, base::Instant at, model::EventData& data) {
  DecodeContext context = context_for(message, at);
  bool found = false;
  protozero::pbf_reader reader{view(message)};
  while (reader.next()) {
    Decoder decoder{reader, context};
    Fields<model::EventData>::visit(decoder, data);
    found = found || decoder.taken();
    if (!decoder.taken()) reader.skip();
  }
  return found;
}

}  // namespace

base::Result<model::TraceHeader> decode_header(std::string_view message) {
  return guarded("header", [&] {
    model::TraceHeader header;
    DecodeContext context = context_for(message, base::Instant{});
    Zero{base::Instant{}}(0, header);
    decode_fields(view(message), header, context);
    return header;
  });
}

base::Result<std::uint64_t> decode_end(std::string_view message) {
  return guarded("end", [&] {
    std::uint64_t events = 0;
    protozero::pbf_reader reader{view(message)};
    while (reader.next()) {
      if (reader.tag_and_type() == protozero::tag_and_type(1, protozero::pbf_wire_type::varint)) {
        events = reader.get_uint64();
      } else {
        reader.skip();
      }
    }
    return events;
  });
}

base::Result<std::optional<model::Event>> EventDecoder::decode(std::string_view message) {
  return guarded("event", [&]() -> std::optional<model::Event> {
    const Envelope envelope = decode_envelope(message);
    model::Event event;
    event.at = advance(chain_.at, envelope.at);
    event.sequence = chain_.sequence + 1 + static_cast<std::uint64_t>(envelope.step);
    event.pid = base::Pid{static_cast<std::int32_t>(envelope.pid)};
    event.tid = base::Tid{static_cast<std::int32_t>(static_cast<std::uint64_t>(envelope.pid) +
                                                    static_cast<std::uint64_t>(envelope.thread))};
    // An event of an unknown kind is left out, but the next one still counts from it.
    chain_ = {event.at, event.sequence};
    if (!decode_data(message, event.at, event.data)) return std::nullopt;
    return event;
  });
}

}  // namespace stucktrace::record
