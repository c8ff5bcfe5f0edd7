#include "tracer/kernel/control_group.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <string_view>
#include <utility>

#include "tracer/kernel/cgroup_text.h"
#include "tracer/kernel/pidfd.h"
#include "tracer/kernel/text_scan.h"

namespace stucktrace::kernel {
namespace {

using base::UniqueFd;

constexpr std::string_view kNamePrefix = "stucktrace-run-";
constexpr std::size_t kMaxText = 16U << 20U;
constexpr int kMaxDepth = 64;  // the paths of deeper ones come from nothing sane

UniqueFd open_group(int at, const char* name) {
  return UniqueFd{::openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
}

std::optional<std::string> read_at(int directory, const char* name) {
  const UniqueFd file{::openat(directory, name, O_RDONLY | O_CLOEXEC)};
  if (!file.valid()) return std::nullopt;
  std::string text;
  std::array<char, 4096> chunk{};
  while (text.size() < kMaxText) {
    const ssize_t got = ::read(file.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return text;
}

base::Errno write_at(int directory, const char* name, std::string_view text) {
  const UniqueFd file{::openat(directory, name, O_WRONLY | O_CLOEXEC)};
  if (!file.valid()) return base::Errno::last();
  if (::write(file.get(), text.data(), text.size()) < 0) return base::Errno::last();
  return base::Errno{};
}

std::vector<std::string> groups_below(int directory) {
  std::vector<std::string> names;
  UniqueFd own = open_group(directory, ".");
  DIR* entries = own.valid() ? ::fdopendir(own.get()) : nullptr;
  if (entries == nullptr) return names;
  own.release();  // closedir(3) closes it
  while (const dirent* entry = ::readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(entries);
  return names;
}

void gather_members(int directory, int depth, std::vector<base::Pid>& members) {
  // A threaded group does not tell them: they are those of the one it is a part of.
  for (const base::Pid pid : parse_members(read_at(directory, "cgroup.procs").value_or(""))) {
    members.push_back(pid);
  }
  if (depth == 0) return;
  for (const std::string& name : groups_below(directory)) {
    const UniqueFd below = open_group(directory, name.c_str());
    if (below.valid()) gather_members(below.get(), depth - 1, members);
  }
}

std::vector<base::Pid> members_of(int directory) {
  std::vector<base::Pid> members;
  gather_members(directory, kMaxDepth, members);
  std::ranges::sort(members);
  const auto doubles = std::ranges::unique(members);
  members.erase(doubles.begin(), doubles.end());
  return members;
}

// Those that are empty go.
void remove_below(int directory, int depth) {
  if (depth == 0) return;
  for (const std::string& name : groups_below(directory)) {
    const UniqueFd below = open_group(directory, name.c_str());
    if (below.valid()) remove_below(below.get(), depth - 1);
    ::unlinkat(directory, name.c_str(), AT_REMOVEDIR);
  }
}

bool populated(int directory) {
  const auto events = read_at(directory, "cgroup.events");
  return !events || parse_flat_key(*events, "populated") != 0U;
}

// A member that has just ended, or been moved, may count for a moment more.
void wait_for_emptiness(int directory) {
  constexpr int kLimitMs = 100;
  const UniqueFd events{::openat(directory, "cgroup.events", O_RDONLY | O_CLOEXEC)};
  char seen = 0;
  // Read first: poll(2) tells of changes since.
  if (!events.valid() || ::read(events.get(), &seen, 1) < 0 || !populated(directory)) return;
  pollfd change{.fd = events.get(), .events = POLLPRI, .revents = 0};
  ::poll(&change, 1, kLimitMs);
}

bool has_name_of_ours(std::string_view name) {
  if (!name.starts_with(kNamePrefix)) return false;
  name.remove_prefix(kNamePrefix.size());
  const std::string_view number = take_until(name, '.');
  return to_number<unsigned>(number) && (name.empty() || to_number<unsigned>(name));
}

// Their makers were killed: whoever holds the lock is alive.
void remove_stale(int home) {
  for (const std::string& name : groups_below(home)) {
    if (!has_name_of_ours(name)) continue;
    const UniqueFd group = open_group(home, name.c_str());
    if (!group.valid() || ::flock(group.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (populated(group.get())) continue;
    remove_below(group.get(), kMaxDepth);
    ::unlinkat(home, name.c_str(), AT_REMOVEDIR);
  }
}

// Runtimes and libraries read what their own group is allowed, and not all of them look above it.
std::optional<std::string> what_members_would_miss(int home) {
  for (const char* name : {"memory.max", "memory.high", "cpu.max"}) {
    const auto text = read_at(home, name);
    if (text && !text->starts_with("max")) return fmt::format("{} is set in our own group", name);
  }
  // Only there may a group with processes hand on controllers: whoever is in it may want to, and a
  // group below would get a share of its own.
  if (::faccessat(home, "cgroup.type", F_OK, 0) == 0) return std::nullopt;
  const std::string controllers = read_at(home, "cgroup.controllers").value_or("");
  std::string_view words = controllers;
  for (std::string_view word = take_word(words); !word.empty(); word = take_word(words)) {
    constexpr std::string_view kSharing[] = {"cpu", "cpuset", "io", "memory", "pids"};
    if (std::ranges::find(kSharing, word) == std::end(kSharing)) continue;
    return fmt::format("we are in the root group, with controller {}", word);
  }
  return std::nullopt;
}

base::Failure unsupported(std::string why) {
  return base::Failure{base::Error{base::ErrorKind::kUnsupported, std::move(why), {}, {}, ""}};
}

struct Home {
  UniqueFd directory;
  std::string path;
};

// Of the mounts there may be, the one where we are found.
std::optional<Home> find_home(const Procfs& procfs) {
  const auto own = procfs.text("self/cgroup");
  const auto mounts = procfs.text("self/mountinfo", kMaxText);
  const auto group = own ? parse_cgroup(*own) : std::nullopt;
  if (!group || !mounts) return std::nullopt;
  for (std::string& path : group_directories(*mounts, *group)) {
    UniqueFd directory = open_group(AT_FDCWD, path.c_str());
    if (!directory.valid()) continue;
    const auto members = parse_members(read_at(directory.get(), "cgroup.procs").value_or(""));
    if (std::ranges::binary_search(members, base::Pid{::getpid()})) {
      return Home{std::move(directory), std::move(path)};
    }
  }
  return std::nullopt;
}

}  // namespace

base::Result<std::unique_ptr<ControlGroup>> ControlGroup::make(const Procfs& procfs) {
  auto home = find_home(procfs);
  if (!home) return unsupported("no hierarchy of version 2 shows our own control group");
  if (auto missed = what_members_would_miss(home->directory.get())) return unsupported(*missed);
  remove_stale(home->directory.get());
  // Another pid namespace may have the same number.
  constexpr int kNames = 16;
  for (int number = 0; number < kNames; ++number) {
    std::string name = fmt::format("{}{}", kNamePrefix, ::getpid());
    if (number != 0) name += fmt::format(".{}", number);
    const std::string path = home->path + "/" + name;
    if (::mkdirat(home->directory.get(), name.c_str(), 0755) != 0) {
      const base::Errno code = base::Errno::last();
      if (code == base::Errno{EEXIST}) continue;
      return base::system_error("making control group " + path, code);
    }
    UniqueFd directory = open_group(home->directory.get(), name.c_str());
    if (!directory.valid() || ::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
      const base::Errno code = base::Errno::last();
      ::unlinkat(home->directory.get(), name.c_str(), AT_REMOVEDIR);
      return base::system_error("locking control group " + path, code);
    }
    return std::unique_ptr<ControlGroup>{
        new ControlGroup{std::move(home->directory), std::move(directory), std::move(name), path}};
  }
  return unsupported("no name is free for a control group");
}

ControlGroup::ControlGroup(UniqueFd home, UniqueFd directory, std::string name, std::string path)
    : home_(std::move(home)),
      directory_(std::move(directory)),
      name_(std::move(name)),
      path_(std::move(path)) {}

ControlGroup::~ControlGroup() {
  static_cast<void>(remove());
}

base::Result<void> ControlGroup::add(base::Pid pid) const {
  const base::Errno code = write_at(directory_.get(), "cgroup.procs", fmt::format("{}", pid));
  if (code != base::Errno{}) return base::system_error("joining control group " + path_, code);
  return {};
}

std::vector<base::Pid> ControlGroup::members() const {
  return members_of(directory_.get());
}

void ControlGroup::signal(int signo, const std::vector<base::Pid>& others) const {
  struct Target {
    base::Pid pid;
    UniqueFd handle;
  };
  std::vector<Target> targets;
  for (const base::Pid pid : members()) {
    if (std::ranges::binary_search(others, pid) || pid == base::Pid{::getpid()}) continue;
    if (auto handle = open_pidfd(pid)) targets.push_back({pid, std::move(*handle)});
  }
  // A handle may be one of a later process of this number, outside. If it still is in use when the
  // number is found here once more, it was all the time.
  const std::vector<base::Pid> again = members();
  for (const Target& target : targets) {
    if (!std::ranges::binary_search(again, target.pid)) continue;
    ::syscall(SYS_pidfd_send_signal, target.handle.get(), signo, nullptr, 0U);
    if (signo == SIGKILL) continue;
    ::syscall(SYS_pidfd_send_signal, target.handle.get(), SIGCONT, nullptr, 0U);
  }
}

void ControlGroup::kill() const {
  // Whoever is root may have moved us into it.
  const bool with_us = std::ranges::binary_search(members(), base::Pid{::getpid()});
  if (!with_us && write_at(directory_.get(), "cgroup.kill", "1") == base::Errno{}) return;
  signal(SIGKILL, {});  // Linux before 5.14
}

base::Result<void> ControlGroup::remove() {
  if (std::exchange(removed_, true)) return {};
  constexpr int kTries = 20;
  for (int tries = 0; tries < kTries; ++tries) {
    const std::vector<base::Pid> left = members();
    if (left.empty()) {
      remove_below(directory_.get(), kMaxDepth);
    } else if (!groups_below(directory_.get()).empty()) {
      return unsupported(fmt::format(
          "control group {} stays: what lives in it has made groups of its own", path_));
    }
    for (const base::Pid pid : left) write_at(home_.get(), "cgroup.procs", fmt::format("{}", pid));
    if (::unlinkat(home_.get(), name_.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    wait_for_emptiness(directory_.get());
  }
  return base::system_error("removing control group " + path_, base::Errno{EBUSY});
}

}  // namespace stucktrace::kernel
