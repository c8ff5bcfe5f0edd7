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
