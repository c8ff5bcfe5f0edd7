#include "tracer/cli/command_lookup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "tracer/base/text.h"

namespace stucktrace::cli {
namespace {

base::Errno executable_or_why_not(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return base::Errno::last();
  if (S_ISDIR(status.st_mode)) return base::Errno{EISDIR};
  if (!S_ISREG(status.st_mode)) return base::Errno{EACCES};
  // AT_EACCESS in effect: faccessat with the effective ids, as execve(2) checks.
  if (::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0) return base::Errno::last();
  return base::Errno{};
}

base::Failure denied(const std::string& path, base::Errno why) {
  return base::Failure{{base::ErrorKind::kDenied,
                        fmt::format("cannot execute {}", base::escape_text(path)), why, base::Tid{},
                        why.value() == EACCES ? "is it executable (chmod +x)?" : ""}};
}

base::Failure not_found(const std::string& name) {
  return base::Failure{{base::ErrorKind::kGone,
                        fmt::format("command not found: {}", base::escape_text(name)),
                        base::Errno{}, base::Tid{}, ""}};
}

}  // namespace

base::Result<std::string> find_command(const std::string& name, std::string_view search_path) {
  if (name.empty()) return not_found(name);
  if (name.find('/') != std::string::npos) {
    const base::Errno why = executable_or_why_not(name);
    if (why.value() == 0) return name;
    if (why.value() == ENOENT || why.value() == ENOTDIR) return not_found(name);
    return denied(name, why);
  }
  std::optional<std::string> unusable;
  for (const std::string_view directory : base::split(search_path, ':')) {
    std::string path =
        fmt::format("{}/{}", directory.empty() ? std::string_view{"."} : directory, name);
    const base::Errno why = executable_or_why_not(path);
    if (why.value() == 0) return path;
    if (why.value() == EACCES && !unusable) unusable = path;
  }
  if (unusable) return denied(*unusable, base::Errno{EACCES});
  return not_found(name);
}

}  // namespace stucktrace::cli
