#include <gtest/gtest.h>
#include <sys/stat.h>

#include <protozero/pbf_writer.hpp>

#include "tests/unit/record/deep.h"
#include "tests/unit/record/fixtures.h"
#include "tracer/record/reader.h"

namespace stucktrace::record {
namespace {

class RoundTrip : public testing::TestWithParam<Filler::Facts> {
 protected:
  TemporaryDirectory directory_;
  std::string path_ = directory_.file("recording");
};

TEST_P(RoundTrip, KeepsEveryMemberOfEveryKindOfEvent) {
  Filler filler{GetParam()};
  const auto header = filler.make<model::TraceHeader>();
  std::vector<model::Event> events;
  for_each_kind([&](auto data) {
    filler.fill(data);
    model::Event event;
    event.sequence = filler.make<std::uint64_t>();
    event.at = filler.make<base::Instant>();
    event.pid = filler.make<base::Pid>();
    event.tid = filler.make<base::Tid>();
    event.data = data;
    events.push_back(std::move(event));
  });
  write_recording(path_, events, header);

  const auto recording = read_recording(path_);
  ASSERT_TRUE(recording) << recording.error().message();
  EXPECT_EQ(recording->cut, std::nullopt);
  EXPECT_TRUE(same(recording->header, header));
  ASSERT_EQ(recording->events.size(), events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_TRUE(same(recording->events[i], events[i])) << "kind " << events[i].data.index();
  }
}

TEST_P(RoundTrip, KeepsEventsWhoseMembersAreAllZeroOrDefault) {
  std::vector<model::Event> events;
  for_each_kind([&](auto data) { events.push_back({0, {}, {}, {}, data}); });
  // Members whose default in the model is not zero, as zero.
  model::TaskSeen seen;
  seen.fds.push_back({0, {}, {}, false, false, ""});
  events.push_back({0, {}, {}, {}, seen});
  auto snapshot = std::make_shared<model::Snapshot>();
  model::Process process;
  process.in_tree = false;
  process.state = '\0';
  process.argv = {"", ""};
  model::Thread thread;
  thread.state = '\0';
  thread.wait.kind = model::WaitKind::kRunning;
  thread.wait.timeout = base::Nanoseconds{0};
  thread.waiting_since = base::Instant{};
  model::OnFutex futex;
  futex.is_private = false;
  futex.owner = base::Tid{0};
  model::OnChildren children;
  children.which = model::OnChildren::Which::kOne;
  model::OnFd fd;
  fd.fd = 0;
  fd.direction = model::FdMode::kNone;
  thread.wait.on = {futex, children, fd, model::OnSignal{}};
  process.threads = {thread, thread};
  snapshot->processes = {process};
  model::Resource resource;
  resource.peer = model::ResourceId{};
  resource.backlog = 0;
  snapshot->resources[resource.id] = resource;
  events.push_back({7, base::Instant{base::Nanoseconds{5}}, {}, {}, model::Sample{snapshot, {}}});
  write_recording(path_, events, model::TraceHeader{});

  const auto recording = read_recording(path_);
  ASSERT_TRUE(recording) << recording.error().message();
  EXPECT_TRUE(same(recording->header, model::TraceHeader{}));
  ASSERT_EQ(recording->events.size(), events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_TRUE(same(recording->events[i], events[i])) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Facts, RoundTrip,
                         testing::Values(Filler::Facts::kKnown, Filler::Facts::kUnknown,
                                         Filler::Facts::kZero));

// The comparison the tests above rest on sees a difference in any place.
TEST(Deep, SeesADifferenceDeepInside) {
  Filler filler{Filler::Facts::kKnown};
  const auto one = filler.make<model::Snapshot>();
  auto other = one;
  EXPECT_TRUE(same(one, other));
  std::get<model::OnLock>(other.processes.back().threads.back().wait.on[4]).owners.back() =
      base::Pid{1};
  EXPECT_FALSE(same(one, other));
  other = one;
  other.resources.begin()->second.full = model::unknown("no");
  EXPECT_FALSE(same(one, other));
}

TEST(Deep, FillsWhatIsNotTheDefault) {
  Filler filler{Filler::Facts::kKnown};
  const auto thread = filler.make<model::Thread>();
  const model::Thread fresh;
  const auto filled = members(thread);
  const auto plain = members(fresh);
  const auto differs = [](const auto& one, const auto& other) {
    EXPECT_FALSE(same(one, other)) << testing::PrintToString(one);
  };
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (differs(std::get<I>(filled), std::get<I>(plain)), ...);
  }(std::make_index_sequence<std::tuple_size_v<decltype(filled)>>{});
}

TEST(Recording, HoldsTimesOfAnySizeAndOrder) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("recording");
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  std::vector<model::Event> events;
  std::uint64_t sequence = 5;
  for (const std::int64_t at : {kMax, kMin, std::int64_t{0}, kMin, kMax}) {
    events.push_back({sequence, base::Instant{base::Nanoseconds{at}}, base::Pid{-1},
                      base::Tid{std::numeric_limits<std::int32_t>::min()}, model::Note{"x"}});
    sequence -= 3;  // not in order, and past zero
  }
  write_recording(path, events);
  const auto recording = read_recording(path);
  ASSERT_TRUE(recording);
  ASSERT_EQ(recording->events.size(), events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_TRUE(same(recording->events[i], events[i])) << i;
  }
}

// protozero's own writer is the reference: nested lengths of one, two, three and four bytes.
TEST(Recording, LengthsAreWrittenAsProtobufWritesThem) {
  constexpr base::Instant kAt{base::Nanoseconds{1'000'000}};
  const auto check = [&](std::size_t size) {
    const std::string text(size, 'x');
    std::string written = "before";
    EventEncoder encoder{base::Instant{}};
    ASSERT_TRUE(encoder.append({1, kAt, {}, {}, model::Note{text}}, written));
    std::string expected = "before";
    {
      protozero::pbf_writer frames{expected};
      protozero::pbf_writer event{frames, 2};
      event.add_sint64(1, kAt.since_boot.count());
      if (text.empty()) {
        event.add_bytes(22, "", 0);  // that there was a note is the fact
      } else {
        protozero::pbf_writer note{event, 22};
        note.add_bytes(1, text);
      }
    }
    ASSERT_EQ(written, expected) << size;
  };
  for (std::size_t size = 0; size < 300; ++size) check(size);
  for (const std::size_t edge : {std::size_t{1} << 14U, std::size_t{1} << 21U}) {
    for (std::size_t size = edge - 16; size <= edge; ++size) check(size);
  }
}

TEST(Recording, AnOrdinaryCallTakesFewBytes) {
  std::string frames;
  EventEncoder encoder{base::Instant{base::Nanoseconds{999'000'000}}};
  const auto events = small_trace();
  ASSERT_TRUE(encoder.append(events[0], frames));
  const std::size_t before = frames.size();
  ASSERT_TRUE(encoder.append(events[2], frames));
  EXPECT_LT(frames.size() - before, 48U);
}

}  // namespace
}  // namespace stucktrace::record
