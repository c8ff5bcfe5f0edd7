#include "tracer/engine/snapshotter.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/fake_proc.h"
#include "tracer/engine/collection.h"

namespace stucktrace::engine {
namespace {

using base::Pid;
using base::Tid;
using model::WaitKind;

// Stands still, or runs on by a second at every look.
class StepClock final : public base::Clock {
 public:
  explicit StepClock(base::Nanoseconds step) : step_(step) {}
  base::Instant now() const override {
    now_.since_boot += step_;
    return now_;
  }
  base::Nanoseconds wall() const override { return std::chrono::hours{1}; }

 private:
  base::Nanoseconds step_;
  mutable base::Instant now_;
};

// Pids high above any that live, so that probes of the kernel find nobody.
constexpr int kBase = 0x3f000000;

class SnapshotterTest : public testing::Test {
 protected:
  static constexpr int pid(int n) { return kBase + n; }

  void add(int n, int parent, const std::string& call, unsigned uid = 0) {
    proc_.add({.pid = pid(n),
               .tid = pid(n),
               .comm = "p" + std::to_string(n),
               .parent = pid(parent),
               .uid = uid,
               .syscall = call});
  }
  base::Result<std::shared_ptr<model::Snapshot>> take(const std::vector<int>& roots,
                                                      base::Nanoseconds step = {}) {
    KernelProbes probes;
    probes.same_memory = [this](Tid a, Tid b) -> base::Result<bool> {
      return shared_ == std::pair{a.value(), b.value()};
    };
    probes.same_fd_table = [](Tid, Tid) -> base::Result<bool> { return true; };
    probes.who_is_shown = [this](const kernel::Procfs&) { return shown_; };
    Snapshotter snapshotter{kernel::Procfs{proc_.root()}, std::make_shared<StepClock>(step),
                            probes};
    SnapshotOptions options;
    for (const int root : roots) options.roots.push_back(Pid{pid(root)});
    options.native_stacks = false;
    options.python_stacks = false;
    return snapshotter.take(options);
  }
  static std::string call(long number, std::uint64_t first) {
    return fmt::format("{} {:#x} 0x0 0x0 0x0 0x0 0x0 0x7ffe00000000 0x7f0000000000\n", number,
                       first);
  }

  test::FakeProc proc_;
  std::pair<int, int> shared_{0, 0};
  Shown shown_ = Shown::kEverybody;
};

constexpr long kRead = 0, kPause = 34;

TEST_F(SnapshotterTest, TheTreeByChildrenLists) {
  add(1, 0, call(kPause, 0));
  add(2, 1, call(kPause, 0));
  add(3, 2, call(kPause, 0));
  add(9, 0, call(kPause, 0));
  for (const int n : {1, 2, 3}) {
    proc_.write(fmt::format("{0}/task/{0}/children", pid(n)),
                n < 3 ? fmt::format("{} ", pid(n + 1)) : std::string{});
  }
  const auto snapshot = take({1});
  ASSERT_TRUE(snapshot);
  const auto& processes = (*snapshot)->processes;
  ASSERT_EQ(processes.size(), 3U);
  EXPECT_EQ(processes[0].role, "P1");
  EXPECT_EQ(processes[2].role, "P3");
  EXPECT_EQ(processes[1].parent, Pid{pid(1)});
  EXPECT_EQ(processes[0].threads.at(0).wait.kind, WaitKind::kSignalWait);
  EXPECT_EQ(processes[0].threads.at(0).counters.cpu_ticks, 11U);
  EXPECT_TRUE((*snapshot)->could_not_see.empty());
  EXPECT_EQ((*snapshot)->roots, std::vector{Pid{pid(1)}});
}

TEST_F(SnapshotterTest, TheTreeByParentsWhereTheKernelHasNoLists) {
  add(1, 0, call(kPause, 0));
  add(2, 1, call(kPause, 0));
  add(3, 2, call(kPause, 0));
  EXPECT_EQ((*take({1}))->processes.size(), 3U);
  EXPECT_EQ((*take({3}))->processes.size(), 1U);
}

TEST_F(SnapshotterTest, AWaitThatEndedBeforeItsStacksWereReadIsNone) {
  add(1, 0, call(kPause, 0));
  add(2, 0, call(kPause, 0));
  const kernel::Procfs procfs{proc_.root()};
  const StepClock clock{{}};
  const KernelProbes probes;
  SnapshotOptions options;
  options.roots = {Pid{pid(1)}, Pid{pid(2)}};
  SampleBook book;
  Collection collection{procfs, clock, probes, options, book};
  ASSERT_TRUE(collection.read_tree());
  collection.read_waits();
  add(2, 0, call(kRead, 0));  // moves on
  for (model::Process* process : collection.processes()) {
    model::Thread& thread = process->threads.at(0);
    const bool moves = process->pid == Pid{pid(2)};
    const model::Wait before = thread.wait;
    thread.wait.timeout = std::chrono::milliseconds{50};
    EXPECT_EQ(collection.drop_waits_of_the_past(*process).size(), moves ? 1U : 0U);
    EXPECT_EQ(thread.wait.kind, before.kind) << "it may be a heartbeat";
    thread.wait.timeout.reset();
    EXPECT_EQ(collection.drop_waits_of_the_past(*process).size(), moves ? 1U : 0U);
    EXPECT_EQ(thread.wait.kind, moves ? WaitKind::kRunning : before.kind);
  }
}

TEST_F(SnapshotterTest, RootsComeFirstInTheirOrder) {
  add(1, 0, call(kPause, 0));
  add(2, 0, call(kPause, 0));
  const auto snapshot = take({2, 1, 2});
  EXPECT_EQ((*snapshot)->find(Pid{pid(2)})->role, "P1");
  EXPECT_EQ((*snapshot)->find(Pid{pid(1)})->role, "P2");
}

TEST_F(SnapshotterTest, GoneRootsAreSaidToBe) {
  add(1, 0, call(kPause, 0));
  const auto snapshot = take({1, 5});
  ASSERT_TRUE(snapshot);
  EXPECT_EQ((*snapshot)->could_not_see,
            std::vector{fmt::format("process {} does not exist", pid(5))});
  const auto nothing = take({5});
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().kind, base::ErrorKind::kGone);
}

TEST_F(SnapshotterTest, WhoHoldsTheOtherEndIsTakenIn) {
  add(1, 0, call(kRead, 3));
  proc_.add_fd(pid(1), pid(1), 3, "pipe:[77]", O_RDONLY);
  add(5, 0, call(kRead, 4));  // the writer, which itself reads from ...
  proc_.add_fd(pid(5), pid(5), 9, "pipe:[77]", O_WRONLY);
  proc_.add_fd(pid(5), pid(5), 4, "pipe:[78]", O_RDONLY);
  add(6, 0, call(kPause, 0));  // ... this one
  proc_.add_fd(pid(6), pid(6), 1, "pipe:[78]", O_WRONLY);
  add(7, 0, call(kPause, 0));  // a bystander
  proc_.add_fd(pid(7), pid(7), 1, "pipe:[79]", O_WRONLY);
  const auto snapshot = *take({1});
  ASSERT_EQ(snapshot->processes.size(), 3U);
  EXPECT_TRUE(snapshot->find(Pid{pid(1)})->in_tree);
  EXPECT_FALSE(snapshot->find(Pid{pid(5)})->in_tree);
  EXPECT_FALSE(snapshot->find(Pid{pid(6)})->in_tree);
  EXPECT_EQ(snapshot->find(Pid{pid(7)}), nullptr);
  const auto& pipe = snapshot->resources.at({model::ResourceKind::kPipe, 0, 77, 0});
  EXPECT_TRUE(pipe.holders_complete);
  ASSERT_EQ(pipe.holders.size(), 2U);
  EXPECT_EQ(pipe.holders[1].pid, Pid{pid(5)});
  EXPECT_EQ(pipe.holders[1].fd, 9);
  // Nobody lives under these pids, so no copy of a descriptor could be asked.
  EXPECT_FALSE(pipe.readable);
}

TEST_F(SnapshotterTest, WhereOthersAreHiddenTheHoldersAreNotAll) {
  add(1, 0, call(kRead, 3));
  proc_.add_fd(pid(1), pid(1), 3, "pipe:[77]", O_RDONLY);
  shown_ = Shown::kOwnUser;
  const auto snapshot = *take({1});
  const auto& pipe = snapshot->resources.at({model::ResourceKind::kPipe, 0, 77, 0});
  EXPECT_FALSE(pipe.holders_complete);
  EXPECT_NE(pipe.incomplete_because.find("hidepid"), std::string::npos);
}

TEST_F(SnapshotterTest, InANamespaceWhatWasBroughtFromOutsideMayBeHeldThere) {
  shown_ = Shown::kOwnNamespace;
  add(1, 0, call(kPause, 0));
  add(2, 1, call(kRead, 3));
  proc_.add_fd(pid(2), pid(2), 3, "pipe:[77]", O_RDONLY);
  const model::ResourceId id{model::ResourceKind::kPipe, 0, 77, 0};
  EXPECT_TRUE((*take({1}))->resources.at(id).holders_complete) << "made inside";
  proc_.add({.pid = pid(3), .tid = pid(3), .parent = 0});
  proc_.add_fd(pid(3), pid(3), 1, "pipe:[77]", O_WRONLY);
  const auto snapshot = *take({1});
  EXPECT_FALSE(snapshot->resources.at(id).holders_complete);
  EXPECT_NE(snapshot->resources.at(id).incomplete_because.find("outside of this pid namespace"),
            std::string::npos);
}

TEST_F(SnapshotterTest, EndsThatAreInNoTableMakeTheHoldersIncomplete) {
  const model::ResourceId id{model::ResourceKind::kPipe, 0, 77, 0};
  add(1, 0, call(kRead, 3));
  proc_.add_fd(pid(1), pid(1), 3, "pipe:[77]", O_RDONLY);
  add(2, 0, call(kPause, 0));
  proc_.add_fd(pid(2), pid(2), 4, "socket:[4000000001]", O_RDWR, "scm_fds: 0\n");
  proc_.add_fd(pid(2), pid(2), 5, "anon_inode:[io_uring]", O_RDWR,
               "UserFiles:\t1\n    0: pipe:[78]\nUserBufs:\t0\n");
  EXPECT_TRUE((*take({1}))->resources.at(id).holders_complete);
  // Registered with a ring, and not seen to be or not to be.
  add(3, 0, call(kPause, 0));
  proc_.add_fd(pid(3), pid(3), 6, "anon_inode:[io_uring]", O_RDWR, "UserFiles:\t2\n");
  auto snapshot = *take({1});
  EXPECT_FALSE(snapshot->resources.at(id).holders_complete);
  EXPECT_EQ(snapshot->resources.at(id).incomplete_because,
            fmt::format("which files the io_uring that is descriptor 6 of process {} has "
                        "registered could not be seen",
                        pid(3)));
  const auto say = [this](int n, int fd, const std::string& lines) {
    proc_.write(fmt::format("{}/fdinfo/{}", pid(n), fd), "flags:\t02\n" + lines);
  };
  say(3, 6, "UserFiles:\t2\n    1: pipe:[77]\n");
  snapshot = *take({1});
  EXPECT_NE(snapshot->resources.at(id).incomplete_because.find("and one may be it"),
            std::string::npos);
  // On its way from one process to another.
  say(3, 6, "UserFiles:\t0\n");
  say(2, 4, "scm_fds: 2\n");
  snapshot = *take({1});
  EXPECT_EQ(snapshot->resources.at(id).incomplete_because,
            fmt::format("2 descriptors sent to socket 4000000001 (descriptor 4 of process {}) and "
                        "not received yet may be one of it",
                        pid(2)));
}

TEST(WhoIsShown, ANamespaceShowsItsOwnProcesses) {
  const test::FakeProc proc;
  const kernel::Procfs procfs{proc.root()};
  EXPECT_EQ(who_is_shown(procfs), Shown::kOwnUser);
  proc.add({.pid = 1, .tid = 1});
  proc.link("self/ns/pid", "pid:[4026532001]");
  EXPECT_EQ(who_is_shown(procfs), Shown::kOwnNamespace);
  proc.add({.pid = 2, .tid = 2});
  EXPECT_EQ(who_is_shown(procfs), Shown::kOwnNamespace) << "an ordinary process";
  // The /proc of the first namespace, seen from within another one.
  proc.add({.pid = 2, .tid = 2, .comm = "kthreadd", .flags = 0x00200000});
  EXPECT_EQ(who_is_shown(procfs), Shown::kEverybody);
  const test::FakeProc first;
  first.add({.pid = 1, .tid = 1});
  first.link("self/ns/pid", "pid:[4026531836]");
  EXPECT_EQ(who_is_shown(kernel::Procfs{first.root()}), Shown::kEverybody);
}

TEST_F(SnapshotterTest, AnAddressSpaceSharedWithTheParent) {
  add(1, 0, call(kPause, 0));
  add(2, 1, call(kPause, 0));
  shared_ = {pid(1), pid(2)};
  EXPECT_EQ((*take({1}))->find(Pid{pid(2)})->address_space, static_cast<std::uint64_t>(pid(1)));
  // Threads of the parent can wake the child's: it has to be looked at, too.
  EXPECT_EQ((*take({2}))->find(Pid{pid(2)})->address_space, static_cast<std::uint64_t>(pid(1)));
  EXPECT_FALSE((*take({2}))->find(Pid{pid(1)})->in_tree);
  EXPECT_TRUE((*take({2, 1}))->find(Pid{pid(1)})->in_tree);
  shared_ = {0, 0};
  EXPECT_EQ((*take({1}))->find(Pid{pid(2)})->address_space, static_cast<std::uint64_t>(pid(2)));
  EXPECT_EQ((*take({2}))->find(Pid{pid(1)}), nullptr);
}

TEST_F(SnapshotterTest, TheTimeLimitLeavesThingsOutAndSaysSo) {
  add(1, 0, call(kPause, 0));
  add(2, 1, call(kPause, 0));
  const auto snapshot = take({1}, std::chrono::seconds{10});
  ASSERT_TRUE(snapshot);
  EXPECT_FALSE((*snapshot)->could_not_see.empty());
  const model::Process* root = (*snapshot)->find(Pid{pid(1)});
  ASSERT_TRUE(root != nullptr && root->threads.size() == 1U);
  const auto& on = root->threads[0].wait.on;
  ASSERT_EQ(on.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<model::OnUnknown>(on[0]));
}

TEST_F(SnapshotterTest, SignalsWithHandlersAreKnown) {
  add(1, 0, call(kPause, 0));
  const auto before = take({1});
  EXPECT_EQ((*before)->processes[0].caught_signals, model::Known<std::uint64_t>{0});
  proc_.write(fmt::format("{}/status", pid(1)),
              fmt::format("Tgid:\t{}\nSigCgt:\t0000000000004002\n", pid(1)));
  EXPECT_EQ((*take({1}))->processes[0].caught_signals, model::Known<std::uint64_t>{0x4002});
}

TEST_F(SnapshotterTest, ASuspensionShowsAtTheNextLook) {
  add(1, 0, call(kPause, 0));
  base::Nanoseconds asleep = std::chrono::hours{7};
  KernelProbes probes;
  probes.suspended = [&asleep] { return asleep; };
  Snapshotter snapshotter{kernel::Procfs{proc_.root()},
                          std::make_shared<StepClock>(base::Nanoseconds{}), probes};
  SnapshotOptions options;
  options.roots = {Pid{pid(1)}};
  EXPECT_EQ((*snapshotter.take(options))->suspended, base::Nanoseconds{});
  asleep += std::chrono::minutes{3};
  EXPECT_EQ((*snapshotter.take(options))->suspended, std::chrono::minutes{3});
  asleep += std::chrono::microseconds{3};  // the clocks are not read at one instant
  EXPECT_EQ((*snapshotter.take(options))->suspended, base::Nanoseconds{});
}

TEST_F(SnapshotterTest, APidUsedAgainIsAnotherProcess) {
  add(1, 0, call(kPause, 0));
  const auto before = take({1});
  proc_.write(fmt::format("{0}/stat", pid(1)),
              fmt::format("{} (other) S 1 1 1 0 -1 0 0 0 0 0 5 6 0 0 20 0 1 0 99999 0 0 0 0 0 0 0 "
                          "0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
                          pid(1)));
  const auto after = take({1});
  EXPECT_NE((*before)->processes[0].start_time, (*after)->processes[0].start_time);
  EXPECT_EQ((*after)->processes[0].comm, "other");
}

TEST_F(SnapshotterTest, AThreadThatVanishesBetweenTwoReadsIsLeftOut) {
  add(1, 0, call(kPause, 0));
  proc_.write(fmt::format("{0}/task/{1}/stat", pid(1), pid(5)), "");  // listed, nothing behind it
  const auto snapshot = take({1});
  ASSERT_TRUE(snapshot);
  EXPECT_EQ((*snapshot)->processes[0].threads.size(), 1U);
}

TEST_F(SnapshotterTest, HostileNamesStayData) {
  proc_.add({.pid = pid(1), .tid = pid(1), .comm = ") R 1 1\n1", .syscall = call(kPause, 0)});
  const auto snapshot = take({1});
  ASSERT_TRUE(snapshot);
  EXPECT_EQ((*snapshot)->processes[0].comm, ") R 1 1\n1");
  EXPECT_EQ((*snapshot)->processes[0].state, 'S');
}

}  // namespace
}  // namespace stucktrace::engine
