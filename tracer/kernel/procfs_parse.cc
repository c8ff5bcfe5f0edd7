#include "tracer/kernel/procfs_parse.h"

#include "tracer/kernel/text_scan.h"

namespace stucktrace::kernel {

base::Result<TaskStat> parse_stat(std::string_view text) {
  TaskStat stat;
  // The name may hold blanks, parentheses and newlines; only numbers follow it, so the last ')' is
  // its end (proc(5)).
  const std::size_t open = text.find(" (");
  const std::size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open + 2) {
    return base::malformed("stat: no command name");
  }
  const auto pid = to_number<std::int32_t>(text.substr(0, open));
  if (!pid || *pid <= 0) return base::malformed("stat: no pid");
  stat.pid = *pid;
  stat.comm = std::string{text.substr(open + 2, close - open - 2)};

  std::string_view rest = text.substr(close + 1);
  const std::string_view state = take_word(rest);
  if (state.size() != 1) return base::malformed("stat: no state");
  stat.state = state.front();
  bool complete = true;
  complete &= take_number(rest, stat.parent);
  complete &= take_number(rest, stat.process_group);
  complete &= take_number(rest, stat.session);
  complete &= take_number(rest, stat.tty);
  complete &= take_number(rest, stat.tty_foreground);
  complete &= take_number(rest, stat.flags);
  for (int skipped = 0; skipped < 4; ++skipped) take_word(rest);  // page faults
  complete &= take_number(rest, stat.user_ticks);
  complete &= take_number(rest, stat.system_ticks);
  for (int skipped = 0; skipped < 4; ++skipped) take_word(rest);  // children's times, priorities
  complete &= take_number(rest, stat.thread_count);
  take_word(rest);  // itrealvalue, always 0
  complete &= take_number(rest, stat.start_time);
  if (!complete) return base::malformed("stat: fields missing");
  for (int skipped = 0; skipped < 16; ++skipped) take_word(rest);  // fields 23 to 38
  take_number(rest, stat.processor);
  return stat;
}

base::Result<TaskStatus> parse_status(std::string_view text) {
  TaskStatus status;
  bool has_tgid = false;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    const std::string_view key = take_until(line, ':');
    if (key == "Tgid") {
      has_tgid = take_number(line, status.tgid) || has_tgid;
    } else if (key == "TracerPid") {
      take_number(line, status.tracer);
    } else if (key == "Uid") {
      take_number(line, status.uid);
    } else if (key == "NSpid") {
      status.ns_pids.clear();
      std::int32_t pid = 0;
      while (take_number(line, pid)) status.ns_pids.push_back(pid);
    } else if (key == "voluntary_ctxt_switches") {
      take_number(line, status.voluntary_switches);
    } else if (key == "nonvoluntary_ctxt_switches") {
      take_number(line, status.involuntary_switches);
    } else if (key == "SigPnd") {
      take_number(line, status.pending, 16);
    } else if (key == "ShdPnd") {
      take_number(line, status.shared_pending, 16);
    } else if (key == "SigBlk") {
      take_number(line, status.sig_blocked, 16);
    } else if (key == "SigIgn") {
      take_number(line, status.sig_ignored, 16);
    } else if (key == "SigCgt") {
      take_number(line, status.sig_caught, 16);
    } else if (key == "CapEff") {
      take_number(line, status.cap_effective, 16);
    } else if (key == "Seccomp") {
      take_number(line, status.seccomp);
    }
  }
  if (!has_tgid) return base::malformed("status: no Tgid line");
  return status;
}

base::Result<std::optional<model::SyscallLine>> parse_syscall(std::string_view text) {
  std::string_view line = take_line(text);
  const std::string_view first = take_word(line);
  if (first == "running") return std::nullopt;
  const auto number = to_number<std::int64_t>(first);
  if (!number) return base::malformed("syscall: no number");
  model::SyscallLine result;
  result.call.number = *number;
  // "-1 SP PC": blocked, but not in a system call.
  if (*number != -1) {
    for (std::uint64_t& argument : result.call.args) {
      if (!take_number(line, argument, 16)) return base::malformed("syscall: arguments missing");
    }
  }
  if (!take_number(line, result.stack_pointer, 16) ||
      !take_number(line, result.program_counter, 16)) {
    return base::malformed("syscall: no stack pointer or program counter");
  }
  return result;
}

}  // namespace stucktrace::kernel
