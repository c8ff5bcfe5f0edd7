#pragma once

#include <gtest/gtest.h>

#include "tests/live/tracee_fixture.h"

namespace stucktrace::test {

// Every mode, for suites that ask of a program only that it cannot tell.
class TransparencyTest : public testing::TestWithParam<Mode> {
 protected:
  // What the program prints and how it ends is what it is without a tracer.
  TracedRun same_as_native(std::vector<std::string> words) {
    words[0] = target_path(words[0]);
    const RunResult native = run_native(words);
    TracedRun traced = run_traced(words, GetParam());
    EXPECT_FALSE(traced.timed_out);
    EXPECT_EQ(traced.status, native.status);
    EXPECT_EQ(traced.output, native.output);
    EXPECT_NE(native.output.find("ready\n"), std::string::npos);
    EXPECT_GT(native.output.size(), std::string_view{"ready\n"}.size()) << "it says something";
    return traced;
  }
};

inline std::string mode_name(const testing::TestParamInfo<Mode>& mode) {
  return name_of(mode.param);
}

}  // namespace stucktrace::test
