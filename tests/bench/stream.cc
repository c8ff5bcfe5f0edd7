#include "tests/bench/stream.h"

#include <fcntl.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <string>

#include "tests/support/event_script.h"

namespace stucktrace::bench {
namespace {

using model::FdMode;
using model::ResourceKind;
using test::EventScript;
using test::fd_entry;

constexpr int kPid = 4242;
constexpr std::uint64_t kBuffer = 0x7f00'0000'1000;
constexpr std::uint64_t kPath = 0x7f00'0000'2000;
constexpr std::uint64_t kStat = 0x7f00'0000'3000;

model::Event first_look() {
  model::TaskSeen seen;
  seen.parent = base::Pid{1};
  seen.start_time = 1000;
  seen.comm = "load";
  seen.exe = "/usr/bin/load";
  seen.argv = {"load", "--dense"};
  seen.fds = {fd_entry(0, ResourceKind::kCharDevice, 5, FdMode::kRead, "/dev/zero"),
              fd_entry(1, ResourceKind::kCharDevice, 4, FdMode::kWrite, "/dev/null"),
              fd_entry(2, ResourceKind::kTty, 7, FdMode::kWrite, "/dev/pts/1")};
  EventScript script;
  script.seen(0, kPid, kPid, std::move(seen));
  return script.events().front();
}

}  // namespace

Stream Stream::dense() {
  EventScript script;
  script.call(0, 1, kPid, kPid, "read", {0, kBuffer, 1}, 1);
  script.call(2, 3, kPid, kPid, "write", {1, kBuffer, 1}, 1, {{kBuffer, std::string(1, 'x')}});
  return {first_look(), script.events()};
}

Stream Stream::varied() {
  EventScript script;
  double ms = 0;
  const auto call = [&](std::string_view name, std::initializer_list<std::uint64_t> args,
                        std::int64_t result, const test::Memory& memory = {},
                        std::vector<model::FdEntry> made = {}) {
    script.call(ms, ms + 1, kPid, kPid, name, args, result, memory, std::move(made));
    ms += 2;
  };
  constexpr std::uint64_t kAtFdcwd = static_cast<std::uint64_t>(AT_FDCWD);
  constexpr int kFiles = 256;
  for (int file = 0; file < kFiles; ++file) {
    const std::string path = "/srv/data/tree/d" + std::to_string(file / 16) + "/f" +
                             std::to_string(file) + std::string(1, '\0');
    const auto size = static_cast<std::uint64_t>(1000 + file);
    call("newfstatat", {kAtFdcwd, kPath, kStat, 0}, 0, {{kPath, path}});
    call("openat", {kAtFdcwd, kPath, O_RDONLY | O_CLOEXEC, 0}, 3, {{kPath, path}},
         {fd_entry(3, ResourceKind::kRegularFile, 5000 + size, FdMode::kRead,
                   path.substr(0, path.size() - 1), true)});
    call("lseek", {3, size, SEEK_SET}, static_cast<std::int64_t>(size));
    call("read", {3, kBuffer, 4096}, static_cast<std::int64_t>(size));
    call("close", {3}, 0);
  }
  return {first_look(), script.events()};
}

Stream Stream::polling() {
  EventScript script;
  const timeval wait{.tv_sec = 0, .tv_usec = 50'000};
  script.call(0, 1, kPid, kPid, "wait4", {4243, 0, WNOHANG, 0}, 0);
  script.call(2, 3, kPid, kPid, "select", {0, 0, 0, 0, kBuffer}, 0,
              {{kBuffer, test::bytes_of(wait)}});
  return {first_look(), script.events()};
}

Stream Stream::chatty() {
  EventScript script;
  constexpr int kLines = 100;
  for (int i = 0; i < kLines; ++i) {
    const std::string text = "[ " + std::to_string(i) +
                             "%] Building CXX object source/CMakeFiles/library.dir/part" +
                             std::to_string(i * 7) + ".cc.o\n";
    script.call(2 * i, 2 * i + 1, kPid, kPid, "write", {1, kBuffer, text.size()},
                static_cast<std::int64_t>(text.size()), {{kBuffer, text}});
  }
  return {first_look(), script.events()};
}

}  // namespace stucktrace::bench
