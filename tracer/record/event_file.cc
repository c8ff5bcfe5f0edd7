#include "tracer/record/event_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "tracer/base/text.h"

namespace stucktrace::record {
namespace {

base::Failure cannot_read(const std::string& path, base::Errno code) {
  return base::system_error(fmt::format("cannot read recording {}", base::escape_text(path)), code);
}

bool is_regular(const base::UniqueFd& file) {
  struct stat about{};
  return ::fstat(file.get(), &about) == 0 && S_ISREG(about.st_mode);
}

base::Result<void> write_all(const base::UniqueFd& file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    const base::Errno code = base::Errno::last();
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (code != base::Errno{EINTR}) {
      return base::system_error("cannot write to a temporary file", code);
    }
  }
  return {};
}

base::Result<base::UniqueFd> copy_of(const base::UniqueFd& file, const std::string& path) {
  auto copy = unnamed_file();
  if (!copy) return copy;
  std::array<char, std::size_t{64} << 10U> buffer{};
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    const base::Errno code = base::Errno::last();
    if (got == 0) return copy;
    if (got < 0) {
      if (code == base::Errno{EINTR}) continue;
      return cannot_read(path, code);
    }
    const auto done = write_all(*copy, {buffer.data(), static_cast<std::size_t>(got)});
    if (!done) return base::Failure{done.error()};
  }
}

}  // namespace

base::Result<EventFile> EventFile::open(const std::string& path) {
  base::UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)};
  if (!file.valid()) return cannot_read(path, base::Errno::last());
  if (is_regular(file)) return EventFile{path, std::move(file)};
  auto copy = copy_of(file, path);
  if (!copy) return base::Failure{copy.error()};
  return EventFile{path, std::move(*copy)};
}

base::Result<Reader> EventFile::read() const {
  base::UniqueFd file{::fcntl(file_.get(), F_DUPFD_CLOEXEC, 0)};
  if (!file.valid() || ::lseek(file.get(), 0, SEEK_SET) != 0) {
    return cannot_read(path_, base::Errno::last());
  }
  return Reader::start(path_, std::move(file));
}

base::Result<void> EventFile::for_each(const std::function<void(const model::Event&)>& use) const {
  auto reader = read();
  if (!reader) return base::Failure{reader.error()};
  for (;;) {
    const auto event = reader->next();
    if (!event) return base::Failure{event.error()};
    if (!*event) break;
    use(**event);
  }
  if (!reader->cut()) return {};
  return base::malformed(fmt::format("{}: {}", base::escape_text(path_), *reader->cut()));
}

base::Result<base::UniqueFd> unnamed_file() {
  const char* chosen = std::getenv("TMPDIR");
  std::vector<std::string> directories = {"/var/tmp", "/tmp"};
  if (chosen != nullptr && *chosen != '\0') directories = {chosen};
  base::Errno code;
  for (const std::string& directory : directories) {
    std::string path = directory + "/stucktrace.XXXXXX";
    base::UniqueFd file{::mkostemp(path.data(), O_CLOEXEC)};
    code = base::Errno::last();
    if (!file.valid()) continue;
    ::unlink(path.c_str());
    return file;
  }
  return base::system_error(
      fmt::format("cannot make a temporary file in {}", base::escape_text(directories.back())),
      code);
}

}  // namespace stucktrace::record
