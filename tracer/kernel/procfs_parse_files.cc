// The descriptor, lock and mapping side of procfs_parse.h.

#include "tracer/kernel/procfs_parse.h"
#include "tracer/kernel/text_scan.h"

namespace stucktrace::kernel {
namespace {

using model::ResourceId;
using model::ResourceKind;

// "ID: [->] TYPE STATE MODE PID MAJ:MIN:INO START END", as in /proc/locks and after "lock:".
std::optional<FdInfo::Lock> parse_lock_line(std::string_view line) {
  FdInfo::Lock lock;
  std::string_view id = take_word(line);
  if (!id.ends_with(':')) return std::nullopt;
  id.remove_suffix(1);
  const auto number = to_number<std::uint64_t>(id);
  if (!number) return std::nullopt;
  lock.id = *number;
  std::string_view word = take_word(line);
  if (word == "->") {
    lock.waiting = true;
    word = take_word(line);
  }
  lock.type = std::string{word};
  take_word(line);  // ADVISORY, MANDATORY, ACTIVE, BREAKING
  lock.mode = std::string{take_word(line)};
  if (lock.mode.empty() || !take_number(line, lock.pid)) return std::nullopt;
  std::string_view file = take_word(line);
  const auto major = to_number<std::uint64_t>(take_until(file, ':'), 16);
  const auto minor = to_number<std::uint64_t>(take_until(file, ':'), 16);
  const auto inode = to_number<std::uint64_t>(file);
  if (!major || !minor || !inode) return std::nullopt;
  lock.device_major = *major;
  lock.device_minor = *minor;
  lock.inode = *inode;
  if (!take_number(line, lock.start)) return std::nullopt;
  const std::string_view end = take_word(line);
  if (end != "EOF") {
    lock.end = to_number<std::uint64_t>(end);
    if (!lock.end) return std::nullopt;
  }
  return lock;
}

// "tfd: N events: HEX data: HEX  pos:N ino:HEX sdev:HEX" without its "tfd:".
std::optional<FdInfo::EpollTarget> parse_epoll_line(std::string_view line) {
  FdInfo::EpollTarget target;
  if (!take_number(line, target.fd)) return std::nullopt;
  if (take_word(line) != "events:" || !take_number(line, target.events, 16)) return std::nullopt;
  if (take_word(line) != "data:" || !take_number(line, target.data, 16)) return std::nullopt;
  for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
    const std::string_view key = take_until(word, ':');
    const auto value = to_number<std::uint64_t>(word, 16);
    if (key == "ino" && value) target.inode = *value;
    if (key == "sdev" && value) target.device = *value;
  }
  return target;
}

// "(SECONDS, NANOSECONDS)".
std::optional<std::uint64_t> parse_itimer(std::string_view text) {
  constexpr std::uint64_t kPerSecond = 1'000'000'000;
  std::string_view seconds_text = take_until(text, ',');
  const std::size_t open = seconds_text.find('(');
  if (open == std::string_view::npos) return std::nullopt;
  const auto seconds = to_number<std::uint64_t>(seconds_text.substr(open + 1));
  std::string_view word = take_word(text);
  if (word.ends_with(')')) word.remove_suffix(1);
  const auto nanoseconds = to_number<std::uint64_t>(word);
  if (!seconds || !nanoseconds || *nanoseconds >= kPerSecond) return std::nullopt;
  // A value past the range of the type means "practically never".
  if (*seconds > UINT64_MAX / kPerSecond - 1) return UINT64_MAX;
  return *seconds * kPerSecond + *nanoseconds;
}

std::optional<std::uint64_t> word_number(std::string_view text, int base = 10) {
  std::uint64_t value = 0;
  if (!take_number(text, value, base)) return std::nullopt;
  return value;
}

std::optional<std::int32_t> word_int(std::string_view text) {
  std::int32_t value = 0;
  if (!take_number(text, value)) return std::nullopt;
  return value;
}

void parse_fdinfo_line(std::string_view key, std::string_view value, FdInfo& info) {
  if (key == "pos") {
    info.position = word_number(value).value_or(0);
  } else if (key == "flags") {
    take_number(value, info.flags, 8);
  } else if (key == "ino") {
    info.inode = word_number(value);
  } else if (key == "tfd") {
    if (auto target = parse_epoll_line(value)) info.epoll.push_back(*target);
  } else if (key == "Pid") {
    info.pidfd_pid = word_int(value);
  } else if (key == "eventfd-count") {
    info.eventfd_count = word_number(value, 16);
  } else if (key == "eventfd-id") {
    info.eventfd_id = word_number(value);
  } else if (key == "it_value") {
    info.timerfd_value_ns = parse_itimer(value);
  } else if (key == "it_interval") {
    info.timerfd_interval_ns = parse_itimer(value);
  } else if (key == "sigmask") {
    info.signal_mask = word_number(value, 16);
  } else if (key == "tty-index") {
    info.tty_index = word_int(value);
  } else if (key == "scm_fds") {
    info.unreceived_fds = word_number(value);
  } else if (key == "UserFiles") {
    info.registered_files = word_number(value);
  } else if (key == "lock") {
    if (auto lock = parse_lock_line(value)) info.locks.push_back(std::move(*lock));
  }
}

// seq_path() writes a newline in a path as \012 and leaves every other byte alone.
std::string undo_newline_escape(std::string_view path) {
  constexpr std::string_view kEscape = "\\012";
  std::string result;
  while (true) {
    const std::size_t at = path.find(kEscape);
    result += path.substr(0, at);
    if (at == std::string_view::npos) return result;
    result += '\n';
    path.remove_prefix(at + kEscape.size());
  }
}

std::optional<MapEntry> parse_map_line(std::string_view line) {
  MapEntry entry;
  std::string_view range = take_word(line);
  const auto start = to_number<std::uint64_t>(take_until(range, '-'), 16);
  const auto end = to_number<std::uint64_t>(range, 16);
  const std::string_view permissions = take_word(line);
  if (!start || !end || *end < *start || permissions.size() != 4) return std::nullopt;
  entry.start = *start;
  entry.end = *end;
  entry.readable = permissions[0] == 'r';
  entry.writable = permissions[1] == 'w';
  entry.executable = permissions[2] == 'x';
  entry.shared = permissions[3] == 's';
  if (!take_number(line, entry.offset, 16)) return std::nullopt;
  std::string_view device = take_word(line);
  const auto major = to_number<std::uint32_t>(take_until(device, ':'), 16);
  const auto minor = to_number<std::uint32_t>(device, 16);
  if (!major || !minor || !take_number(line, entry.inode)) return std::nullopt;
  entry.device_major = *major;
  entry.device_minor = *minor;
  const std::size_t path = line.find_first_not_of(' ');
  if (path != std::string_view::npos) entry.path = undo_newline_escape(line.substr(path));
  return entry;
}

ResourceKind anon_kind(std::string_view name) {
  if (name == "[eventfd]") return ResourceKind::kEventFd;
  if (name == "[eventpoll]") return ResourceKind::kEpoll;
  if (name == "[timerfd]") return ResourceKind::kTimerFd;
  if (name == "[signalfd]") return ResourceKind::kSignalFd;
  if (name == "[pidfd]") return ResourceKind::kPidFd;
  if (name == "[io_uring]") return ResourceKind::kIoUring;
  if (name == "inotify") return ResourceKind::kInotify;
  return ResourceKind::kOtherAnon;
}

// "PREFIX:[NUMBER]" -> NUMBER.
std::optional<std::uint64_t> bracketed(std::string_view link, std::string_view prefix) {
  if (!link.starts_with(prefix) || !link.ends_with(']')) return std::nullopt;
  link.remove_prefix(prefix.size());
  link.remove_suffix(1);
  return to_number<std::uint64_t>(link);
}

}  // namespace

FdInfo parse_fdinfo(std::string_view text) {
  FdInfo info;
  bool in_files = false;  // numbered lines follow "UserFiles:", and other lists of an io_uring
  while (!text.empty()) {
    std::string_view line = take_line(text);
    const std::string_view key = take_until(line, ':');
    if (key.starts_with(' ')) {
      if (in_files) info.registered_links.emplace_back(take_word(line));
      continue;
    }
    in_files = key == "UserFiles";
    parse_fdinfo_line(key, line, info);
  }
  return info;
}

std::vector<FdInfo::Lock> parse_locks(std::string_view text) {
  std::vector<FdInfo::Lock> locks;
  while (!text.empty()) {
    if (auto lock = parse_lock_line(take_line(text))) locks.push_back(std::move(*lock));
  }
  return locks;
}

std::vector<MapEntry> parse_maps(std::string_view text) {
  std::vector<MapEntry> entries;
  while (!text.empty()) {
    if (auto entry = parse_map_line(take_line(text))) entries.push_back(std::move(*entry));
  }
  return entries;
}

ResourceId parse_fd_link(std::string_view link) {
  // Objects without a path never begin with a slash, so no file name can pass for one.
  if (const auto inode = bracketed(link, "pipe:[")) return {ResourceKind::kPipe, 0, *inode, 0};
  if (const auto inode = bracketed(link, "socket:[")) {
    return {ResourceKind::kOtherSocket, 0, *inode, 0};
  }
  if (const auto inode = bracketed(link, "pidfd:[")) return {ResourceKind::kPidFd, 0, *inode, 0};
  constexpr std::string_view kAnon = "anon_inode:";
  if (link.starts_with(kAnon)) return {anon_kind(link.substr(kAnon.size())), 0, 0, 0};
  if (!link.starts_with('/') && !link.starts_with('(') && link.ends_with(']')) {
    const std::size_t colon = link.find(":[");  // namespaces: "net:[4026531840]"
    if (colon != std::string_view::npos) {
      if (const auto inode = bracketed(link, link.substr(0, colon + 2))) {
        return {ResourceKind::kOtherAnon, 0, *inode, 0};
      }
    }
  }
  return {};
}

}  // namespace stucktrace::kernel
