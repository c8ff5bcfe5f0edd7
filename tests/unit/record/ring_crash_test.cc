// A ring's writer killed before each of its system calls: at no moment between two of them is
// anything told wrong, or lost that had been written.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <optional>

#include "tests/unit/record/fixtures.h"
#include "tracer/base/cleanup.h"
#include "tracer/record/reader.h"
#include "tracer/record/ring_writer.h"

namespace stucktrace::record {
namespace {

constexpr std::uint64_t kNotes = 5000;  // some turns of the smallest ring

// As on a file system that cannot do it.
bool forbid(unsigned call, unsigned other) {
  std::array<sock_filter, 5> rules{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, other, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program{rules.size(), rules.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// What link(3) calls.
#ifdef SYS_link
constexpr unsigned kLinkCall = SYS_link;
#else
constexpr unsigned kLinkCall = SYS_linkat;
#endif

struct Part {
  std::uint64_t lost = 0;            // told to have been before
  std::vector<std::uint64_t> notes;  // their numbers
};

enum class Names : std::uint8_t {
  kExchange,
  kLink,
  kRename
};  // what the file system can do to them

class RingCrash : public testing::TestWithParam<Names> {
 protected:
  // The writer as a process that stops when it has begun.
  [[noreturn]] void write() const {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(2);
    const Names can = GetParam();
    if (can == Names::kLink && !forbid(SYS_renameat2, SYS_renameat2)) ::_exit(3);
    if (can == Names::kRename && !forbid(SYS_renameat2, kLinkCall)) ::_exit(3);
    auto ring = RingWriter::create(path_, small_header(), RingWriter::kSmallest);
    if (!ring) ::_exit(4);
    ::raise(SIGSTOP);
    for (std::uint64_t number = 1; number <= kNotes; ++number) {
      const base::Instant when{base::Nanoseconds{1'000'000'000 + static_cast<int>(number)}};
      (*ring)->on_event({number, when, base::Pid{10}, base::Tid{10}, model::Note{"a short note"}});
    }
    ::_exit((*ring)->finish() ? 0 : 5);
  }

  // Kills it before the call of this number; false if it has ended before, as it should.
  bool kill_at(int number) {
    const pid_t writer = ::fork();
    if (writer == 0) write();
    base::Cleanup reap([writer] {
      ::kill(writer, SIGKILL);
      ::waitpid(writer, nullptr, 0);
    });
    int status = 0;
    EXPECT_EQ(::waitpid(writer, &status, 0), writer);
    if (!WIFSTOPPED(status)) {
      ADD_FAILURE() << "the writer did not begin: " << status;
      return false;
    }
    EXPECT_EQ(::ptrace(PTRACE_SETOPTIONS, writer, nullptr, PTRACE_O_EXITKILL), 0);
    // Each call has two stops, the first one before it.
    for (int stops = 0; stops <= 2 * number; ++stops) {
      EXPECT_EQ(::ptrace(PTRACE_SYSCALL, writer, nullptr, nullptr), 0);
      EXPECT_EQ(::waitpid(writer, &status, 0), writer);
      if (WIFSTOPPED(status)) continue;
      reap.cancel();
      EXPECT_EQ(status, 0);
      return false;
    }
    return true;
  }

  std::optional<Part> part(const std::string& end) const {
    const auto recording = read_recording(path_ + end);
    if (!recording) return std::nullopt;
    Part result;
    for (const model::Event& event : recording->events) {
      if (const auto* lost = std::get_if<model::Lost>(&event.data)) result.lost += lost->count;
      if (std::holds_alternative<model::Note>(event.data)) result.notes.push_back(event.sequence);
    }
    return result;
  }

  // What it tells of itself is true: the notes in it are those after the lost ones.
  static void expect_whole(const Part& part) {
    for (std::size_t i = 0; i < part.notes.size(); ++i) {
      ASSERT_EQ(part.notes[i], part.lost + 1 + i);
    }
  }

  void expect_sound() const {
    const auto latest = part("");
    if (GetParam() == Names::kRename && !latest) {
      EXPECT_FALSE(std::filesystem::exists(path_));
      EXPECT_TRUE(part(".earlier") && part(".next"));
      return;
    }
    ASSERT_TRUE(latest);
    expect_whole(*latest);
    const bool has_earlier = std::filesystem::exists(path_ + ".earlier");
    const auto earlier = part(".earlier");
    ASSERT_EQ(earlier.has_value(), has_earlier);
    if (earlier) {
      expect_whole(*earlier);
      EXPECT_GT(latest->lost, 0U) << "the latest part tells that there is an earlier one";
    }
    if (latest->lost == 0) return;
    // What was before it is there: as the earlier part, or on its way to become that. Or it is the
    // two joined, which had been lost to both.
    const auto next = part(GetParam() == Names::kLink ? ".whole" : ".next");
    const auto is_before = [&](const std::optional<Part>& other) {
      return other && other->lost + other->notes.size() == latest->lost;
    };
    const bool joined = latest->notes.size() > 1 && latest->notes.back() == kNotes &&
                        (!earlier || earlier->lost == latest->lost);
    EXPECT_TRUE(is_before(earlier) || is_before(next) || joined);
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.file("recording");
};

TEST_P(RingCrash, BothPartsAreSoundWheneverItIsKilled) {
  int calls = 0;
  while (kill_at(calls)) {
    SCOPED_TRACE(fmt::format("killed before call {}", calls));
    expect_sound();
    if (HasFatalFailure() || HasNonfatalFailure()) return;
    // Nothing of it is in the way of the next.
    const auto again = RingWriter::create(path_, small_header(), RingWriter::kSmallest);
    ASSERT_TRUE(again) << again.error().message();
    for (const char* end : {".earlier", ".next", ".whole"}) {
      ASSERT_FALSE(std::filesystem::exists(path_ + end));
    }
    ++calls;
  }
  EXPECT_GT(calls, 20) << "some turns have several calls each";
  const auto whole = part("");
  ASSERT_TRUE(whole);
  expect_whole(*whole);
  EXPECT_EQ(whole->notes.back(), kNotes);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".earlier"));
}

std::string name_of(const testing::TestParamInfo<Names>& info) {
  switch (info.param) {
    case Names::kExchange:
      return "Exchanges";
    case Names::kLink:
      return "Links";
    case Names::kRename:
      return "Renames";
  }
  return "";
}

INSTANTIATE_TEST_SUITE_P(FileSystem, RingCrash,
                         testing::Values(Names::kExchange, Names::kLink, Names::kRename), name_of);

}  // namespace
}  // namespace stucktrace::record
