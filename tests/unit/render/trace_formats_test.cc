// strace's lines, NDJSON, Perfetto's protobuf: one trace in other formats.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <protozero/pbf_reader.hpp>
#include <set>

#include "tests/unit/render/birth_case.h"
#include "tests/unit/render/trace_text.h"
#include "tracer/render/event_lines.h"
#include "tracer/render/perfetto_trace.h"
#include "tracer/render/strace_log.h"

namespace stucktrace::render {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// ---- strace -------------------------------------------------------------------------------------

TEST(StraceLog, LinesInTheOrderCallsBegan) {
  EventScript script;
  script.seen(0, 10, 10, {});
  script.enter(1, 10, 10, "read", {3, 0x9000, 5});
  script.call(2, 2.5, 10, 11, "close", {7}, -9);
  script.exit(30, 10, 10, "read", {3, 0x9000, 5}, 5, {{0x9000, "hello"}});
  script.enter(40, 10, 10, "exit_group", {3});
  script.add(41, 10, 10, model::TaskExit{false, 3, false});
  EXPECT_THAT(
      lines_of(written<StraceLog>(script, nullptr)),
      ElementsAre(
          "10    1772366400.001000 read(3, \"hello\", 5)                     = 5 <0.029000>",
          "11    1772366400.002000 close(7)                                = -1 EBADF (Bad "
          "file descriptor) <0.000500>",
          "10    1772366400.040000 exit_group(3)                           = ?",
          "10    1772366400.041000 +++ exited with 3 +++"));
}

TEST(StraceLog, CallsThatNeverEndAndSignals) {
  EventScript script;
  script.seen(0, 10, 10, {});
  script.enter(1, 10, 10, "read", {3, 0x9000, 5});
  model::SignalStop stop;
  stop.signo = 15;
  stop.sender = base::Pid{9};
  script.add(2, 10, 10, stop);
  script.add(3, 10, 10, model::TaskExit{true, 15, false});
  script.seen(4, 12, 12, {});
  script.enter(5, 12, 12, "pause", {});
  EXPECT_THAT(lines_of(written<StraceLog>(script, nullptr)),
              ElementsAre("10    1772366400.001000 read(3, 0x9000, 5 <unfinished ...>",
                          "10    1772366400.002000 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, "
                          "si_pid=9} ---",
                          "10    1772366400.003000 +++ killed by SIGTERM +++",
                          "12    1772366400.005000 pause( <unfinished ...>"));
}

TEST(StraceLog, HoldsBackNoMoreThanItMay) {
  EventScript script;
  script.seen(0, 10, 10, {});
  script.enter(1, 10, 10, "read", {3, 0x9000, 5});
  for (int i = 0; i < 20; ++i) script.call(2 + i, 2.5 + i, 10, 11, "close", {7}, 0);
  std::string out;
  StraceLog log(header(), [&out](std::string_view bytes) { out += bytes; }, 5);
  for (const model::Event& event : script.events()) log.on_event(event);
  EXPECT_EQ(lines_of(out).size(), 15U);
  log.close();
  EXPECT_EQ(lines_of(out).size(), 21U);
}

TEST(StraceLog, AnExecEndsTheOthersCalls) {
  EventScript script;
  script.seen(0, 10, 10, {});
  script.enter(1, 10, 12, "pause", {});
  script.enter(2, 10, 11, "execve", {0x7000, 0, 0});
  model::Exec exec;
  exec.former_tid = base::Tid{11};
  script.add(3, 10, 10, exec);
  script.exit(4, 10, 10, "execve", {0x7000, 0, 0}, 0);
  script.call(5, 6, 10, 10, "close", {3}, 0);
  const auto lines = lines_of(written<StraceLog>(script, nullptr));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_THAT(lines[0], HasSubstr("execve(0x7000, "));
  EXPECT_THAT(lines[1], HasSubstr("+++ superseded by execve in pid 11 +++"));
  EXPECT_THAT(lines[2], HasSubstr("close(3)"));
}

// ---- NDJSON -------------------------------------------------------------------------------------

TEST(EventLines, EveryEventIsALine) {
  const model::FindingRecord record = test::birth_finding();
  const EventScript script = test::birth_case();
  const auto lines = lines_of(written<EventLines>(script, &record));
  const std::size_t events = script.events().size();
  ASSERT_EQ(lines.size(), events + 3);  // the trace, the finding, the end
  std::map<std::string, int> types;
  std::int64_t last = 0;
  for (const std::string& line : lines) {
    const json object = json::parse(line);
    ++types[object["type"]];
    if (object["type"] == "trace") continue;
    EXPECT_GE(object["at_ns"].get<std::int64_t>(), last);
    last = object["at_ns"];
  }
  EXPECT_EQ(json::parse(lines.front())["schema"], "stucktrace.events/1");
  EXPECT_EQ(json::parse(lines.back())["events"], events);
  EXPECT_EQ(types["finding"], 1);
  EXPECT_EQ(types["task"], 4);
  EXPECT_EQ(types["task-exit"], 4);
  EXPECT_GT(types["enter"], 50);
}

TEST(EventLines, ArgumentsAndOutcome) {
  EventScript script;
  script.seen(0, 10, 10, {});
  script.call(1, 2, 10, 10, "write", {1, 0x9000, 2}, -32, {{0x9000, "\xff\n"}});
  const auto lines = lines_of(written<EventLines>(script, nullptr));
  const json enter = json::parse(lines[2]);
  EXPECT_EQ(enter["call"], "write");
  EXPECT_EQ(enter["role"], "P1.T1");
  EXPECT_EQ(enter["args"][1]["value"], "\"\\377\\n\"");
  const json exit = json::parse(lines[3]);
  EXPECT_EQ(exit["result"], -32);
  EXPECT_EQ(exit["error"], "EPIPE");
}

// ---- Perfetto -----------------------------------------------------------------------------------

// What a trace processor reads of the file; the numbers are those of Perfetto's .proto files.
struct Packet {
  std::uint64_t time = 0;
  int type = 0;
  std::uint64_t track = 0;
  std::string name;
  std::string category;
  std::vector<std::uint64_t> flows;
  std::vector<std::uint64_t> flow_ends;
  std::map<std::string, std::string> annotations;
  std::uint64_t described = 0;
  std::uint64_t parent = 0;
  int tid = 0;
  std::string track_name;
  std::vector<std::uint32_t> clocks;
};

std::vector<std::uint32_t> read_clocks(protozero::pbf_reader snapshot) {
  std::vector<std::uint32_t> ids;
  while (snapshot.next(1)) {
    protozero::pbf_reader clock = snapshot.get_message();
    while (clock.next()) {
      if (clock.tag() == 1) {
        ids.push_back(clock.get_uint32());
      } else {
        clock.skip();
      }
    }
  }
  return ids;
}

void read_descriptor(protozero::pbf_reader message, Packet& packet) {
  while (message.next()) {
    if (message.tag() == 1) {
      packet.described = message.get_uint64();
    } else if (message.tag() == 5) {
      packet.parent = message.get_uint64();
    } else if (message.tag() == 3 || message.tag() == 4) {
      const bool thread = message.tag() == 4;
      protozero::pbf_reader about = message.get_message();
      while (about.next()) {
        if (thread && about.tag() == 2) {
          packet.tid = about.get_int32();
        } else if (about.tag() == (thread ? 5U : 6U)) {
          packet.track_name = about.get_string();
        } else {
          about.skip();
        }
      }
    } else {
      message.skip();
    }
  }
}

void read_event(protozero::pbf_reader message, Packet& packet) {
  while (message.next()) {
    switch (message.tag()) {
      case 9:
        packet.type = message.get_enum();
        break;
      case 11:
        packet.track = message.get_uint64();
        break;
      case 22:
        packet.category = message.get_string();
        break;
      case 23:
        packet.name = message.get_string();
        break;
      case 47:
        packet.flows.push_back(message.get_fixed64());
        break;
      case 48:
        packet.flow_ends.push_back(message.get_fixed64());
        break;
      case 4: {
        protozero::pbf_reader annotation = message.get_message();
        std::string key;
        std::string value;
        while (annotation.next()) {
          const bool is_key = annotation.tag() == 10;
          (is_key ? key : value) = annotation.get_string();
        }
        packet.annotations[key] = value;
        break;
      }
      default:
        ADD_FAILURE() << "field " << message.tag() << " of TrackEvent";
        message.skip();
    }
  }
}

std::vector<Packet> read_trace(const std::string& bytes) {
  std::vector<Packet> packets;
  protozero::pbf_reader trace(bytes);
  while (trace.next(1)) {
    Packet packet;
    protozero::pbf_reader message = trace.get_message();
    bool sequence = false;
    while (message.next()) {
      switch (message.tag()) {
        case 8:
          packet.time = message.get_uint64();
          break;
        case 10:
          sequence = message.get_uint32() != 0;
          break;
        case 11:
          read_event(message.get_message(), packet);
          break;
        case 60:
          read_descriptor(message.get_message(), packet);
          break;
        default:
          EXPECT_EQ(message.tag(), 6U);  // ClockSnapshot
          packet.clocks = read_clocks(message.get_message());
      }
    }
    EXPECT_TRUE(sequence);
    packets.push_back(std::move(packet));
  }
  return packets;
}

TEST(Perfetto, SlicesNestOnDescribedTracks) {
  const model::FindingRecord record = test::birth_finding();
  const auto packets = read_trace(written<PerfettoTrace>(test::birth_case(), &record));
  std::map<std::uint64_t, int> depth;
  std::set<std::uint64_t> described;
  std::set<std::uint64_t> parents;
  std::map<int, std::string> names;
  for (const Packet& packet : packets) {
    if (packet.described != 0) {
      described.insert(packet.described);
      if (packet.tid != 0) {
        names[packet.tid] = packet.track_name;
        parents.insert(packet.parent);
      }
    }
    if (packet.type == 0) continue;
    EXPECT_TRUE(described.contains(packet.track)) << packet.name;
    if (packet.type == 1) ++depth[packet.track];
    if (packet.type == 2) --depth[packet.track];
    EXPECT_GE(depth[packet.track], 0);
    EXPECT_LE(depth[packet.track], 1);
  }
  for (const auto& [track, open] : depth) EXPECT_EQ(open, 0);
  for (const std::uint64_t parent : parents) EXPECT_TRUE(described.contains(parent));
  EXPECT_EQ(names[4714], "P2.T2 QueueFeederThre");
  EXPECT_EQ(names[4711], "P1.T1 python3.11");
}

TEST(Perfetto, AProcessIsDescribedOnceByItsLastName) {
  const auto packets = read_trace(written<PerfettoTrace>(test::birth_case(), nullptr));
  std::vector<std::string> names;
  for (const Packet& packet : packets) {
    if (packet.described != 0 && packet.tid == 0) names.push_back(packet.track_name);
  }
  EXPECT_THAT(names, ElementsAre("P3 sh", "P2 python3", "P1 python3.11"));
  // One that lives to the end of the trace.
  EventScript script;
  script.seen(0, 10, 10, {});
  script.add(1, 10, 10, model::Exec{{}, "/bin/cat", {"cat"}, {}});
  const auto open = read_trace(written<PerfettoTrace>(script, nullptr));
  EXPECT_EQ(open.back().track_name, "P1 cat");
}

TEST(Perfetto, ClocksThatRunWhileTheMachineSleeps) {
  const auto packets = read_trace(written<PerfettoTrace>(two_threads(), nullptr));
  EXPECT_THAT(packets.front().clocks, testing::UnorderedElementsAre(1U, 6U));
}

// On each track slices begin and end in turn, and time does not go back.
void expect_slices_in_turn(const std::vector<Packet>& packets) {
  std::map<std::uint64_t, std::pair<int, std::uint64_t>> tracks;
  for (const Packet& packet : packets) {
    if (packet.type != 1 && packet.type != 2) continue;
    auto& [open, time] = tracks[packet.track];
    EXPECT_EQ(open, packet.type == 1 ? 0 : 1) << packet.name;
    open = packet.type == 1 ? 1 : 0;
    EXPECT_GE(packet.time, time) << packet.name;
    time = packet.time;
  }
  for (const auto& [track, state] : tracks) EXPECT_EQ(state.first, 0);
}

TEST(Perfetto, AnExecByAnotherThreadEndsOnItsOwnTrack) {
  EventScript script = two_threads();
  script.enter(1, 10, 10, "futex", {0xc000, 128, 2});
  script.enter(2, 10, 11, "execve", {0x7000, 0, 0});
  script.add(3, 10, 10, model::Exec{base::Tid{11}, "/bin/true", {"true"}, {}});
  script.exit(4, 10, 10, "execve", {0x7000, 0, 0}, 0);
  script.call(5, 6, 10, 10, "close", {3}, 0);
  const auto packets = read_trace(written<PerfettoTrace>(script, nullptr));
  expect_slices_in_turn(packets);
  std::map<std::string, std::uint64_t> track;
  for (const Packet& packet : packets) {
    if (packet.type == 1) track[packet.name] = packet.track;
  }
  std::map<std::uint64_t, std::vector<std::uint64_t>> ends;
  for (const Packet& packet : packets) {
    if (packet.type == 2)
      ends[packet.track].push_back((packet.time - 1'000'000'000'000U) / 1'000'000);
  }
  EXPECT_THAT(ends[track["futex"]], ElementsAre(3U, 6U));
  EXPECT_THAT(ends[track["execve"]], ElementsAre(4U));
}

TEST(Perfetto, NoSliceBeginsBeforeTheLastOneEnded) {
  EventScript script;
  script.seen(0, 10, 10, {});
  script.enter(1, 10, 10, "read", {3, 0x9000, 5});
  script.exit(5, 10, 10, "read", {3, 0x9000, 5}, 5);
  std::string out;
  PerfettoTrace trace(header(), [&out](std::string_view bytes) { out += bytes; });
  for (const model::Event& event : script.events()) trace.on_event(event);
  // Told after the end of the call before, of a time inside of it.
  EventScript more;
  more.enter(3, 10, 10, "close", {3});
  more.exit(6, 10, 10, "close", {3}, 0);
  for (const model::Event& event : more.events()) trace.on_event(event);
  trace.close();
  expect_slices_in_turn(read_trace(out));
}

TEST(Perfetto, FindingsAreInstants) {
  const model::FindingRecord record = test::birth_finding();
  const auto packets = read_trace(written<PerfettoTrace>(test::birth_case(), &record));
  std::vector<Packet> findings;
  for (const Packet& packet : packets) {
    if (packet.category == "finding") findings.push_back(packet);
  }
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].type, 3);
  EXPECT_EQ(findings[0].name, "STUCK (until): pipe-full-after-announce");
  EXPECT_EQ(findings[0].time, static_cast<std::uint64_t>(record.first_reported.since_boot.count()));
  EXPECT_THAT(findings[0].annotations["remedy"], HasSubstr("q.get()"));
}

TEST(Perfetto, ArrowsLeadFromTheReaderToTheWriterItReleased) {
  const auto packets = read_trace(written<PerfettoTrace>(test::birth_case(), nullptr));
  std::map<int, std::uint64_t> tracks;
  for (const Packet& packet : packets) {
    if (packet.tid != 0) tracks[packet.tid] = packet.described;
  }
  std::map<std::uint64_t, Packet> from;
  bool told = false;
  for (const Packet& packet : packets) {
    for (const std::uint64_t flow : packet.flows) from[flow] = packet;
    for (const std::uint64_t flow : packet.flow_ends) {
      ASSERT_TRUE(from.contains(flow));
      EXPECT_LE(from[flow].time, packet.time);
      // P1's read at 5063 ms ends the feeder's write.
      told = told || (from[flow].track == tracks[4711] && packet.track == tracks[4714] &&
                      from[flow].name == "releases P2.T2" && packet.name == "released by P1.T1");
    }
  }
  EXPECT_TRUE(told);
}

}  // namespace
}  // namespace stucktrace::render
