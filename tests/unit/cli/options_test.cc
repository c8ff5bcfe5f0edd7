#include "tracer/cli/options.h"

#include <gtest/gtest.h>

namespace stucktrace::cli {
namespace {

using namespace std::chrono_literals;

TEST(ParseDuration, UnderstandsTheUsualUnits) {
  EXPECT_EQ(parse_duration("1s", "x").value(), 1s);
  EXPECT_EQ(parse_duration("1.5 s", "x").value(), 1500ms);
  EXPECT_EQ(parse_duration("200ms", "x").value(), 200ms);
  EXPECT_EQ(parse_duration("2m", "x").value(), 120s);
  EXPECT_EQ(parse_duration("3", "x").value(), 3s);
}

TEST(ParseDuration, NamesTheOptionAndTheWord) {
  for (const char* text : {"", "s", "soon", "-1s", "nan", "1e300s", "1 fortnight"}) {
    const auto parsed = parse_duration(text, "--settle");
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind, base::ErrorKind::kUsage);
    EXPECT_NE(parsed.error().message().find("--settle"), std::string::npos);
  }
}

TEST(Check, RefusesTimesTooShortToMeanAnything) {
  CommonOptions options;
  options.settle = "1ms";
  EXPECT_FALSE(check(options));
}

TEST(Check, NamesAnUnknownSystemCall) {
  CommonOptions options;
  options.trace_set = "trace=raed";
  const auto settings = check(options);
  ASSERT_FALSE(settings);
  EXPECT_NE(settings.error().message().find("raed"), std::string::npos);
}

TEST(StackCalls, AreASetAndTheWordForBlockedOnes) {
  using syscalls::Sys;
  const auto two = parse_stack_calls("write,futex");
  ASSERT_TRUE(two);
  EXPECT_TRUE(two->calls.contains(Sys::write) && two->calls.contains(Sys::futex));
  EXPECT_FALSE(two->calls.contains(Sys::read) || two->blocked);
  const auto alone = parse_stack_calls("blocked");
  ASSERT_TRUE(alone);
  EXPECT_TRUE(alone->blocked && alone->calls.empty());
  for (const char* text : {"blocked,write", "write, blocked", "trace=write,blocked"}) {
    const auto both = parse_stack_calls(text);
    ASSERT_TRUE(both) << text;
    EXPECT_TRUE(both->blocked && both->calls.contains(Sys::write)) << text;
    EXPECT_FALSE(both->calls.contains(Sys::read)) << text;
  }
  const auto others = parse_stack_calls("blocked,!write");
  ASSERT_TRUE(others);
  EXPECT_TRUE(others->blocked && others->calls.contains(Sys::read));
  EXPECT_FALSE(others->calls.contains(Sys::write));
  EXPECT_TRUE(parse_stack_calls("/^epoll/,%network")->calls.contains(Sys::epoll_wait));
}

TEST(StackCalls, ThatAreNoneAreRefused) {
  for (const char* text : {"", " ", ",", "none", "trace=", "raed", "!all", "!blocked"}) {
    const auto refused = parse_stack_calls(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().kind, base::ErrorKind::kUsage);
    EXPECT_NE(refused.error().message().find("-k"), std::string::npos);
  }
}

TEST(StackCalls, AreKeptApartFromTheCallsToTrace) {
  CommonOptions options;
  options.stacks_at = "blocked,getpid";
  const auto settings = check(options);
  ASSERT_TRUE(settings);
  EXPECT_TRUE(settings->blocked_stacks);
  ASSERT_TRUE(settings->tracer.stacks_at);
  EXPECT_TRUE(settings->tracer.stacks_at->contains(syscalls::Sys::getpid));
  EXPECT_FALSE(settings->chosen_set);
}

TEST(DefaultTraceSet, KeepsWhatADiagnosisNeedsAndNoMore) {
  const syscalls::TraceSet set = default_trace_set();
  for (const syscalls::Sys id : {syscalls::Sys::write, syscalls::Sys::futex, syscalls::Sys::wait4,
                                 syscalls::Sys::clone3, syscalls::Sys::pipe2, syscalls::Sys::kill,
                                 syscalls::Sys::connect, syscalls::Sys::exit_group}) {
    EXPECT_TRUE(set.contains(id));
  }
  for (const syscalls::Sys id :
       {syscalls::Sys::mmap, syscalls::Sys::brk, syscalls::Sys::getpid, syscalls::Sys::newfstatat,
        syscalls::Sys::rt_sigprocmask, syscalls::Sys::lseek}) {
    EXPECT_FALSE(set.contains(id));
  }
}

}  // namespace
}  // namespace stucktrace::cli
