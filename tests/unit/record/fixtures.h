#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tracer/model/event.h"
#include "tracer/record/writer.h"

namespace stucktrace::record {

// A directory of the test's own, gone at its end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "stucktrace-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline std::string slurp(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

inline void spew(const std::string& path, std::string_view bytes) {
  std::ofstream out{path, std::ios::binary | std::ios::trunc};
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// A few events as a trace has them, of different sizes.
inline std::vector<model::Event> small_trace() {
  using base::Instant;
  using base::Nanoseconds;
  const base::Pid pid{4711};
  const base::Tid tid{4711};
  std::vector<model::Event> events;
  const auto add = [&](std::int64_t at, base::Tid thread, model::EventData data) {
    events.push_back({events.size() + 1, Instant{Nanoseconds{at}}, pid, thread, std::move(data)});
  };
  model::TaskSeen seen;
  seen.comm = "python3";
  seen.argv = {"python3", "hang.py"};
  seen.fds = {
      {0, {model::ResourceKind::kTty, 5, 3, 0}, model::FdMode::kBoth, false, false, "/dev/pts/0"}};
  add(1'000'000'000, tid, seen);
  model::SyscallEnter enter;
  enter.call = {syscalls::Abi::kX86_64, 1, {1, 0x7f0000001000, 12, 0, 0, 0}};
  const std::string_view text = "All done!\n\0x";
  enter.memory.add(base::RemoteAddr{0x7f0000001000}, std::as_bytes(std::span{text}));
  add(1'000'002'000, tid, enter);
  model::SyscallExit exit;
  exit.call = enter.call;
  exit.result = {-11, true};
  add(1'000'003'500, tid, exit);
  add(1'000'003'500, base::Tid{4712}, model::Continued{});
  add(1'000'003'400, base::Tid{4712}, model::Note{"time went back"});
  add(2'000'000'000, tid, model::TaskExit{false, 3, false});
  return events;
}

inline model::TraceHeader small_header() {
  model::TraceHeader header;
  header.tool_version = "0.1.0";
  header.mode = "launch";
  header.command = {"python3", "hang.py"};
  header.started = {base::Nanoseconds{999'000'000}};
  header.started_wall = base::Nanoseconds{1'700'000'000'000'000'000};
  header.roots = {base::Pid{4711}};
  return header;
}

inline void write_recording(const std::string& path, const std::vector<model::Event>& events,
                            const model::TraceHeader& header = small_header()) {
  auto writer = Writer::create(path, header);
  ASSERT_TRUE(writer) << writer.error().message();
  for (const auto& event : events) (*writer)->on_event(event);
  const auto done = (*writer)->finish();
  ASSERT_TRUE(done) << done.error().message();
}

}  // namespace stucktrace::record
