#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <protozero/pbf_writer.hpp>

#include "tests/unit/record/deep.h"
#include "tests/unit/record/fixtures.h"
#include "tracer/record/reader.h"

namespace stucktrace::record {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

class Damage : public testing::Test {
 protected:
  void SetUp() override {
    write_recording(path_, small_trace());
    whole_ = slurp(path_);
    std::string header;
    append_preamble(header);
    append_header(small_header(), header);
    header_size_ = header.size();
    boundaries_ = {header_size_};
    EventEncoder encoder{small_header().started};
    for (const auto& event : small_trace()) {
      encoder.append(event, header);
      boundaries_.push_back(header.size());
    }
    ASSERT_TRUE(whole_.starts_with(header));
  }

  base::Result<Recording> read(std::string_view bytes) {
    spew(path_, bytes);
    return read_recording(path_);
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.file("recording");
  std::string whole_;
  std::size_t header_size_ = 0;
  std::vector<std::size_t> boundaries_;  // end of the header, then of each event
};

TEST_F(Damage, CutAnywhereKeepsWhatIsWholeAndSaysSo) {
  const auto events = small_trace();
  for (std::size_t size = 0; size < whole_.size(); ++size) {
    SCOPED_TRACE(size);
    const auto recording = read(std::string_view{whole_}.substr(0, size));
    if (size < header_size_) {
      ASSERT_FALSE(recording);
      EXPECT_EQ(
          recording.error().message(),
          size == 0 ? path_ + " is empty" : "the recording " + path_ + " is cut in its header");
      continue;
    }
    ASSERT_TRUE(recording) << recording.error().message();
    const auto kept = std::ranges::upper_bound(boundaries_, size) - boundaries_.begin() - 1;
    ASSERT_EQ(std::ssize(recording->events), kept);
    for (std::size_t i = 0; i < recording->events.size(); ++i) {
      EXPECT_TRUE(same(recording->events[i], events[i]));
    }
    const bool between = std::ranges::binary_search(boundaries_, size);
    EXPECT_EQ(recording->cut,
              between ? fmt::format("the recording was not closed: it ends after event {}", kept)
                      : fmt::format("the recording ends in the middle of event {}; shown up to "
                                    "there",
                                    kept + 1));
  }
}

// Any single wrong bit: an error or a readable recording, never a crash (sanitizers watch), and
// everything before the damaged message unharmed.
TEST_F(Damage, AnyWrongBitIsSurvived) {
  const auto events = small_trace();
  for (std::size_t at = 0; at < whole_.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      SCOPED_TRACE(fmt::format("byte {} bit {}", at, bit));
      std::string bytes = whole_;
      bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ (1U << bit));
      const auto recording = read(bytes);
      if (at < kMagic.size()) {
        ASSERT_FALSE(recording);
        EXPECT_EQ(recording.error().message(), path_ + " is not a stucktrace recording");
      }
      if (at < header_size_) continue;
      ASSERT_TRUE(recording) << recording.error().message();
      const auto unharmed = std::ranges::upper_bound(boundaries_, at) - boundaries_.begin() - 1;
      ASSERT_GE(std::ssize(recording->events), unharmed);
      for (std::size_t i = 0; i < static_cast<std::size_t>(unharmed); ++i) {
        EXPECT_TRUE(same(recording->events[i], events[i]));
      }
    }
  }
}

TEST_F(Damage, AWrongBitInASampleIsSurvived) {
  Filler filler{Filler::Facts::kKnown};
  const model::Event sample{1, {}, base::Pid{1}, base::Tid{1}, filler.make<model::Sample>()};
  std::string frame;
  EventEncoder encoder{{}};
  ASSERT_TRUE(encoder.append(sample, frame));
  const std::string message = frame.substr(3);  // after the key and a length of two bytes
  const auto decodes = [](std::string_view bytes) {
    EventDecoder decoder{{}};
    return decoder.decode(bytes).has_value();
  };
  ASSERT_TRUE(decodes(message));
  std::size_t readable = 0;
  for (std::size_t at = 0; at < message.size(); ++at) {
    std::string bytes = message;
    bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ (1U << (at % 8)));
    if (decodes(bytes)) ++readable;
  }
  EXPECT_GT(readable, message.size() / 4);
  EXPECT_LT(readable, message.size());
}

TEST_F(Damage, ForeignFilesAreRefused) {
  for (const std::string_view foreign : {"PK\x03\x04", "{\"schema\":1}\n", "\x93NUMPY\x01",
                                         "\x93"
                                         "STKTRC\r\n\x01"}) {
    const auto recording = read(foreign);
    ASSERT_FALSE(recording);
    EXPECT_EQ(recording.error().message(), path_ + " is not a stucktrace recording");
    EXPECT_EQ(recording.error().kind, base::ErrorKind::kMalformed);
  }
}

TEST_F(Damage, ANewerVersionIsRefusedByName) {
  whole_[kMagic.size()] = 2;
  const auto recording = read(whole_);
  ASSERT_FALSE(recording);
  EXPECT_EQ(recording.error().kind, base::ErrorKind::kUnsupported);
  EXPECT_EQ(recording.error().message(),
            "the recording " + path_ +
                " has format version 2, this stucktrace reads up to 1; read it with the "
                "stucktrace that made it, or a newer one");
  whole_[kMagic.size()] = 0;
  EXPECT_FALSE(read(whole_));
}

TEST_F(Damage, MissingFilesAndDirectoriesAreToldPlainly) {
  const auto missing = Reader::open(directory_.file("none"));
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message(), EndsWith("none: No such file or directory (ENOENT)"));
  const auto directory = Reader::open(directory_.file(""));
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().message(), EndsWith(": Is a directory (EISDIR)"));
}

TEST_F(Damage, ARecordingWithoutHeaderIsRefused) {
  std::string bytes;
  append_preamble(bytes);
  append_end(0, bytes);
  const auto recording = read(bytes);
  ASSERT_FALSE(recording);
  EXPECT_THAT(recording.error().message(), EndsWith("has no header"));
}

class Frames : public Damage {
 protected:
  // The whole trace with `frame` put after the second event.
  std::string with(std::string_view frame) const {
    std::string bytes = whole_;
    return bytes.insert(boundaries_[2], frame);
  }
};

TEST_F(Frames, UnknownFramesFieldsAndEventsAreSkipped) {
  std::string frame;
  {
    protozero::pbf_writer frames{frame};
    frames.add_bytes(77, "a frame of the future");
  }
  auto recording = read(with(frame));
  ASSERT_TRUE(recording);
  EXPECT_EQ(recording->events.size(), small_trace().size());
  EXPECT_EQ(recording->cut, std::nullopt);

  // An event of an unknown kind is left out; the times of the others stay right.
  std::string event;
  {
    protozero::pbf_writer frames{event};
    protozero::pbf_writer open{frames, 2};
    open.add_sint64(1, 0);
    open.add_sint64(2, -1);
    open.add_string(99, "an event of the future");
  }
  recording = read(with(event));
  ASSERT_TRUE(recording);
  ASSERT_EQ(recording->events.size(), small_trace().size());
  EXPECT_TRUE(same(recording->events.back(), small_trace().back()));
  EXPECT_THAT(recording->cut.value_or(""), HasSubstr("closed after 6 events and has 7"));

  // Fields that are unknown, or known by number but of another wire type; an unknown enumerator.
  std::string message;
  {
    protozero::pbf_writer open{message};
    open.add_fixed64(1, 12);
    open.add_fixed32(500, 1);
    protozero::pbf_writer seen{open, 10};
    seen.add_string(3, "comm");
    seen.add_uint64(4, 7);
    seen.add_double(600, 1.5);
    protozero::pbf_writer fd{seen, 6};
    fd.add_sint64(1, 4);
    fd.add_uint64(3, 200);
    protozero::pbf_writer resource{fd, 2};
    resource.add_uint64(1, 9'999);
    resource.add_uint64(3, 25'725);
  }
  EventDecoder decoder{{}};
  const auto decoded = decoder.decode(message);
  ASSERT_TRUE(decoded && *decoded);
  const auto& seen = std::get<model::TaskSeen>((*decoded)->data);
  EXPECT_EQ(seen.comm, "comm");
  EXPECT_EQ(seen.exe, "");
  ASSERT_EQ(seen.fds.size(), 1U);
  EXPECT_EQ(seen.fds[0].fd, 4);
  EXPECT_EQ(seen.fds[0].mode, model::FdMode::kNone);
  EXPECT_EQ(seen.fds[0].resource, (model::ResourceId{model::ResourceKind::kUnknown, 0, 25'725, 0}));
}

TEST_F(Frames, DamageInTheMiddleEndsTheRecordingThere) {
  const std::string_view cases[] = {
      {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},      // length of 2^64 - 1
      {"\x12\x81\x80\x80\x80\x01", 6},                           // length of 256 MiB + 1
      {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12},  // endless varint
      {"\x10\x01", 2},                                           // not length-delimited
      {"\x02\x00", 2},                                           // frame number 0
      {"\x12\x03\x07\x07\x07", 5},                               // not a message
      {"\x12\x04\x52\x7f\x01\x01", 6},                           // inner length past the end
  };
  for (const auto bytes : cases) {
    SCOPED_TRACE(testing::PrintToString(bytes));
    const auto recording = read(with(bytes));
    ASSERT_TRUE(recording);
    EXPECT_EQ(recording->events.size(), 2U);
    EXPECT_EQ(recording->cut, "the recording is damaged at event 3; shown up to there");
  }
}

TEST_F(Frames, ALengthWithoutBytesTakesNoMemory) {
  // 256 MiB claimed, nothing there: an allocation of the claim would show in the peak.
  const auto recording = read(with(std::string_view{"\x12\x80\x80\x80\x80\x01", 6}));
  ASSERT_TRUE(recording);
  EXPECT_EQ(recording->cut, "the recording ends in the middle of event 3; shown up to there");
}

TEST_F(Frames, CheapEmptyElementsCannotEatTheMemory) {
  // 2 MiB of empty processes would take more than 400 MiB.
  const std::size_t count = std::size_t{1} << 20U;
  std::string elements;
  elements.reserve(2 * count);
  for (std::size_t i = 0; i < count; ++i) elements += std::string_view{"\x22\x00", 2};
  std::string message;
  {
    protozero::pbf_writer event{message};
    protozero::pbf_writer sample{event, 21};
    sample.add_message(1, elements);
  }
  EventDecoder decoder{{}};
  const auto decoded = decoder.decode(message);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().kind, base::ErrorKind::kMalformed);
}

TEST_F(Frames, BytesAfterTheEndAreIgnored) {
  const auto recording = read(whole_ + "anything");
  ASSERT_TRUE(recording);
  EXPECT_EQ(recording->events.size(), small_trace().size());
  EXPECT_EQ(recording->cut, std::nullopt);
}

}  // namespace
}  // namespace stucktrace::record
