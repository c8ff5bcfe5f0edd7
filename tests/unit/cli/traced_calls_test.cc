// What a trace can show, and what of it is lost on the way through a recording.

#include "tracer/cli/traced_calls.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tracer/cli/options.h"

namespace stucktrace::cli {
namespace {

using syscalls::Sys;

TEST(TracedCalls, OfAFilterAreShownInPart) {
  engine::TracerOptions options;
  options.filter = engine::diagnosis_filter();
  const model::TracedCalls traced = traced_calls(options);
  EXPECT_TRUE(traced.looked_up);
  EXPECT_TRUE(shown_calls(traced).contains(Sys::write));
  EXPECT_FALSE(fully_shown_calls(traced).contains(Sys::write));
  EXPECT_TRUE(fully_shown_calls(traced).contains(Sys::connect));
  EXPECT_FALSE(shown_calls(traced).contains(Sys::read));
  // Two rules that the tracer needs for itself show nothing.
  EXPECT_FALSE(shown_calls(traced).contains(Sys::ptrace));
  EXPECT_EQ(std::ranges::count(traced.in_part, "ptrace"), 0);
}

TEST(TracedCalls, OfAChosenSetAreShownAlways) {
  engine::TracerOptions options;
  options.trace = *syscalls::TraceSet::parse("!connect");
  const model::TracedCalls traced = traced_calls(options);
  EXPECT_FALSE(traced.looked_up);
  EXPECT_TRUE(traced.all_but);
  EXPECT_EQ(traced.calls, std::vector<std::string>{"connect"});
  EXPECT_TRUE(fully_shown_calls(traced).contains(Sys::write));
  EXPECT_FALSE(fully_shown_calls(traced).contains(Sys::connect));
  options.filter = engine::filter_for(*syscalls::TraceSet::parse("read,close"));
  EXPECT_EQ(traced_calls(options).calls, (std::vector<std::string>{"close", "read"}));
  EXPECT_TRUE(traced_calls(options).in_part.empty());
}

// Else a run without a filter could not be compared with one that has it.
TEST(TracedCalls, OfADefaultTraceHaveAllOfTheFilter) {
  EXPECT_TRUE(default_trace_set().contains_all(engine::diagnosis_filter().trace));
}

}  // namespace
}  // namespace stucktrace::cli
