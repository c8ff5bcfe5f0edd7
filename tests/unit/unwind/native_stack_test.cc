#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "tests/unit/unwind/native_support.h"
#include "tracer/unwind/native_capture.h"
#include "tracer/unwind/stacks.h"

namespace {

// Functions whose names the tests look for. Each does something after its call, so that no
// optimiser turns the call into a jump.
extern "C" {

[[gnu::noinline]] long native_block_in_read(int fd) {
  char byte = 0;
  const long result = ::read(fd, &byte, 1);
  asm volatile("" ::: "memory");
  return result;
}
[[gnu::noinline]] long native_read_middle(int fd) {
  volatile char space[100];
  space[0] = 1;
  const long result = native_block_in_read(fd);
  asm volatile("" ::: "memory");
  return result + space[0];
}
[[gnu::noinline]] long native_read_outer(int fd) {
  const long result = native_read_middle(fd);
  asm volatile("" ::: "memory");
  return result;
}

[[gnu::noinline]] long native_block_in_poll(int fd) {
  pollfd one{fd, POLLIN, 0};
  const long result = ::poll(&one, 1, -1);
  asm volatile("" ::: "memory");
  return result;
}
[[gnu::noinline]] long native_poll_outer(int fd) {
  const long result = native_block_in_poll(fd);
  asm volatile("" ::: "memory");
  return result;
}

[[gnu::noinline]] long native_block_in_futex(std::uint32_t* word) {
  const long result = ::syscall(SYS_futex, word, FUTEX_WAIT, 0, nullptr, nullptr, 0);
  asm volatile("" ::: "memory");
  return result;
}
[[gnu::noinline]] long native_futex_outer(std::uint32_t* word) {
  const long result = native_block_in_futex(word);
  asm volatile("" ::: "memory");
  return result;
}

// One frame of at least 4 KiB, and a small one.
[[gnu::noinline]] long native_recurse_wide(int depth, int fd) {
  volatile char space[4096];
  space[0] = static_cast<char>(depth);
  const long result = depth == 0 ? native_block_in_read(fd) : native_recurse_wide(depth - 1, fd);
  asm volatile("" ::: "memory");
  return result + space[0];
}
[[gnu::noinline]] long native_recurse(int depth, int fd) {
  volatile char space[16];
  space[0] = static_cast<char>(depth);
  const long result = depth == 0 ? native_block_in_read(fd) : native_recurse(depth - 1, fd);
  asm volatile("" ::: "memory");
  return result + space[0];
}
// Its frame is as large as the caller wants, so its frame pointer is nowhere in the code.
[[gnu::noinline]] long native_grown(int depth, int fd, std::size_t size) {
  volatile char* more = static_cast<volatile char*>(__builtin_alloca(size));
  more[0] = 0;
  const long result = depth == 0 ? native_block_in_read(fd) : native_grown(depth - 1, fd, size);
  asm volatile("" ::: "memory");
  return result + more[0];
}

int g_handler_fd = -1;  // exit and signal handlers take no argument
void native_exit_handler() {
  native_block_in_read(g_handler_fd);
  asm volatile("" ::: "memory");
}
void native_signal_handler(int) {
  native_block_in_read(g_handler_fd);
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] void native_interrupted() {
  ::raise(SIGUSR1);
  asm volatile("" ::: "memory");
}

}  // extern "C"

}  // namespace

namespace stucktrace::unwind::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A child with three threads in read, poll and futex.
Child three_threads(const Pipe& never) {
  return Child::fork_with([&] {
    std::thread reader([&] { native_read_outer(never.read.get()); });
    std::thread poller([&] { native_poll_outer(never.read.get()); });
    static std::uint32_t word = 0;
    native_futex_outer(&word);
  });
}

// Waits until each thread sleeps; call number -> tid.
std::map<long, pid_t> settle(pid_t pid, const std::vector<long>& numbers) {
  std::map<long, pid_t> result;
  eventually([&] {
    result.clear();
    for (const pid_t tid : tasks(pid)) {
      const std::string line =
          slurp("/proc/" + std::to_string(pid) + "/task/" + std::to_string(tid) + "/syscall");
      for (const long number : numbers) {
        if (line.starts_with(std::to_string(number) + " ")) result[number] = tid;
      }
    }
    return result.size() == numbers.size();
  });
  return result;
}

TEST(NativeStack, NamesEveryFunctionOfEachBlockedThread) {
  STUCKTRACE_NEEDS_PLAIN_FRAMES();
  const Pipe never;
  const Child child = three_threads(never);
  auto threads = settle(child.pid(), {SYS_read, SYS_poll, SYS_futex});
  ASSERT_EQ(threads.size(), 3U);
  NativeStacks stacks{base::Pid{child.pid()}};

  const StackResult read = stacks.stack(base::Tid{threads[SYS_read]});
  EXPECT_EQ(read.note, "") << describe(read);
  EXPECT_TRUE(has_run(read, {"native_block_in_read", "native_read_middle", "native_read_outer"}))
      << describe(read);

  const StackResult poll = stacks.stack(base::Tid{threads[SYS_poll]});
  EXPECT_EQ(poll.note, "") << describe(poll);
  EXPECT_TRUE(has_run(poll, {"native_block_in_poll", "native_poll_outer"})) << describe(poll);

  const StackResult futex = stacks.stack(base::Tid{threads[SYS_futex]});
  EXPECT_EQ(futex.note, "") << describe(futex);
  EXPECT_TRUE(has_run(futex, {"native_block_in_futex", "native_futex_outer"})) << describe(futex);
  EXPECT_THAT(functions(futex), Contains("main"));

  const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
  for (const auto& frame : read.frames) {
    if (frame.function.starts_with("native_")) {
      EXPECT_EQ(frame.module, self);
      EXPECT_GT(frame.offset, 0U);
      EXPECT_LT(frame.offset, 4096U);
    }
  }
}

TEST(NativeStack, NeverTracesTheProcess) {
  const Pipe never;
  const Child child = three_threads(never);
  const auto threads = settle(child.pid(), {SYS_read, SYS_poll, SYS_futex});
  ASSERT_EQ(threads.size(), 3U);
  std::atomic<bool> done = false;
  std::atomic<int> samples = 0, traced = 0;
  std::thread sampler([&] {
    while (!done) {
      for (const auto& [number, tid] : threads) {
        const std::string status = slurp("/proc/" + std::to_string(child.pid()) + "/task/" +
                                         std::to_string(tid) + "/status");
        if (!status.empty() && status.find("\nTracerPid:\t0\n") == std::string::npos) ++traced;
        ++samples;
      }
    }
  });
  eventually([&] { return samples > 0; });
  const int before = samples;
  std::size_t frames = 0;
  eventually([&] {
    for (const auto& [number, tid] : threads) frames += stack_of(child.pid(), tid).frames.size();
    return samples > before + 50;
  });
  done = true;
  sampler.join();
  EXPECT_GT(frames, 0U);
  EXPECT_GT(samples, before + 50);
  EXPECT_EQ(traced, 0);
}

TEST(NativeStack, ShowsTheExitPath) {
  STUCKTRACE_NEEDS_PLAIN_FRAMES();
  const Pipe never;
  const Child child = Child::fork_with([&] {
    g_handler_fd = never.read.get();
    std::atexit(native_exit_handler);
    std::exit(0);
  });
  ASSERT_TRUE(blocks_in(child.pid(), child.pid(), SYS_read));
  const StackResult stack = stack_of(child.pid(), child.pid());
  EXPECT_EQ(stack.note, "") << describe(stack);
  EXPECT_TRUE(has_run(stack, {"native_block_in_read", "native_exit_handler"})) << describe(stack);
  const auto names = functions(stack);
  const auto handler = std::ranges::find(names, "native_exit_handler");
  const auto exit = std::ranges::find(names, "exit");
  ASSERT_NE(exit, names.end()) << describe(stack);
  EXPECT_LT(handler, exit);
  // __run_exit_handlers is a local symbol of the C library: named where its debug file is
  // installed.
  ASSERT_NE(handler + 1, names.end());
  EXPECT_THAT(*(handler + 1), ::testing::AnyOf("__run_exit_handlers", "")) << describe(stack);
}

TEST(NativeStack, CrossesASignalFrame) {
  STUCKTRACE_NEEDS_PLAIN_FRAMES();
  const Pipe never;
  const Child child = Child::fork_with([&] {
    g_handler_fd = never.read.get();
    ::signal(SIGUSR1, native_signal_handler);
    native_interrupted();
  });
  ASSERT_TRUE(blocks_in(child.pid(), child.pid(), SYS_read));
  const StackResult stack = stack_of(child.pid(), child.pid());
  EXPECT_EQ(stack.note, "") << describe(stack);
  EXPECT_TRUE(has_run(stack, {"native_block_in_read", "native_signal_handler"}));
  const auto names = functions(stack);
  EXPECT_LT(std::ranges::find(names, "native_signal_handler"),
            std::ranges::find(names, "native_interrupted"));
  EXPECT_THAT(names, Contains("native_interrupted")) << describe(stack);
}

TEST(NativeStack, GoesBeyondTheCopiedPart) {
  STUCKTRACE_NEEDS_PLAIN_FRAMES();
  const Pipe never;
  // 60 frames of 4 KiB: four times what one copy holds.
  const Child child = Child::fork_with([&] { native_recurse_wide(60, never.read.get()); });
  ASSERT_TRUE(blocks_in(child.pid(), child.pid(), SYS_read));
  const StackResult stack = stack_of(child.pid(), child.pid());
  EXPECT_EQ(stack.note, "") << describe(stack);
  EXPECT_EQ(std::ranges::count(functions(stack), "native_recurse_wide"), 61);
  EXPECT_THAT(functions(stack), Contains("main"));
}

TEST(NativeStack, NeverGuessesWhereAFrameEnds) {
  STUCKTRACE_NEEDS_PLAIN_FRAMES();
  const Pipe never;
  const Child child =
      Child::fork_with([&] { native_grown(5, never.read.get(), std::size_t{300}); });
  ASSERT_TRUE(blocks_in(child.pid(), child.pid(), SYS_read));
  const StackResult stack = stack_of(child.pid(), child.pid());
  EXPECT_TRUE(has_run(stack, {"native_block_in_read", "native_grown"})) << describe(stack);
  const auto grown = std::ranges::count(functions(stack), "native_grown");
  if (stack.note.empty()) {
    // The frames below saved the frame pointer: then nothing may be missing.
    EXPECT_EQ(grown, 6) << describe(stack);
    EXPECT_THAT(functions(stack), Contains("main"));
  } else {
    // Six return addresses look alike; none may be taken for the one.
    EXPECT_EQ(grown, 1) << describe(stack);
    EXPECT_THAT(stack.note, HasSubstr("only known while stopped"));
  }
}

TEST(NativeStack, IsCutWhereItIsVeryDeep) {
  STUCKTRACE_NEEDS_PLAIN_FRAMES();
  const Pipe never;
  const Child child = Child::fork_with([&] { native_recurse(600, never.read.get()); });
  ASSERT_TRUE(blocks_in(child.pid(), child.pid(), SYS_read));
  const StackResult stack = stack_of(child.pid(), child.pid());
  EXPECT_EQ(stack.note, "cut at 256 frames");
  EXPECT_EQ(stack.frames.size(), 256U);
}

TEST(NativeStack, SaysThatARunningThreadHasNone) {
  const Pipe ready;
  const Child child = Child::fork_with([&] {
    if (::write(ready.write.get(), "x", 1) != 1) return;
    for (;;) asm volatile("" ::: "memory");
  });
  char byte = 0;
  ASSERT_EQ(::read(ready.read.get(), &byte, 1), 1);
  // Runnable but preempted shows as "running" too (proc(5)); its write may still be on its way out.
  ASSERT_TRUE(eventually([&] {
    return slurp("/proc/" + std::to_string(child.pid()) + "/syscall").starts_with("running");
  }));
  const StackResult stack = stack_of(child.pid(), child.pid());
  EXPECT_THAT(stack.frames, IsEmpty()) << describe(stack);
  EXPECT_THAT(stack.note, HasSubstr("running"));
}

TEST(NativeStack, SaysThatAVanishedThreadHasEnded) {
  Child child = Child::fork_with([] {});
  const pid_t pid = child.pid();
  child.reap();
  const StackResult stack = stack_of(pid, pid);
  EXPECT_THAT(stack.frames, IsEmpty());
  EXPECT_THAT(stack.note, HasSubstr("ended"));
}

TEST(NativeStack, SaysThatAZombieHasNone) {
  const Child child = Child::fork_with([] {});
  const std::string stat = "/proc/" + std::to_string(child.pid()) + "/stat";
  ASSERT_TRUE(eventually([&] { return slurp(stat).find(") Z ") != std::string::npos; }));
  const StackResult stack = stack_of(child.pid(), child.pid());
  EXPECT_THAT(stack.frames, IsEmpty()) << describe(stack);
  EXPECT_FALSE(stack.note.empty());
}

TEST(NativeStack, WorksWhenTheMainThreadHasEnded) {
  STUCKTRACE_NEEDS_PLAIN_FRAMES();
  const Pipe never;
  const Child child = Child::fork_with([&] {
    std::thread([&] { native_read_outer(never.read.get()); }).detach();
    ::syscall(SYS_exit, 0);  // of this thread alone
  });
  auto threads = settle(child.pid(), {SYS_read});
  ASSERT_EQ(threads.size(), 1U);
  ASSERT_TRUE(eventually([&] {
    return slurp("/proc/" + std::to_string(child.pid()) + "/stat").find(") Z ") !=
           std::string::npos;
  }));
  const StackResult stack = stack_of(child.pid(), threads[SYS_read]);
  EXPECT_EQ(stack.note, "") << describe(stack);
  EXPECT_TRUE(has_run(stack, {"native_block_in_read", "native_read_middle", "native_read_outer"}));
}

TEST(NativeStack, SeesCodeThatCameAfterTheMappingsWereRead) {
  STUCKTRACE_NEEDS_PLAIN_FRAMES();
  // exec replaces all code under a stacks object that has already read the mappings.
  const Pipe never, go;
  const Child child = Child::fork_with([&] {
    ::dup2(never.read.get(), 0);
    native_block_in_read(go.read.get());
    ::execlp("cat", "cat", nullptr);
  });
  ASSERT_TRUE(blocks_in(child.pid(), child.pid(), SYS_read));
  NativeStacks stacks{base::Pid{child.pid()}};
  EXPECT_THAT(functions(stacks.stack(base::Tid{child.pid()})), Contains("native_block_in_read"));
  ASSERT_EQ(::write(go.write.get(), "x", 1), 1);
  ASSERT_TRUE(eventually([&] {
    return slurp("/proc/" + std::to_string(child.pid()) + "/comm") == "cat\n" &&
           slurp("/proc/" + std::to_string(child.pid()) + "/syscall").starts_with("0 0x0 ");
  }));
  const StackResult after = stacks.stack(base::Tid{child.pid()});
  EXPECT_EQ(after.note, "") << describe(after);
  EXPECT_THAT(functions(after), Contains("read"));
  EXPECT_THAT(after.frames.frames().back().module, HasSubstr("/cat")) << describe(after);
}

TEST(NativeStack, AgreesWithEuStack) {
  STUCKTRACE_NEEDS_PLAIN_FRAMES();
  if (!shell("eu-stack --version")) GTEST_SKIP() << "eu-stack is not installed";
  const Pipe never;
  const Child child = three_threads(never);
  const auto threads = settle(child.pid(), {SYS_read, SYS_poll, SYS_futex});
  ASSERT_EQ(threads.size(), 3U);
  const auto text = shell("eu-stack -p " + std::to_string(child.pid()));
  if (!text) GTEST_SKIP() << "eu-stack may not trace here";
  std::map<pid_t, std::vector<std::uint64_t>> theirs;
  std::istringstream lines(*text);
  pid_t tid = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("TID ")) tid = std::stoi(line.substr(4));
    if (line.starts_with("#")) {
      theirs[tid].push_back(std::stoull(line.substr(line.find("0x")), nullptr, 16));
    }
  }
  NativeStacks stacks{base::Pid{child.pid()}};
  for (const auto& [number, thread] : threads) {
    // Being stopped interrupted the call (poll(2) goes on as restart_syscall(2)): it sleeps again.
    StackResult stack;
    ASSERT_TRUE(eventually([&] {
      stack = stacks.stack(base::Tid{thread});
      return !stack.frames.empty();
    })) << stack.note;
    std::vector<std::uint64_t> ours;
    for (const auto& frame : stack.frames) ours.push_back(frame.pc);
    EXPECT_EQ(ours, theirs[thread]) << describe(stack) << *text;
  }
}

TEST(NativeCapture, AMoveIsSeenByTheCountersAlone) {
  StandingPoint first;
  first.syscall_text = "0 0x3 0x1 0x1 0x0 0x0 0x0 0x7ffc00000000 0x7f0000000000\n";
  first.turns = "\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t1\n";
  first.at = model::SyscallLine{};
  StandingPoint second = first;
  EXPECT_TRUE(second.unmoved_since(first));
  second.turns = "\nvoluntary_ctxt_switches:\t6\nnonvoluntary_ctxt_switches:\t1\n";
  EXPECT_FALSE(second.unmoved_since(first));
  second = first;
  second.syscall_text[0] = '1';
  EXPECT_FALSE(second.unmoved_since(first));
  second = first;
  second.at.reset();
  EXPECT_FALSE(second.unmoved_since(first));
  // Without counters nothing is proven.
  first.turns.clear();
  EXPECT_FALSE(first.unmoved_since(first));
}

TEST(NativeCapture, AThreadThatWokeAndBlockedAgainHasMoved) {
  const Pipe wake;
  const Child child = Child::fork_with([&] {
    for (;;) native_block_in_read(wake.read.get());
  });
  ASSERT_TRUE(blocks_in(child.pid(), child.pid(), SYS_read));
  const auto watch = ThreadWatch::open(base::Pid{child.pid()}, base::Tid{child.pid()});
  ASSERT_TRUE(watch);
  const auto before = watch->read();
  ASSERT_TRUE(before && before->at);
  EXPECT_TRUE(watch->read()->unmoved_since(*before));
  ASSERT_EQ(::write(wake.write.get(), "x", 1), 1);
  ASSERT_TRUE(eventually([&] {
    const auto now = watch->read();
    return now && now->at && now->syscall_text == before->syscall_text &&
           now->turns != before->turns;
  }));
  const auto after = watch->read();
  ASSERT_TRUE(after);
  EXPECT_FALSE(after->unmoved_since(*before));
}

}  // namespace
}  // namespace stucktrace::unwind::testing
