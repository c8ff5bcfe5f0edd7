#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

#include "tracer/base/errno.h"
#include "tracer/base/ids.h"

namespace stucktrace::base {

enum class ErrorKind : std::uint8_t {
  kGone,         // the task or file vanished meanwhile: ordinary, never alarming
  kDenied,       // the kernel said no: EPERM, EACCES
  kUnsupported,  // this kernel or this target cannot do it
  kMalformed,    // input that does not follow its format
  kSystem,       // any other failed system call
  kUsage,        // the caller's words are off
};

// Why something could not be had. `operation` names what was tried, for people.
struct Error {
  ErrorKind kind = ErrorKind::kSystem;
  std::string operation;
  Errno code;        // 0 where no system call failed
  Tid tid;           // 0 where no task is concerned
  std::string hint;  // the way out, "" if none is known

  // One line: "operation: Description (ENAME)", with the hint after it where there is one.
  std::string message() const;
};

template <class T>
using Result = std::expected<T, Error>;
using Failure = std::unexpected<Error>;

// Classifies by errno: ESRCH, ENOENT -> kGone; EPERM, EACCES -> kDenied; ENOSYS, EOPNOTSUPP ->
// kUnsupported; else kSystem.
Failure system_error(std::string operation, Errno code, Tid tid = Tid{});
Failure malformed(std::string what);
Failure usage_error(std::string what, std::string hint = {});

}  // namespace stucktrace::base
