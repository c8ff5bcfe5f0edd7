#include "tracer/base/result.h"

#include <cerrno>

namespace stucktrace::base {

std::string Error::message() const {
  std::string text = operation;
  if (code.value() != 0) {
    text += fmt::format(": {}", code.description());
    if (!code.name().empty()) text += fmt::format(" ({})", code.name());
  }
  if (!hint.empty()) text += fmt::format("; {}", hint);
  return text;
}

Failure system_error(std::string operation, Errno code, Tid tid) {
  ErrorKind kind = ErrorKind::kSystem;
  switch (code.value()) {
    case ESRCH:
    case ENOENT:
      kind = ErrorKind::kGone;
      break;
    case EPERM:
    case EACCES:
      kind = ErrorKind::kDenied;
      break;
    case ENOSYS:
    case EOPNOTSUPP:
      kind = ErrorKind::kUnsupported;
      break;
    default:
      break;
  }
  return Failure{Error{kind, std::move(operation), code, tid, {}}};
}

Failure malformed(std::string what) {
  return Failure{Error{ErrorKind::kMalformed, std::move(what), Errno{}, Tid{}, {}}};
}

Failure usage_error(std::string what, std::string hint) {
  return Failure{Error{ErrorKind::kUsage, std::move(what), Errno{}, Tid{}, std::move(hint)}};
}

}  // namespace stucktrace::base
