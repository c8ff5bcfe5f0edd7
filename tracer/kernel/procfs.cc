#include "tracer/kernel/procfs.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <memory>

#include "tracer/base/text.h"
#include "tracer/base/unique_fd.h"
#include "tracer/kernel/text_scan.h"

namespace stucktrace::kernel {
namespace {

constexpr std::size_t kSmallFile = 64U << 10U;
constexpr std::size_t kMapsLimit = 32U << 20U;

std::string task_directory(base::Pid pid, std::optional<base::Tid> tid) {
  if (tid) return fmt::format("{}/task/{}", pid, *tid);
  return fmt::format("{}", pid);
}

template <class Id>
base::Result<std::vector<Id>> numbered_entries(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{::opendir(path.c_str()), &::closedir};
  if (!directory) return base::system_error("open " + path, base::Errno::last());
  std::vector<Id> result;
  while (const dirent* entry = ::readdir(directory.get())) {
    const auto number = to_number<typename Id::Representation>(entry->d_name);
    if (number && *number > 0) result.push_back(Id{*number});
  }
  std::sort(result.begin(), result.end());
  return result;
}

// Text, if it could be had, through a pure parser.
template <class Parser>
auto parsed(const base::Result<std::string>& text, Parser parser) {
  using Parsed = decltype(parser(std::string_view{}));
  if constexpr (requires(Parsed value) { value.error(); }) {
    return text ? parser(*text) : Parsed{std::unexpected(text.error())};
  } else {
    using Wrapped = base::Result<Parsed>;
    return text ? Wrapped{parser(*text)} : Wrapped{std::unexpected(text.error())};
  }
}

// How the end of a file shows. A read of a file made of several records may be short without being
// the last.
enum class Ending : std::uint8_t { kEmptyRead, kShortRead };

base::Result<std::string> read_file(const std::string& path, std::size_t limit, Ending ending,
                                    int directory = AT_FDCWD) {
  const base::UniqueFd fd{::openat(directory, path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!fd.valid()) return base::system_error("read " + path, base::Errno::last());
  std::string result;
  std::array<char, 4096> buffer;
  while (result.size() < limit) {
    const std::size_t wanted = std::min(buffer.size(), limit - result.size());
    const ssize_t got = ::read(fd.get(), buffer.data(), wanted);
    if (got < 0) {
      const base::Errno code = base::Errno::last();
      if (code.value() == EINTR) continue;
      return base::system_error("read " + path, code);
    }
    const auto count = static_cast<std::size_t>(got);
    result.append(buffer.data(), count);
    if (count == 0 || (ending == Ending::kShortRead && count < wanted)) break;
  }
  return result;
}

void drop_newline(std::string& text) {
  if (text.ends_with('\n')) text.pop_back();
}

// /proc/TID/syscall does not say which table its number is from. A 32-bit task has its stack below
// 4 GiB; whether it is one is in the ELF class of its program.
// 32-bit programs on this machine; those of an arm machine have no table.
constexpr syscalls::Abi kNarrowAbi =
    syscalls::kNativeAbi == syscalls::Abi::kX86_64 ? syscalls::Abi::kI386 : syscalls::Abi::kUnknown;
constexpr std::int64_t kX32Bit = 0x40000000;  // __X32_SYSCALL_BIT, asm/unistd.h

bool is_32_bit(const Procfs& procfs, base::Pid pid, const model::SyscallLine& line) {
  if (line.stack_pointer > UINT32_MAX || line.program_counter > UINT32_MAX) return false;
  const auto start = procfs.text(fmt::format("{}/exe", pid), EI_NIDENT);
  return start && start->size() == EI_NIDENT && (*start)[EI_CLASS] == ELFCLASS32;
}

}  // namespace

base::Result<std::string> Procfs::text(const std::string& path, std::size_t limit) const {
  return read_file(root_ + "/" + path, limit, Ending::kEmptyRead);
}

// stat, status and their like come out of the kernel in one piece.
base::Result<std::string> Procfs::small_text(const std::string& path) const {
  return read_file(root_ + "/" + path, kSmallFile, Ending::kShortRead);
}

struct Procfs::Tasks {
  base::Pid pid;
  base::UniqueFd directory;
};

Procfs Procfs::near(base::Pid pid) const {
  Procfs result{root_};
  base::UniqueFd directory{
      ::open(fmt::format("{}/{}/task", root_, pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (directory.valid()) {
    result.near_ = std::make_shared<const Tasks>(Tasks{pid, std::move(directory)});
  }
  return result;
}

base::Result<std::string> Procfs::task_text(base::Pid pid, std::optional<base::Tid> tid,
                                            std::string_view name) const {
  const auto from_root = [&] { return fmt::format("{}/{}", task_directory(pid, tid), name); };
  if (!tid || !near_ || near_->pid != pid) return small_text(from_root());
  auto text = read_file(fmt::format("{}/{}", *tid, name), kSmallFile, Ending::kShortRead,
                        near_->directory.get());
  if (!text) text.error().operation = "read " + root_ + "/" + from_root();
  return text;
}

base::Result<std::string> Procfs::link(const std::string& path) const {
  const std::string full = root_ + "/" + path;
  std::array<char, PATH_MAX> buffer;
  const ssize_t got = ::readlink(full.c_str(), buffer.data(), buffer.size());
  if (got < 0) return base::system_error("readlink " + full, base::Errno::last());
  return std::string{buffer.data(), static_cast<std::size_t>(got)};
}

base::Result<TaskStat> Procfs::stat(base::Pid pid, std::optional<base::Tid> tid) const {
  return parsed(task_text(pid, tid, "stat"), parse_stat);
}

base::Result<TaskStatus> Procfs::status(base::Pid pid, std::optional<base::Tid> tid) const {
  return parsed(task_text(pid, tid, "status"), parse_status);
}

base::Result<std::optional<model::SyscallLine>> Procfs::syscall(base::Pid pid,
                                                                base::Tid tid) const {
  auto line = parsed(task_text(pid, tid, "syscall"), parse_syscall);
  if (!line || !*line) return line;
  syscalls::RawCall& call = (*line)->call;
  if (is_32_bit(*this, pid, **line)) {
    call.abi = kNarrowAbi;
  } else if (syscalls::kNativeAbi == syscalls::Abi::kX86_64 && (call.number & kX32Bit) != 0 &&
             call.number > 0) {
    call.abi = syscalls::Abi::kX32;
  }
  return line;
}

base::Result<std::string> Procfs::wchan(base::Pid pid, base::Tid tid) const {
  auto name = task_text(pid, tid, "wchan");
  if (!name) return name;
  drop_newline(*name);
  if (*name == "0") name->clear();
  return name;
}

base::Result<std::string> Procfs::schedule(base::Pid pid, base::Tid tid) const {
  auto counted = task_text(pid, tid, "schedstat");
  if (counted && *counted == "0 0 0\n") counted->clear();
  return counted;
}

base::Result<std::string> Procfs::comm(base::Pid pid, std::optional<base::Tid> tid) const {
  auto name = task_text(pid, tid, "comm");
  if (name) drop_newline(*name);
  return name;
}

base::Result<std::vector<std::string>> Procfs::cmdline(base::Pid pid) const {
  const auto raw = text(fmt::format("{}/cmdline", pid), kSmallFile);
  if (!raw) return std::unexpected(raw.error());
  std::vector<std::string> arguments;
  std::string_view rest = *raw;
  while (!rest.empty()) arguments.emplace_back(take_until(rest, '\0'));
  return arguments;
}

base::Result<std::string> Procfs::exe(base::Pid pid) const {
  return link(fmt::format("{}/exe", pid));
}

base::Result<std::vector<base::Tid>> Procfs::tasks(base::Pid pid) const {
  return numbered_entries<base::Tid>(fmt::format("{}/{}/task", root_, pid));
}

base::Result<std::vector<base::Pid>> Procfs::children(base::Pid pid, base::Tid tid) const {
  const auto raw = text(task_directory(pid, tid) + "/children");
  if (!raw) return std::unexpected(raw.error());
  std::vector<base::Pid> result;
  std::string_view rest = *raw;
  std::int32_t child = 0;
  while (take_number(rest, child)) result.push_back(base::Pid{child});
  std::sort(result.begin(), result.end());
  return result;
}

base::Result<std::vector<base::Pid>> Procfs::processes() const {
  return numbered_entries<base::Pid>(root_);
}

base::Result<FdInfo> Procfs::fdinfo(base::Pid pid, int fd, std::optional<base::Tid> tid) const {
  return parsed(text(fmt::format("{}/fdinfo/{}", task_directory(pid, tid), fd)), parse_fdinfo);
}

base::Result<std::vector<MapEntry>> Procfs::maps(base::Pid pid) const {
  return parsed(text(fmt::format("{}/maps", pid), kMapsLimit), parse_maps);
}

base::Result<std::vector<FdInfo::Lock>> Procfs::locks() const {
  return parsed(text("locks", kMapsLimit), parse_locks);
}

}  // namespace stucktrace::kernel
