#include "tracer/record/reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tracer/base/text.h"

namespace stucktrace::record {
namespace {

constexpr std::size_t kReadSize = std::size_t{64} << 10U;
constexpr std::size_t kMaxVarint = 10;
constexpr std::uint64_t kLengthDelimited = 2;  // protobuf wire type

}  // namespace

base::Result<Reader> Reader::open(const std::string& path) {
  base::UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)};
  if (!file.valid()) {
    const base::Errno code = base::Errno::last();
    return base::system_error(fmt::format("cannot read recording {}", base::escape_text(path)),
                              code);
  }
  return start(path, std::move(file));
}

base::Result<Reader> Reader::start(const std::string& path, base::UniqueFd file) {
  Reader reader{path, std::move(file)};
  if (auto done = reader.read_preamble(); !done) return base::Failure{done.error()};
  if (auto done = reader.read_header(); !done) return base::Failure{done.error()};
  return reader;
}

base::Result<void> Reader::read_preamble() {
  const std::string name = base::escape_text(path_);
  const auto whole = fill(kPreambleSize);
  if (!whole) return base::Failure{whole.error()};
  const std::string_view start = unread().substr(0, kPreambleSize);
  if (start.empty()) return base::malformed(fmt::format("{} is empty", name));
  const std::size_t compared = std::min(start.size(), kMagic.size());
  if (start.substr(0, compared) != kMagic.substr(0, compared)) {
    return base::malformed(fmt::format("{} is not a stucktrace recording", name));
  }
  if (!*whole) return base::malformed(fmt::format("the recording {} is cut in its header", name));
  std::uint32_t version = 0;
  for (std::size_t byte = 0; byte < sizeof(version); ++byte) {
    version |= std::uint32_t{static_cast<unsigned char>(start[kMagic.size() + byte])} << (8 * byte);
  }
  if (version == 0) return base::malformed(fmt::format("{} is not a stucktrace recording", name));
  if (version > kFormatVersion) {
    auto error = base::malformed(
        fmt::format("the recording {} has format version {}, this stucktrace reads up to {}", name,
                    version, kFormatVersion));
    error.error().kind = base::ErrorKind::kUnsupported;
    error.error().hint = "read it with the stucktrace that made it, or a newer one";
    return error;
  }
  start_ += kPreambleSize;
  return {};
}

base::Result<void> Reader::read_header() {
  const std::string name = base::escape_text(path_);
  End end{};
  const auto message = next_message(end);
  if (!message) return base::Failure{message.error()};
  if (!*message) {
    return base::malformed(fmt::format("the recording {} is {} in its header", name,
                                       end == End::kDamaged ? "damaged" : "cut"));
  }
  if ((*message)->frame != Frame::kHeader) {
    return base::malformed(fmt::format("the recording {} has no header", name));
  }
  auto header = decode_header((*message)->bytes);
  if (!header) {
    return base::malformed(fmt::format("the recording {} is damaged in its header", name));
  }
  header_ = std::move(*header);
  decoder_ = EventDecoder{header_.started};
  return {};
}

base::Result<std::optional<model::Event>> Reader::next() {
  while (!done_) {
    End end{};
    const auto message = next_message(end);
    if (!message) return base::Failure{message.error()};
    if (!*message) {
      stop(end);
    } else if ((*message)->frame == Frame::kEvent) {
      auto event = decoder_.decode((*message)->bytes);
      if (!event) {
        stop(End::kDamaged);
        break;
      }
      ++events_;
      if (*event) return event;
    } else if ((*message)->frame == Frame::kEnd) {
      check_end((*message)->bytes);
    }
    // Any other frame comes from a newer writer of the same version: it must be safe to skip.
  }
  return std::nullopt;
}

base::Result<std::optional<Reader::Message>> Reader::next_message(End& end) {
  end = End::kClean;
  std::size_t position = 0;
  const auto key = head_varint(position, end);
  if (!key || !*key)
    return key ? base::Result<std::optional<Message>>{} : base::Failure{key.error()};
  const auto length = head_varint(position, end);
  if (!length) return base::Failure{length.error()};
  if (!*length) {
    if (end == End::kClean) end = End::kMiddle;
    return std::nullopt;
  }
  const std::uint64_t number = **key >> 3U;
  if ((**key & 7U) != kLengthDelimited || number == 0 || number > 0x1fffffff ||
      **length > kMaxMessage) {
    end = End::kDamaged;
    return std::nullopt;
  }
  const auto size = static_cast<std::size_t>(**length);
  const auto whole = fill(position + size);
  if (!whole) return base::Failure{whole.error()};
  if (!*whole) {
    end = End::kMiddle;
    return std::nullopt;
  }
  const Message message{static_cast<Frame>(number), unread().substr(position, size)};
  start_ += position + size;
  return message;
}

base::Result<std::optional<std::uint64_t>> Reader::head_varint(std::size_t& position, End& end) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kMaxVarint; ++i) {
    const auto there = fill(position + 1);
    if (!there) return base::Failure{there.error()};
    if (!*there) {
      end = position == 0 ? End::kClean : End::kMiddle;
      return std::nullopt;
    }
    const auto byte = static_cast<unsigned char>(unread()[position++]);
    value |= std::uint64_t{byte & 0x7fU} << (7 * i);
    if (byte < 0x80) return value;
  }
  end = End::kDamaged;
  return std::nullopt;
}

base::Result<bool> Reader::fill(std::size_t count) {
  while (unread().size() < count) {
    if (at_file_end_) return false;
    if (start_ > 0) {
      buffer_.erase(0, start_);
      start_ = 0;
    }
    // Piece by piece whatever length a message claims: memory only for bytes that exist.
    const std::size_t had = buffer_.size();
    buffer_.resize(had + kReadSize);
    const ssize_t got = ::read(file_.get(), buffer_.data() + had, kReadSize);
    const base::Errno code = base::Errno::last();
    buffer_.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) at_file_end_ = true;
    if (got < 0 && code != base::Errno{EINTR}) {
      return base::system_error(fmt::format("cannot read recording {}", base::escape_text(path_)),
                                code);
    }
  }
  return true;
}

void Reader::stop(End end) {
  done_ = true;
  switch (end) {
    case End::kClean:
      cut_ = fmt::format("the recording was not closed: it ends after event {}", events_);
      break;
    case End::kMiddle:
      cut_ = fmt::format("the recording ends in the middle of event {}; shown up to there",
                         events_ + 1);
      break;
    case End::kDamaged:
      cut_ = fmt::format("the recording is damaged at event {}; shown up to there", events_ + 1);
      break;
  }
}

void Reader::check_end(std::string_view message) {
  done_ = true;
  const auto expected = decode_end(message);
  if (!expected) {
    stop(End::kDamaged);
  } else if (*expected != events_) {
    cut_ = fmt::format("the recording is damaged: it was closed after {} events and has {}",
                       *expected, events_);
  }
}

base::Result<Recording> read_recording(const std::string& path) {
  auto reader = Reader::open(path);
  if (!reader) return base::Failure{reader.error()};
  Recording recording;
  for (;;) {
    auto event = reader->next();
    if (!event) return base::Failure{event.error()};
    if (!*event) break;
    recording.events.push_back(std::move(**event));
  }
  recording.header = reader->header();
  recording.cut = reader->cut();
  return recording;
}

}  // namespace stucktrace::record
