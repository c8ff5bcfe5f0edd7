#include "tracer/kernel/filter_listener.h"

#include <gtest/gtest.h>
#include <linux/seccomp.h>

#include <algorithm>

namespace stucktrace::kernel {
namespace {

std::size_t count(const FilterProgram& program, std::uint32_t verdict) {
  return static_cast<std::size_t>(std::ranges::count_if(program, [&](const sock_filter& step) {
    return step.code == (BPF_RET | BPF_K) && step.k == verdict;
  }));
}

// Which calls it picks is what it was (SeccompFilter's tests): only the verdict is another.
TEST(FilterListener, WhatStoppedAsks) {
  const auto filter = build_filter(
      {{syscalls::Sys::write, {{.index = 0, .value = 1}}}, {syscalls::Sys::ptrace, {}}});
  ASSERT_TRUE(filter);
  const FilterProgram asking = asking_listener(*filter);
  ASSERT_EQ(asking.size(), filter->size());
  const std::size_t stops = count(*filter, SECCOMP_RET_TRACE | kFilterMark);
  EXPECT_GT(stops, 0U);
  EXPECT_EQ(count(asking, SECCOMP_RET_USER_NOTIF), stops);
  EXPECT_EQ(count(asking, SECCOMP_RET_TRACE | kFilterMark), 0U);
  EXPECT_EQ(count(asking, SECCOMP_RET_ALLOW), count(*filter, SECCOMP_RET_ALLOW));
  for (std::size_t i = 0; i < asking.size(); ++i) {
    EXPECT_EQ(asking[i].code, (*filter)[i].code);
    EXPECT_EQ(asking[i].jt, (*filter)[i].jt);
    EXPECT_EQ(asking[i].jf, (*filter)[i].jf);
  }
}

TEST(FilterListener, AListenerThatIsNoneHasNothingToPass) {
  EXPECT_FALSE(pass_one(base::UniqueFd{}));
}

}  // namespace
}  // namespace stucktrace::kernel
