#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <filesystem>

#include "syscalls/layout.h"
#include "tests/unit/engine/wait_reader_fixture.h"

namespace stucktrace::engine {
namespace {

using base::Pid;
using base::Tid;
using model::OnChildren;
using model::OnFutex;
using model::OnLock;
using model::OnSignal;
using model::OnTask;
using model::OnUnknown;
using model::ResourceKind;
using model::Wait;
using model::WaitKind;
using Role = model::OnFutex::Role;

constexpr std::uint64_t kWaitPrivate = FUTEX_WAIT | FUTEX_PRIVATE_FLAG;
constexpr std::uint64_t kBitsetShared = FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME;
constexpr std::uint64_t kBitsetPrivate = kBitsetShared | FUTEX_PRIVATE_FLAG;
constexpr std::uint64_t kWord = 0x7000;

class WaitFutexTest : public WaitReaderTest {
 protected:
  OnFutex futex(std::uint64_t operation, std::uint32_t expected, std::uint64_t timeout = 0) {
    const Wait wait = read(SYS_futex, {kWord, operation, expected, timeout});
    kind_ = wait.kind;
    const auto on = all_on<OnFutex>(wait);
    return on.empty() ? OnFutex{} : on.front();
  }
  // lock, count, owner, users, kind, spins
  void mutex(std::uint32_t lock, std::uint32_t owner, std::uint32_t users, std::uint32_t kind) {
    remember(kWord, std::array<std::uint32_t, 10>{lock, 0, owner, users, kind, 0, 0, 0, 0, 0});
  }
  WaitKind kind_ = WaitKind::kOther;
};

TEST_F(WaitFutexTest, AMutexIsBelievedOnlyWhereAllFieldsAgree) {
  mutex(2, 43, 1, 0);
  EXPECT_EQ(futex(kWaitPrivate, 2).role, Role::kMutex);
  EXPECT_EQ(futex(kWaitPrivate, 2).owner, Tid{43});
  EXPECT_TRUE(futex(kWaitPrivate, 2).owner_alive);
  // Another value waited for, a process-shared call on a private mutex, a condition variable.
  EXPECT_EQ(futex(kWaitPrivate, 1).role, Role::kUnknown);
  EXPECT_EQ(futex(FUTEX_WAIT, 2).role, Role::kUnknown);
  EXPECT_EQ(futex(kBitsetPrivate, 2).role, Role::kUnknown);
  // With a time-out it may be a timed lock, if the owner lives.
  EXPECT_EQ(futex(kBitsetPrivate, 2, 0x100).role, Role::kMutex);
  mutex(2, 43, 1, 0x7777);
  EXPECT_EQ(futex(kWaitPrivate, 2).role, Role::kUnknown);
  mutex(2, 43, 0, 0);
  EXPECT_EQ(futex(kWaitPrivate, 2).role, Role::kUnknown);
  mutex(2, 0x7fffffff, 1, 0);
  EXPECT_EQ(futex(kWaitPrivate, 2).role, Role::kUnknown);
  mutex(1, 43, 1, 0);
  EXPECT_EQ(futex(kWaitPrivate, 2).role, Role::kUnknown);
}

TEST_F(WaitFutexTest, AnOwnerThatIsNotThereIsKeptAsDead) {
  mutex(2, 555, 1, 0);
  const OnFutex on = futex(kWaitPrivate, 2);
  EXPECT_EQ(on.role, Role::kMutex);
  EXPECT_EQ(on.owner, Tid{555});
  EXPECT_FALSE(on.owner_alive);
  // A lock of another make, with other things behind its word.
  mutex(2, 555, 64, 0);
  EXPECT_EQ(futex(kWaitPrivate, 2).role, Role::kUnknown);
  remember(kWord, std::array<std::uint32_t, 10>{2, 7, 555, 1, 0, 0, 0, 0, 0, 0});
  EXPECT_EQ(futex(kWaitPrivate, 2).role, Role::kUnknown);
}

constexpr std::uint32_t kShared = 0x80;  // of a mutex's kind

TEST_F(WaitFutexTest, TheOwnerOfASharedMutexIsOfAnySharerInTheSameNamespace) {
  proc_.write("42/maps", "6000-8000 rw-s 00003000 00:01 99 /dev/shm/x\n");
  proc_.add({.pid = 50, .tid = 50});
  proc_.write("50/maps", "9000-a000 rw-s 00000000 00:01 99 /dev/shm/x\n");
  proc_.link("42/ns/pid", "pid:[1]");
  proc_.link("50/ns/pid", "pid:[1]");
  mutex(2, 50, 1, kShared);
  EXPECT_EQ(futex(FUTEX_WAIT, 2).owner, Tid{50});
  EXPECT_TRUE(futex(FUTEX_WAIT, 2).owner_alive);
  mutex(2, 555, 1, kShared);
  EXPECT_EQ(futex(FUTEX_WAIT, 2).owner, Tid{555});
  EXPECT_FALSE(futex(FUTEX_WAIT, 2).owner_alive);
  // One that cannot be seen may be the owner, and so may the thread of that number elsewhere.
  probes_.who_is_shown = [](const kernel::Procfs&) { return Shown::kOwnUser; };
  EXPECT_FALSE(futex(FUTEX_WAIT, 2).owner);
  mutex(2, 42, 1, kShared);
  EXPECT_EQ(futex(FUTEX_WAIT, 2).owner, Tid{42});
  proc_.add({.pid = 60, .tid = 60});
  proc_.write("60/maps", "9000-a000 rw-s 00000000 00:01 99 /dev/shm/x\n");
  proc_.link("60/ns/pid", "pid:[2]");
  EXPECT_FALSE(futex(FUTEX_WAIT, 2).owner);
}

TEST_F(WaitFutexTest, OwnersAreTranslatedOutOfTheirPidNamespace) {
  process_.ns_pids = {42, 7};
  process_.inner_tids = {{7, Tid{42}}, {8, Tid{43}}};
  mutex(2, 8, 1, 0);
  EXPECT_EQ(futex(kWaitPrivate, 2).owner, Tid{43});
  EXPECT_TRUE(futex(kWaitPrivate, 2).owner_alive);
  mutex(2, 43, 1, 0);  // our number for it, unknown in there
  EXPECT_FALSE(futex(kWaitPrivate, 2).owner_alive);
}

TEST_F(WaitFutexTest, AnOwnerInAProcessOfTheSameMemory) {
  proc_.add({.pid = 60, .tid = 61});
  proc_.add({.pid = 61, .tid = 61});
  proc_.write("61/status", "Tgid:\t60\n");  // /proc has every thread, if unlisted
  mutex(2, 61, 1, 0);
  EXPECT_EQ(futex(kWaitPrivate, 2).owner, Tid{61});
  EXPECT_FALSE(futex(kWaitPrivate, 2).owner_alive) << "a process that it is a copy of";
  same_memory_ = {{42, 61}};
  EXPECT_EQ(futex(kWaitPrivate, 2).owner, Tid{61});
  EXPECT_TRUE(futex(kWaitPrivate, 2).owner_alive);
  probes_.same_memory = [](Tid, Tid) -> base::Result<bool> {
    return base::system_error("kcmp", base::Errno{EPERM});
  };
  EXPECT_EQ(futex(kWaitPrivate, 2).role, Role::kMutex);
  EXPECT_FALSE(futex(kWaitPrivate, 2).owner) << "it may live there";
}

TEST_F(WaitFutexTest, AJoinHasALiveTidAndNoPrivateFlag) {
  struct {
    std::uint32_t tid = 43, unused = 0;
    std::uint64_t robust_previous = kWord + 16, robust_first = kWord + 16;
    std::int64_t word_offset = -32;
  } in_descriptor;
  remember(kWord, in_descriptor);
  EXPECT_EQ(futex(kBitsetShared, 43).role, Role::kJoin);
  EXPECT_EQ(kind_, WaitKind::kThreadJoin);
  EXPECT_EQ(futex(kBitsetPrivate, 43).role, Role::kUnknown);
  EXPECT_EQ(kind_, WaitKind::kFutex);
  EXPECT_EQ(futex(kBitsetShared, 44).role, Role::kUnknown);
  process_.live_threads = {Tid{42}};
  EXPECT_EQ(futex(kBitsetShared, 43).role, Role::kUnknown);
}

TEST_F(WaitFutexTest, AWordThatHappensToBeANumberOfAThreadIsNoJoin) {
  remember(kWord, std::array<std::uint32_t, 10>{43});
  EXPECT_EQ(futex(kBitsetShared, 43).role, Role::kUnknown);
  EXPECT_FALSE(futex(kBitsetShared, 43).owner);
  EXPECT_EQ(kind_, WaitKind::kFutex);
  // The descriptor of a thread in a 32-bit program.
  remember(kWord, std::array<std::uint32_t, 10>{43, 0, kWord + 8, static_cast<std::uint32_t>(-20)});
  EXPECT_EQ(futex(kBitsetShared, 43).role, Role::kJoin);
}

TEST_F(WaitFutexTest, APriorityInheritanceWordHoldsItsOwner) {
  remember(kWord, std::uint32_t{FUTEX_WAITERS | 43U});
  const OnFutex on = futex(FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0);
  EXPECT_EQ(on.role, Role::kPiMutex);
  EXPECT_EQ(on.owner, Tid{43});
}

TEST_F(WaitFutexTest, UnreadableWordsAreUnknown) {
  const OnFutex on = futex(kWaitPrivate, 2);
  EXPECT_FALSE(on.word);
  EXPECT_EQ(on.role, Role::kUnknown);
  EXPECT_EQ(on.futex, (model::ResourceId{ResourceKind::kFutex, 42, kWord, 0}));
}

TEST_F(WaitFutexTest, SharedMeansSharedMemory) {
  remember(kWord, std::uint32_t{0});
  proc_.write("42/maps", "6000-8000 rw-p 00000000 00:00 0\n");
  EXPECT_TRUE(futex(kBitsetShared, 0).is_private);
  const std::string shared = "6000-8000 rw-s 00003000 00:01 99 /dev/shm/x\n";
  proc_.write("42/maps", shared);
  proc_.add({.pid = 50, .tid = 50});
  proc_.write("50/maps", "9000-a000 rw-s 00000000 00:01 99 /dev/shm/x\n");
  proc_.add({.pid = 51, .tid = 51});
  proc_.write("51/maps", "9000-a000 r--s 00000000 00:01 99 /dev/shm/x\n");  // cannot wake
  const OnFutex on = futex(kBitsetShared, 0);
  EXPECT_FALSE(on.is_private);
  EXPECT_EQ(on.futex, (model::ResourceId{ResourceKind::kFutex, makedev(0, 1), 99, 0x4000}));
  EXPECT_EQ(on.sharers, (std::vector{Pid{42}, Pid{50}}));
  const auto outside = all_on<model::OnOutside>(read(SYS_futex, {kWord, kBitsetShared, 0}));
  ASSERT_EQ(outside.size(), 1U);
  EXPECT_EQ(outside[0].who, "whoever opens /dev/shm/x");
}

TEST_F(WaitFutexTest, WhoCouldComeToShareTheMemory) {
  remember(kWord, std::uint32_t{0});
  const auto open_to = [&](const std::string& file) {
    proc_.write("42/maps", "6000-8000 rw-s 00000000 " + file + "\n");
    const auto on = all_on<model::OnOutside>(read(SYS_futex, {kWord, kBitsetShared, 0}));
    return on.empty() ? std::string{} : on.front().who;
  };
  EXPECT_EQ(open_to("00:01 99 /dev/shm/x (deleted)"), "");
  EXPECT_EQ(open_to("00:01 99 /dev/zero (deleted)"), "");
  EXPECT_EQ(open_to("00:01 7 /SYSV00000000 (deleted)"),
            "whoever attaches the shared memory segment");
  // As sem_open(3) makes a file: under a name for a while, which it then goes without.
  proc_.write("42/root/dev/shm/sem.x", "x");
  struct stat named{};
  ::stat((proc_.root() + "/42/root/dev/shm/sem.x").c_str(), &named);
  const std::string made = fmt::format("00:01 {} /dev/shm/sem.Ab3dEf (deleted)", named.st_ino);
  EXPECT_EQ(open_to(made), "whoever opens /dev/shm/sem.Ab3dEf (deleted)");
  std::filesystem::remove(proc_.root() + "/42/root/dev/shm/sem.x");
  EXPECT_EQ(open_to(made), "");
  // A file that has no name any more, and which another process has open.
  proc_.write("file", "x");
  struct stat info{};
  ::stat((proc_.root() + "/file").c_str(), &info);
  const std::string file = fmt::format("{:x}:{:x} {} /memfd:m (deleted)", major(info.st_dev),
                                       minor(info.st_dev), info.st_ino);
  EXPECT_EQ(open_to(file), "");
  proc_.add({.pid = 50, .tid = 50});
  proc_.add_fd(50, 50, 4, proc_.root() + "/file", O_RDWR);
  EXPECT_EQ(open_to(file), "process 50, which has /memfd:m (deleted) open");
  proc_.write("50/maps", "9000-a000 rw-s 00000000 " + file + "\n");
  EXPECT_EQ(open_to(file), "") << "it shares it already";
}

TEST_F(WaitFutexTest, TimeoutsAreRelativeOrAbsoluteByOperation) {
  remember(kWord, std::uint32_t{0});
  remember(0x100, std::array<std::int64_t, 2>{3, 0});
  remember(0x200, std::array<std::int64_t, 2>{5004, 0});  // wall clock is 5000
  remember(0x300, std::array<std::int64_t, 2>{1002, 0});  // monotonic is 1000
  Wait wait = read(SYS_futex, {kWord, kWaitPrivate, 0, 0x100});
  EXPECT_EQ(wait.timeout, base::Nanoseconds{3'000'000'000});
  EXPECT_FALSE(wait.remaining);
  wait = read(SYS_futex, {kWord, kBitsetPrivate, 0, 0x200});
  EXPECT_EQ(wait.remaining, base::Nanoseconds{4'000'000'000});
  wait = read(SYS_futex, {kWord, FUTEX_WAIT_BITSET, 0, 0x300});
  EXPECT_EQ(wait.remaining, base::Nanoseconds{2'000'000'000});
  EXPECT_FALSE(read(SYS_futex, {kWord, kWaitPrivate, 0, 0}).timeout);
}

// ---- tasks -------------------------------------------------------------------------------------

class WaitTaskTest : public WaitReaderTest {
 protected:
  WaitTaskTest() {
    proc_.write("42/task/42/children", "60 61");
    proc_.write("42/task/43/children", "62");
    for (const int child : {60, 61, 62}) proc_.add({.pid = child, .tid = child, .parent = 42});
  }
  OnChildren children(long number, std::array<std::uint64_t, 6> args) {
    const Wait wait = read(number, args);
    EXPECT_EQ(wait.kind, WaitKind::kChildWait);
    return std::get<OnChildren>(wait.on.at(0));
  }
};

TEST_F(WaitTaskTest, SelectorsOfWait4) {
  const std::vector everyone{Pid{60}, Pid{61}, Pid{62}};
  EXPECT_EQ(children(SYS_wait4, {~0ULL}).children, everyone);
  EXPECT_EQ(children(SYS_wait4, {61}).children, std::vector{Pid{61}});
  EXPECT_EQ(children(SYS_wait4, {61}).which, OnChildren::Which::kOne);
  EXPECT_TRUE(children(SYS_wait4, {99}).children.empty());
  // In the made-up /proc every process leads its own group.
  const OnChildren group = children(SYS_wait4, {static_cast<std::uint64_t>(-60)});
  EXPECT_EQ(group.which, OnChildren::Which::kGroup);
  EXPECT_EQ(group.children, std::vector{Pid{60}});
  EXPECT_TRUE(children(SYS_wait4, {0}).children.empty());
  EXPECT_TRUE(children(SYS_wait4, {~0ULL, 0, WUNTRACED}).reports_stops);
  EXPECT_FALSE(children(SYS_wait4, {~0ULL}).reports_stops);
  constexpr std::uint64_t kNoThread = 0x20000000;
  EXPECT_EQ(children(SYS_wait4, {~0ULL, 0, kNoThread}).children, (std::vector{Pid{60}, Pid{61}}));
}

TEST_F(WaitTaskTest, SelectorsOfWaitid) {
  EXPECT_EQ(children(SYS_waitid, {P_ALL, 0}).children.size(), 3U);
  EXPECT_EQ(children(SYS_waitid, {P_PID, 62, 0, WEXITED}).children, std::vector{Pid{62}});
  EXPECT_EQ(children(SYS_waitid, {P_PGID, 61, 0, WEXITED}).children, std::vector{Pid{61}});
  has_fdinfo(5, "Pid:\t60\n");
  EXPECT_EQ(children(SYS_waitid, {3, 5, 0, WEXITED}).children, std::vector{Pid{60}});
}

TEST_F(WaitTaskTest, ATracerAlsoWaitsForWhatItTraces) {
  proc_.add({.pid = 70, .tid = 70, .tracer = 42});
  constexpr std::uint64_t kAll = 0x40000000;
  EXPECT_EQ(children(SYS_wait4, {~0ULL, 0, kAll}).children.size(), 4U);
  EXPECT_EQ(children(SYS_wait4, {~0ULL}).children.size(), 4U);
  EXPECT_EQ(children(SYS_wait4, {static_cast<std::uint64_t>(-70)}).children, std::vector{Pid{70}});
  proc_.write("42/task/42/children", "");
  proc_.write("42/task/43/children", "");
  EXPECT_EQ(children(SYS_wait4, {~0ULL}).children, std::vector{Pid{70}});
  // A thread of the waiter has one thread of another process.
  proc_.add({.pid = 80, .tid = 80});
  proc_.add({.pid = 80, .tid = 81, .tracer = 43});
  EXPECT_EQ(children(SYS_wait4, {~0ULL}).children, (std::vector{Pid{70}, Pid{80}}));
  constexpr std::uint64_t kOwnOnly = 0x20000000;
  EXPECT_EQ(children(SYS_wait4, {~0ULL, 0, kOwnOnly}).children, std::vector{Pid{70}});
}

TEST_F(WaitTaskTest, VforkIsNoDisk) {
  thread_.pulse.state = 'D';
  EXPECT_EQ(all_on<OnUnknown>(read(SYS_vfork)).size(), 1U);
  same_memory_ = {{42, 61}};
  const Wait wait = read(SYS_vfork);
  EXPECT_EQ(wait.kind, WaitKind::kVfork);
  ASSERT_EQ(all_on<OnTask>(wait).size(), 1U);
  EXPECT_EQ(all_on<OnTask>(wait)[0].pid, Pid{61});
  constexpr std::uint64_t kVforkFlag = 0x4000, kMemoryFlag = 0x100;
  EXPECT_EQ(read(SYS_clone, {kVforkFlag | kMemoryFlag}).kind, WaitKind::kVfork);
  EXPECT_EQ(read(SYS_clone, {kMemoryFlag}).kind, WaitKind::kDisk);
  remember(0x5000, std::uint64_t{kVforkFlag});
  EXPECT_EQ(read(SYS_clone3, {0x5000, 88}).kind, WaitKind::kVfork);
}

// ---- time --------------------------------------------------------------------------------------

TEST_F(WaitReaderTest, SleepsAndSignalWaits) {
  remember(0x100, std::array<std::int64_t, 2>{1010, 0});
  remember(0x200, std::array<std::int64_t, 2>{-1, 0});
  remember(0x300, std::array<std::int64_t, 2>{INT64_MAX, 0});
  Wait wait = read(SYS_nanosleep, {0x100});
  EXPECT_EQ(wait.kind, WaitKind::kSleep);
  EXPECT_EQ(wait.timeout, base::Nanoseconds{1'010'000'000'000});
  constexpr std::uint64_t kMonotonic = 1, kAbsolute = 1;
  wait = read(SYS_clock_nanosleep, {kMonotonic, kAbsolute, 0x100});
  EXPECT_EQ(wait.remaining, base::Nanoseconds{10'000'000'000});
  EXPECT_FALSE(read(SYS_nanosleep, {0x200}).timeout);
  EXPECT_FALSE(read(SYS_nanosleep, {0x300}).timeout);
  EXPECT_EQ(all_on<OnUnknown>(read(SYS_nanosleep, {0xdead})).size(), 1U);

  EXPECT_EQ(read(SYS_pause).kind, WaitKind::kSignalWait);
  wait = read(SYS_rt_sigtimedwait, {0, 0, 0x100});
  EXPECT_EQ(all_on<OnSignal>(wait).size(), 1U);
  EXPECT_TRUE(wait.timeout);
}

// ---- locks -------------------------------------------------------------------------------------

class WaitLockTest : public WaitReaderTest {
 protected:
  WaitLockTest() {
    proc_.write("file", "x");
    struct stat info{};
    ::stat((proc_.root() + "/file").c_str(), &info);
    device_ = info.st_dev;
    inode_ = info.st_ino;
    fds_.push_back({3,
                    {ResourceKind::kRegularFile, device_, inode_, 0},
                    model::FdMode::kBoth,
                    false,
                    false,
                    proc_.root() + "/file"});
  }
  // Process `pid` has the file open with this lock on it.
  void holds(int pid, const std::string& lock) {
    proc_.add({.pid = pid, .tid = pid});
    proc_.add_fd(pid, pid, 8, proc_.root() + "/file", O_RDWR,
                 fmt::format("lock:\t1: {}\n", replaced(lock)));
  }
  // FILE in a lock line -> major:minor:inode.
  std::string replaced(std::string line) const {
    const std::string file =
        fmt::format("{:02x}:{:02x}:{}", major(device_), minor(device_), inode_);
    line.replace(line.find("FILE"), 4, file);
    return line;
  }
  OnLock lock(long number, std::array<std::uint64_t, 6> args) {
    const auto on = all_on<OnLock>(read(number, args));
    return on.empty() ? OnLock{} : on.front();
  }
  void request(short type, std::int64_t start, std::int64_t length) {
    syscalls::KernelFlock range;  // all of it: the kernel reads the whole structure
    range.type = type;
    range.whence = SEEK_SET;
    range.start = start;
    range.length = length;
    remember(0x1000, range);
  }
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
};

constexpr std::uint64_t kSetWait = F_SETLKW;

TEST_F(WaitLockTest, FlockIsHeldByWhoHasTheOpenFile) {
  // Taken by process 12, long gone; process 60 inherited the file.
  holds(60, "FLOCK  ADVISORY  WRITE 12 FILE 0 EOF");
  const OnLock on = lock(SYS_flock, {3, LOCK_EX});
  EXPECT_EQ(on.owners, std::vector{Pid{60}});
  EXPECT_EQ(on.description, "FLOCK WRITE 0-EOF");
  EXPECT_EQ(on.file, (model::ResourceId{ResourceKind::kFileLock, device_, inode_, 0}));
  EXPECT_EQ(notes_.labels.at(on.file), proc_.root() + "/file");
}

TEST_F(WaitLockTest, OnlyConflictingLocksCount) {
  holds(60, "FLOCK  ADVISORY  READ 60 FILE 0 EOF");
  holds(61, "POSIX  ADVISORY  WRITE 61 FILE 0 EOF");
  EXPECT_TRUE(lock(SYS_flock, {3, LOCK_SH}).owners.empty());
  EXPECT_EQ(all_on<OnUnknown>(read(SYS_flock, {3, LOCK_SH})).size(), 1U);
  EXPECT_EQ(lock(SYS_flock, {3, LOCK_EX}).owners, std::vector{Pid{60}});
}

TEST_F(WaitLockTest, RangesAndOpenFileLocks) {
  holds(60, "POSIX  ADVISORY  WRITE 60 FILE 0 9");
  holds(61, "OFDLCK ADVISORY  READ -1 FILE 10 EOF");
  request(F_WRLCK, 5, 2);
  EXPECT_EQ(lock(SYS_fcntl, {3, kSetWait, 0x1000}).owners, std::vector{Pid{60}});
  request(F_WRLCK, 5, 0);  // to the end of the file
  EXPECT_EQ(lock(SYS_fcntl, {3, kSetWait, 0x1000}).owners, (std::vector{Pid{60}, Pid{61}}));
  request(F_RDLCK, 10, 5);  // readers do not mind readers
  EXPECT_TRUE(lock(SYS_fcntl, {3, kSetWait, 0x1000}).owners.empty());
  constexpr std::uint64_t kSetNoWait = F_SETLK;
  EXPECT_EQ(read(SYS_fcntl, {3, kSetNoWait, 0x1000}).kind, WaitKind::kOther);
}

TEST_F(WaitLockTest, TheOpenFilesOwnLockIsReplacedAndNotWaitedFor) {
  holds(60, "OFDLCK ADVISORY  READ -1 FILE 0 EOF");
  holds(61, "OFDLCK ADVISORY  READ -1 FILE 0 EOF");
  constexpr std::uint64_t kOfdSetWait = F_OFD_SETLKW;
  request(F_WRLCK, 0, 0);
  EXPECT_EQ(lock(SYS_fcntl, {3, kOfdSetWait, 0x1000}).owners, (std::vector{Pid{60}, Pid{61}}));
  same_file_ = {60, 8, 42, 3};  // inherited from there
  EXPECT_EQ(lock(SYS_fcntl, {3, kOfdSetWait, 0x1000}).owners, std::vector{Pid{61}});
  // For a lock of the process that of an open file is another's, be it the same one.
  EXPECT_EQ(lock(SYS_fcntl, {3, kSetWait, 0x1000}).owners, (std::vector{Pid{60}, Pid{61}}));
  // Its own descriptor, and another file of its own.
  proc_.add_fd(42, 42, 3, proc_.root() + "/file", O_RDWR,
               replaced("lock:\t1: OFDLCK ADVISORY  READ -1 FILE 0 EOF\n"));
  same_file_ = {};
  EXPECT_EQ(lock(SYS_fcntl, {3, kOfdSetWait, 0x1000}).owners, (std::vector{Pid{60}, Pid{61}}));
  proc_.add_fd(42, 42, 4, proc_.root() + "/file", O_RDWR,
               replaced("lock:\t1: OFDLCK ADVISORY  READ -1 FILE 0 EOF\n"));
  EXPECT_EQ(lock(SYS_fcntl, {3, kOfdSetWait, 0x1000}).owners,
            (std::vector{Pid{42}, Pid{60}, Pid{61}}));
  holds(62, "FLOCK  ADVISORY  READ 62 FILE 0 EOF");
  EXPECT_EQ(lock(SYS_flock, {3, LOCK_EX}).owners, std::vector{Pid{62}});
  same_file_ = {62, 8, 42, 3};
  EXPECT_TRUE(lock(SYS_flock, {3, LOCK_EX}).owners.empty());
}

TEST_F(WaitLockTest, AHolderWhoseDescriptorsAreHiddenIsInTheLockTable) {
  proc_.write("locks", replaced("1: POSIX  ADVISORY  WRITE 77 FILE 0 EOF\n") +
                           replaced("1: -> POSIX  ADVISORY  WRITE 42 FILE 0 EOF\n"));
  request(F_WRLCK, 0, 0);
  EXPECT_EQ(lock(SYS_fcntl, {3, kSetWait, 0x1000}).owners, std::vector{Pid{77}});
}

TEST_F(WaitReaderTest, SysvAndPosixQueues) {
  struct {
    std::uint16_t number;
    std::int16_t change;
    std::int16_t flags;
  } operation{2, -1, 0};
  remember(0x1000, operation);
  remember(0x2000, std::array<std::int64_t, 2>{9, 0});
  remember(0x3000, std::array<std::int64_t, 2>{5001, 0});
  Wait wait = read(SYS_semtimedop, {33, 0x1000, 1, 0x2000});
  EXPECT_EQ(wait.kind, WaitKind::kSemaphore);
  EXPECT_EQ(all_on<model::OnFd>(wait)[0].resource,
            (model::ResourceId{ResourceKind::kSysvSemaphore, 0, 33, 2}));
  EXPECT_EQ(wait.timeout, base::Nanoseconds{9'000'000'000});
  wait = read(SYS_msgrcv, {44});
  EXPECT_EQ(wait.kind, WaitKind::kMsgQueue);
  EXPECT_EQ(all_on<model::OnFd>(wait)[0].direction, model::FdMode::kRead);
  EXPECT_EQ(all_on<model::OnFd>(read(SYS_msgsnd, {44}))[0].direction, model::FdMode::kWrite);
  has_fd(6, ResourceKind::kMessageQueue, 5);
  wait = read(SYS_mq_timedsend, {6, 0, 0, 0, 0x3000});
  EXPECT_EQ(wait.kind, WaitKind::kMsgQueue);
  EXPECT_EQ(wait.remaining, base::Nanoseconds{1'000'000'000});
  EXPECT_EQ(read(SYS_io_uring_enter, {6}).kind, WaitKind::kIoUring);
}

}  // namespace
}  // namespace stucktrace::engine
