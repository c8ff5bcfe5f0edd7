#include "tracer/cli/inherited_fds.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <memory>
#include <string_view>
#include <vector>

namespace stucktrace::cli {
namespace {

std::vector<int>& noted() {
  static std::vector<int> fds;
  return fds;
}

int number_in(std::string_view text) {
  int number = -1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool is_named(int fd, int argc, const char* const* argv) {
  constexpr std::string_view kFolder = "/fd/";
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto at = word.find(kFolder);
    if (at != std::string_view::npos && number_in(word.substr(at + kFolder.size())) == fd) {
      return true;
    }
  }
  return false;
}

void leave(int fd) {
  if (::isatty(fd) != 0) return;
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nothing < 0) return;
  ::dup3(nothing, fd, O_CLOEXEC);
  ::close(nothing);
}

}  // namespace

void note_inherited_fds(int argc, const char* const* argv) {
  constexpr auto kClose = [](DIR* folder) { ::closedir(folder); };
  const std::unique_ptr<DIR, decltype(kClose)> folder{::opendir("/proc/self/fd")};
  if (!folder) return;
  while (const dirent* entry = ::readdir(folder.get())) {
    const int fd = number_in(entry->d_name);
    if (fd > STDERR_FILENO && fd != ::dirfd(folder.get()) && !is_named(fd, argc, argv)) {
      noted().push_back(fd);
    }
  }
}

void leave_inherited_fds(bool need_stdout) {
  for (const int fd : noted()) ::close(fd);
  noted().clear();
  leave(STDIN_FILENO);
  if (!need_stdout) leave(STDOUT_FILENO);
}

}  // namespace stucktrace::cli
