#include "tracer/model/timeline.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cerrno>
#include <span>
#include <string>

#include "tests/support/event_script.h"

namespace stucktrace::model {
namespace {

using base::Tid;
using test::EventScript;

std::vector<Call> completed(CallPairer& pairer, const EventScript& script) {
  std::vector<Call> calls;
  for (const Event& event : script.events()) {
    if (Call* call = pairer.observe(event)) calls.push_back(std::move(*call));
  }
  return calls;
}

TEST(CallPairer, PairsEnterAndExitAndKeepsBothMemories) {
  CallPairer pairer;
  const auto calls =
      completed(pairer, EventScript{}
                            .enter(1, 10, 10, "read", {3, 0x1000, 5})
                            .enter(2, 10, 11, "write", {4, 0x2000, 2}, {{0x2000, "hi"}})
                            .exit(3, 10, 10, "read", {3, 0x1000, 5}, 5, {{0x1000, "hello"}})
                            .exit(4, 10, 11, "write", {4, 0x2000, 2}, 2));
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].sys(), syscalls::Sys::read);
  EXPECT_EQ(calls[0].start, EventScript::at_ms(1));
  EXPECT_EQ(calls[0].end, EventScript::at_ms(3));
  EXPECT_EQ(calls[0].result->value, 5);
  EXPECT_EQ(calls[0].first_sequence, 1U);
  EXPECT_EQ(calls[0].memory.ranges().size(), 1U);
  EXPECT_EQ(calls[1].tid, Tid{11});
  EXPECT_EQ(calls[1].memory.ranges().size(), 1U);
  EXPECT_TRUE(pairer.open_calls().empty());
}

TEST(CallPairer, OpenCallsAreVisibleAndHandedOutAtTheEndByStart) {
  CallPairer pairer;
  completed(pairer, EventScript{}
                        .enter(5, 10, 10, "read", {3, 0, 5})
                        .enter(2, 10, 12, "pause", {})
                        .enter(4, 10, 11, "pause", {}));
  EXPECT_EQ(pairer.open_call(Tid{10})->sys(), syscalls::Sys::read);
  EXPECT_EQ(pairer.open_call(Tid{13}), nullptr);
  ASSERT_EQ(pairer.open_calls().size(), 3U);
  EXPECT_EQ(pairer.open_calls()[1]->tid, Tid{11});
  const auto rest = pairer.close();
  ASSERT_EQ(rest.size(), 3U);
  EXPECT_EQ(rest[0].tid, Tid{12});
  EXPECT_EQ(rest[1].tid, Tid{11});
  EXPECT_FALSE(rest[0].end);
  EXPECT_TRUE(pairer.close().empty());
}

TEST(CallPairer, LostEnterAndLostExit) {
  CallPairer pairer;
  auto calls = completed(pairer, EventScript{}.exit(3, 10, 10, "close", {3}, 0));
  ASSERT_EQ(calls.size(), 1U);
  EXPECT_EQ(calls[0].start, calls[0].end);
  calls = completed(pairer, EventScript{}
                                .enter(1, 10, 10, "read", {3, 0, 5})
                                .enter(2, 10, 10, "close", {3})
                                .exit(3, 10, 10, "close", {3}, 0));
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].sys(), syscalls::Sys::read);
  EXPECT_FALSE(calls[0].end);
  EXPECT_EQ(calls[1].sys(), syscalls::Sys::close);
  // An exit of another call than the open one: both partners are lost.
  calls = completed(
      pairer, EventScript{}.enter(1, 10, 10, "read", {3, 0, 5}).exit(3, 10, 10, "close", {3}, 0));
  ASSERT_EQ(calls.size(), 1U);
  EXPECT_EQ(calls[0].sys(), syscalls::Sys::close);
  EXPECT_TRUE(pairer.open_calls().empty());
}

TEST(CallPairer, DeathInACallHandsItOutWithoutEnd) {
  CallPairer pairer;
  const auto calls = completed(
      pairer, EventScript{}.enter(1, 10, 10, "exit_group", {0}).add(2, 10, 10, TaskExit{}));
  ASSERT_EQ(calls.size(), 1U);
  EXPECT_FALSE(calls[0].end);
  EXPECT_FALSE(calls[0].result);
}

TEST(CallPairer, NothingOfAFinishedCallStays) {
  CallPairer pairer;
  const auto calls =
      completed(pairer, EventScript{}
                            .call(1, 2, 10, 11, "write", {4, 0x2000, 2}, 2, {{0x2000, "hi"}})
                            .exit(3, 10, 11, "write", {5, 0x2000, 2}, 2)  // its enter was lost
                            .enter(4, 10, 11, "read", {3, 0x1000, 5})
                            .add(5, 10, 11, TaskExit{})
                            .exit(6, 10, 11, "read", {3, 0x1000, 5}, 0));  // a reused tid
  ASSERT_EQ(calls.size(), 4U);
  EXPECT_EQ(calls[0].memory.ranges().size(), 1U);
  EXPECT_TRUE(calls[1].memory.empty());
  EXPECT_EQ(calls[1].first_sequence, 3U);
  EXPECT_EQ(calls[1].raw.args[0], 5U);
  EXPECT_FALSE(calls[2].end);
  EXPECT_EQ(calls[3].start, EventScript::at_ms(6));
  EXPECT_EQ(pairer.open_call(Tid{11}), nullptr);
  EXPECT_TRUE(pairer.open_calls().empty());
  EXPECT_TRUE(pairer.close().empty());
}

TEST(CallPairer, AFinishedCallStaysUntilTheNextEvent) {
  CallPairer pairer;
  const auto events = EventScript{}
                          .enter(1, 10, 11, "write", {4, 0x2000, 2}, {{0x2000, "hi"}})
                          .exit(2, 10, 11, "write", {4, 0x2000, 2}, 2)
                          .enter(3, 10, 11, "read", {3, 0x1000, 5})
                          .add(4, 10, 11, TaskExit{})
                          .events();
  EXPECT_EQ(pairer.observe(events[0]), nullptr);
  const Call* written = pairer.observe(events[1]);
  ASSERT_NE(written, nullptr);
  EXPECT_EQ(pairer.open_call(Tid{11}), nullptr);
  EXPECT_EQ(written->memory.ranges().size(), 1U);
  EXPECT_EQ(pairer.observe(events[2]), nullptr);
  EXPECT_TRUE(pairer.open_call(Tid{11})->memory.empty());
  const Call* last = pairer.observe(events[3]);
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(last->first_sequence, 3U);
  EXPECT_FALSE(last->end);
}

TEST(CallPairer, ExecveOfAnotherThreadEndsUnderTheLeader) {
  CallPairer pairer;
  const auto calls = completed(pairer, EventScript{}
                                           .enter(1, 10, 10, "pause", {})
                                           .enter(1, 10, 12, "pause", {})
                                           .enter(2, 10, 11, "execve", {0, 0, 0})
                                           .add(3, 10, 10, Exec{Tid{11}, "/x", {}, {}})
                                           .exit(4, 10, 10, "execve", {0, 0, 0}, 0));
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].sys(), syscalls::Sys::pause);
  EXPECT_EQ(calls[1].sys(), syscalls::Sys::execve);
  EXPECT_EQ(calls[1].tid, Tid{10});
  EXPECT_EQ(calls[1].start, EventScript::at_ms(2));
  EXPECT_TRUE(pairer.open_calls().empty());
}

// ---- loops ----

Call step(std::string_view name, std::initializer_list<std::uint64_t> args, std::int64_t result,
          double from_ms, double to_ms) {
  Call call;
  call.tid = Tid{10};
  call.raw = test::raw_call(name, args);
  call.result = syscalls::RawResult{result, result < 0};
  call.start = EventScript::at_ms(from_ms);
  call.end = EventScript::at_ms(to_ms);
  return call;
}
Call check(double ms) {
  return step("wait4", {20, 0x7000, WNOHANG, 0}, 0, ms, ms + 1);
}
Call nap(double ms) {
  return step("select", {0, 0, 0, 0, 0x7100}, 0, ms + 1, ms + 50);
}

// "wait4", "2*[wait4 select]"
std::string words(const std::vector<LoopFolder::Item>& items) {
  std::string text;
  const auto name = [](const Call& call) {
    return std::string(syscalls::find_row(call.raw.abi, call.raw.number)->name);
  };
  for (const auto& item : items) {
    if (!text.empty()) text += ' ';
    if (item.call) {
      text += name(*item.call);
    } else {
      text += std::to_string(item.loop->turns) + "*[";
      for (const Call& call : item.loop->body) {
        text += (text.back() == '[' ? "" : " ") + name(call);
      }
      text += "]";
    }
  }
  return text;
}

std::vector<LoopFolder::Item> fold(LoopFolder& folder, std::vector<Call> calls) {
  std::vector<LoopFolder::Item> items;
  for (Call& call : calls)
    std::ranges::move(folder.add(std::move(call)), std::back_inserter(items));
  return items;
}

TEST(LoopFolder, FoldsAPollingWait) {
  LoopFolder folder;
  std::vector<Call> calls = {step("close", {3}, 0, 0, 0)};
  for (int turn = 0; turn < 97; ++turn) {
    calls.push_back(check(turn * 50 + 10));
    calls.push_back(nap(turn * 50 + 10));
  }
  calls.push_back(check(97 * 50 + 10));
  auto items = fold(folder, calls);
  EXPECT_EQ(words(items), "close");
  ASSERT_TRUE(folder.current());
  EXPECT_EQ(folder.current()->turns, 97U);
  // The child is there at last: the loop ends, and what was the begin of one more turn is a call.
  items = folder.add(step("close", {4}, 0, 5000, 5001));
  EXPECT_EQ(words(items), "97*[wait4 select]");
  EXPECT_EQ(items[0].loop->start, EventScript::at_ms(10));
  EXPECT_EQ(items[0].loop->end, EventScript::at_ms(97 * 50 + 10));
  EXPECT_EQ(words(folder.flush()), "wait4 close");
  EXPECT_FALSE(folder.current());
}

TEST(LoopFolder, TheNewestTurnStandsForAll) {
  for (const bool checks : {false, true}) {
    LoopFolder folder;
    for (int turn = 0; turn < 5; ++turn) {
      if (checks) folder.add(check(100 * turn));
      folder.add(nap(100 * turn));
    }
    const auto loop = folder.current();
    ASSERT_TRUE(loop);
    EXPECT_EQ(loop->turns, 5U);
    EXPECT_EQ(loop->body.back().start, nap(400).start);
    EXPECT_EQ(loop->start, checks ? check(0).start : nap(0).start);
    EXPECT_EQ(loop->end, *nap(400).end);
  }
}

TEST(LoopFolder, FewerThanThreeTurnsStayCalls) {
  LoopFolder folder;
  auto items = fold(folder, {check(0), nap(0), check(50), nap(50), step("close", {3}, 0, 99, 99)});
  std::ranges::move(folder.flush(), std::back_inserter(items));
  EXPECT_EQ(words(items), "wait4 select wait4 select close");
}

TEST(LoopFolder, BodiesOfOneToFourCalls) {
  LoopFolder one;
  auto items = fold(one, {nap(0), nap(50), nap(100), nap(150)});
  std::ranges::move(one.flush(), std::back_inserter(items));
  EXPECT_EQ(words(items), "4*[select]");

  const auto four = [](double ms) {
    return std::vector<Call>{step("close", {1}, 0, ms, ms), step("close", {2}, 0, ms, ms),
                             step("close", {3}, 0, ms, ms), step("close", {4}, 0, ms, ms)};
  };
  LoopFolder folder;
  std::vector<Call> calls;
  for (int turn = 0; turn < 5; ++turn) std::ranges::move(four(turn), std::back_inserter(calls));
  items = fold(folder, calls);
  std::ranges::move(folder.flush(), std::back_inserter(items));
  EXPECT_EQ(words(items), "5*[close close close close]");
}

TEST(LoopFolder, ALongerPeriodIsNoLoopAndMemoryStaysBounded) {
  LoopFolder folder;
  std::size_t out = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    out += folder.add(step("close", {i % 5}, 0, 0, 0)).size();
    ASSERT_LE(i + 1 - out, LoopFolder::kMaxBody * LoopFolder::kMinTurns);
  }
  EXPECT_EQ(out + folder.flush().size(), 1000U);
}

TEST(LoopFolder, OutcomeEndsALoop) {
  LoopFolder folder;
  auto items = fold(folder, {check(0), check(1), check(2), check(3),
                             step("wait4", {20, 0x7000, WNOHANG, 0}, 20, 4, 4)});
  std::ranges::move(folder.flush(), std::back_inserter(items));
  EXPECT_EQ(words(items), "4*[wait4] wait4");
}

TEST(LoopFolder, OneLoopAfterAnother) {
  LoopFolder folder;
  std::vector<Call> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(check(i));
  for (int i = 0; i < 5; ++i) calls.push_back(nap(i));
  auto items = fold(folder, calls);
  std::ranges::move(folder.flush(), std::back_inserter(items));
  EXPECT_EQ(words(items), "4*[wait4] 5*[select]");
}

TEST(LoopFolder, SameStepLooksAtMeaning) {
  const Call base = step("write", {4, 0x1000, 100}, 100, 0, 1);
  EXPECT_TRUE(same_step(base, step("write", {4, 0x9000, 7}, 7, 0, 1)));  // other bytes
  EXPECT_FALSE(same_step(base, step("write", {5, 0x1000, 100}, 100, 0, 1)));
  EXPECT_FALSE(same_step(base, step("write", {4, 0x1000, 100}, -EAGAIN, 0, 1)));
  EXPECT_FALSE(
      same_step(step("write", {4, 0, 1}, -EAGAIN, 0, 1), step("write", {4, 0, 1}, -EPIPE, 0, 1)));
  EXPECT_FALSE(same_step(base, step("pwrite64", {4, 0x1000, 100}, 100, 0, 1)));
  EXPECT_TRUE(
      same_step(step("poll", {0x1000, 1, 49}, 0, 0, 1), step("poll", {0x1000, 1, 37}, 0, 0, 1)));
  EXPECT_FALSE(same_step(step("select", {0, 0, 0, 0, 0x7100}, 0, 0, 1),
                         step("select", {0, 0, 0, 0, 0}, 0, 0, 1)));  // with and without a limit
  EXPECT_FALSE(same_step(step("fork", {}, 20, 0, 1), step("fork", {}, 21, 0, 1)));
}

TEST(LoopFolder, SameStepComparesPathsWhereverTheyLie) {
  const auto look = [](std::uint64_t directory, std::uint64_t address, std::string path) {
    Call call = step("newfstatat", {directory, address, 0x7000, 0}, 0, 0, 1);
    path.push_back('\0');
    call.memory.add(base::RemoteAddr{address}, std::as_bytes(std::span{path}));
    return call;
  };
  const std::string deep(80, 'd');  // longer than what is compared first
  EXPECT_TRUE(same_step(look(4, 0x1000, "a/b"), look(4, 0x2000, "a/b")));
  EXPECT_FALSE(same_step(look(4, 0x1000, "a/b"), look(4, 0x2000, "a/bc")));
  EXPECT_FALSE(same_step(look(4, 0x1000, "a/b"), look(4, 0x1000, "a/c")));
  EXPECT_FALSE(same_step(look(4, 0x1000, "a/b"), look(5, 0x1000, "a/b")));
  EXPECT_TRUE(same_step(look(4, 0x1000, deep), look(4, 0x2000, deep)));
  EXPECT_FALSE(same_step(look(4, 0x1000, deep + "1"), look(4, 0x2000, deep + "2")));
  // Of one of them nothing is known: they may be the same.
  EXPECT_TRUE(
      same_step(look(4, 0x1000, "a/b"), step("newfstatat", {4, 0x2000, 0x7000, 0}, 0, 0, 1)));
}

TEST(LoopFolder, ReleasedTurnsAreNotToldTwice) {
  LoopFolder folder;
  fold(folder, {check(0), nap(0)});
  EXPECT_FALSE(folder.repeating());
  EXPECT_EQ(folder.held_since(), EventScript::at_ms(1));
  EXPECT_EQ(words(folder.release()), "wait4 select");
  EXPECT_EQ(words(folder.release()), "");
  EXPECT_FALSE(folder.held_since());
  auto items = fold(folder, {check(50)});
  EXPECT_TRUE(folder.repeating());
  for (int turn = 1; turn < 10; ++turn) {
    std::ranges::move(folder.add(nap(turn * 50)), std::back_inserter(items));
    std::ranges::move(folder.add(check(turn * 50 + 50)), std::back_inserter(items));
  }
  EXPECT_EQ(words(items), "");
  EXPECT_EQ(words(folder.flush()), "9*[wait4 select] wait4");
}

TEST(LoopFolder, ReleaseInTheMiddleOfATurnRotatesTheBody) {
  LoopFolder folder;
  fold(folder, {check(0), nap(0), check(50)});
  EXPECT_EQ(words(folder.release()), "wait4 select wait4");
  auto items = fold(folder, {nap(50), check(100), nap(100), check(150), nap(150)});
  EXPECT_EQ(words(items), "");
  items = folder.flush();
  EXPECT_EQ(words(items), "2*[select wait4] select");
  EXPECT_EQ(items[0].loop->start, EventScript::at_ms(51));
  EXPECT_EQ(items[0].loop->end, EventScript::at_ms(151));
}

TEST(LoopFolder, LoopFoundWhenItsTurnsAreOut) {
  LoopFolder folder;
  for (int i = 0; i < 3; ++i) {
    folder.add(nap(i * 50));
    folder.release();
  }
  // The third made it a loop and was not handed out; a single turn of a loop is a call.
  EXPECT_EQ(words(folder.flush()), "select");
}

TEST(LoopFolder, BodyIsOfTheFirstTurnNotHandedOut) {
  LoopFolder folder;
  fold(folder, {check(0), nap(0), check(50), nap(50), check(100)});
  folder.release();
  fold(folder, {nap(100)});  // half a turn of its own
  EXPECT_EQ(folder.current()->turns, 0U);
  fold(folder, {check(150)});
  EXPECT_EQ(folder.current()->turns, 1U);
  const auto items = folder.flush();
  ASSERT_EQ(words(items), "select wait4");
  EXPECT_EQ(items[0].call->start, EventScript::at_ms(101));
  EXPECT_EQ(items[1].call->start, EventScript::at_ms(150));
}

TEST(CallPairer, GivesACallTheStackOfItsThread) {
  CallPairer pairer;
  const auto calls = completed(pairer, EventScript{}
                                           .stack(0.5, 10, 10, {"nobody is in a call"})
                                           .enter(1, 10, 10, "read", {3, 0x1000, 5})
                                           .enter(1, 10, 11, "read", {3, 0x1000, 5})
                                           .stack(1, 10, 10, {"read", "main"})
                                           .stack(2, 10, 10, {"read", "later"})
                                           .exit(3, 10, 10, "read", {3, 0x1000, 5}, 5)
                                           .exit(4, 10, 11, "read", {3, 0x1000, 5}, 5)
                                           .stack(5, 10, 10, {"too late"})
                                           .call(6, 7, 10, 10, "close", {3}, 0));
  ASSERT_EQ(calls.size(), 3U);
  ASSERT_TRUE(calls[0].stack);
  ASSERT_EQ(calls[0].stack->frames.size(), 2U);
  EXPECT_EQ(calls[0].stack->frames[1].function, "main");
  EXPECT_FALSE(calls[1].stack);
  EXPECT_FALSE(calls[2].stack);
}

TEST(CallPairer, PrefersAStackToTheReasonWhyThereIsNone) {
  CallPairer pairer;
  StackSeen none;
  none.note = "running";
  const auto calls = completed(pairer, EventScript{}
                                           .enter(1, 10, 10, "read", {3, 0x1000, 5})
                                           .add(1, 10, 10, none)
                                           .stack(2, 10, 10, {"read", "main"})
                                           .exit(3, 10, 10, "read", {3, 0x1000, 5}, 5));
  ASSERT_EQ(calls.size(), 1U);
  EXPECT_EQ(calls[0].stack->frames.size(), 2U);
}

TEST(LoopFolder, EqualCallsFromTwoPlacesAreTwoSteps) {
  const auto from = [](const char* function, double ms) {
    CallPairer pairer;
    return completed(pairer, EventScript{}
                                 .enter(ms, 10, 10, "getpid", {})
                                 .stack(ms, 10, 10, {"getpid", function})
                                 .exit(ms + 1, 10, 10, "getpid", {}, 10))
        .front();
  };
  EXPECT_TRUE(same_step(from("here", 1), from("here", 5)));
  EXPECT_FALSE(same_step(from("here", 1), from("there", 5)));
  Call bare = from("here", 1);
  bare.stack = nullptr;
  EXPECT_FALSE(same_step(bare, from("here", 5)));
}

}  // namespace
}  // namespace stucktrace::model
