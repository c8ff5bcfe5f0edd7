#include "tracer/base/errno.h"

#include <cerrno>
#include <cstring>

namespace stucktrace::base {

Errno Errno::last() {
  return Errno{errno};
}

std::string_view Errno::name() const {
  const char* name = strerrorname_np(value_);
  return name == nullptr ? std::string_view{} : std::string_view{name};
}

std::string_view Errno::description() const {
  const char* text = strerrordesc_np(value_);
  return text == nullptr ? std::string_view{"unknown error"} : std::string_view{text};
}

}  // namespace stucktrace::base
