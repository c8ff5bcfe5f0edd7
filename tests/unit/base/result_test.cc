#include "tracer/base/result.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace stucktrace::base {
namespace {

TEST(Error, IsOneLineWithCauseAndWayOut) {
  Error error = system_error("attaching with PTRACE_SEIZE", Errno{EPERM}).error();
  EXPECT_EQ(error.kind, ErrorKind::kDenied);
  EXPECT_EQ(error.message(), "attaching with PTRACE_SEIZE: Operation not permitted (EPERM)");
  error.hint = "run as root";
  EXPECT_EQ(error.message(),
            "attaching with PTRACE_SEIZE: Operation not permitted (EPERM); run as root");
}

TEST(Error, ClassifiesErrno) {
  EXPECT_EQ(system_error("x", Errno{ESRCH}).error().kind, ErrorKind::kGone);
  EXPECT_EQ(system_error("x", Errno{EACCES}).error().kind, ErrorKind::kDenied);
  EXPECT_EQ(system_error("x", Errno{ENOSYS}).error().kind, ErrorKind::kUnsupported);
  EXPECT_EQ(system_error("x", Errno{EIO}).error().kind, ErrorKind::kSystem);
}

TEST(Errno, UnknownNumbersHaveNoName) {
  EXPECT_EQ(Errno{EPIPE}.name(), "EPIPE");
  EXPECT_TRUE(Errno{4000}.name().empty());
}

}  // namespace
}  // namespace stucktrace::base
