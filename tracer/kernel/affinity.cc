#include "tracer/kernel/affinity.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

#include "tracer/base/unique_fd.h"
#include "tracer/kernel/quiet_thread.h"

namespace stucktrace::kernel {
namespace {

// Longer than any line of /proc/PID/stat: 52 numbers and a name.
using StatText = std::array<char, 1536>;

std::string_view read_stat(const char* path, StatText& room) {
  const base::UniqueFd file{::open(path, O_RDONLY | O_CLOEXEC)};
  if (!file.valid()) return {};
  const ssize_t got = ::read(file.get(), room.data(), room.size());
  if (got <= 0) return {};
  const std::string_view text{room.data(), static_cast<std::size_t>(got)};
  // The name may hold anything, blanks and brackets too: what follows starts at the last bracket.
  const std::size_t name_end = text.rfind(')');
  return name_end == std::string_view::npos ? std::string_view{} : text.substr(name_end + 1);
}

// Field `number` of what follows the name, which is field 3 and on (proc(5)).
std::string_view field(std::string_view after_name, int number) {
  constexpr int kFirst = 3;
  for (int at = kFirst; !after_name.empty(); ++at) {
    after_name.remove_prefix(1);  // the blank before it
    const std::size_t end = after_name.find(' ');
    if (at == number) return after_name.substr(0, end);
    if (end == std::string_view::npos) break;
    after_name.remove_prefix(end);
  }
  return {};
}

}  // namespace

CpuSet CpuSet::only(int cpu) {
  CpuSet set;
  CPU_SET(static_cast<std::size_t>(cpu), &set.set_);
  return set;
}

bool CpuSet::contains(int cpu) const {
  return cpu >= 0 && cpu < CPU_SETSIZE && CPU_ISSET(static_cast<std::size_t>(cpu), &set_);
}

CpuSet CpuSet::without(int cpu) const {
  CpuSet rest = *this;
  if (contains(cpu)) CPU_CLR(static_cast<std::size_t>(cpu), &rest.set_);
  return rest.count() > 0 ? rest : *this;
}

base::Result<CpuSet> affinity(base::Tid thread) {
  CpuSet set;
  if (sched_getaffinity(thread.value(), sizeof set.raw(), &set.raw()) != 0) {
    return base::system_error("reading a CPU mask", base::Errno::last(), thread);
  }
  return set;
}

base::Result<void> set_affinity(const CpuSet& cpus, base::Tid thread) {
  if (sched_setaffinity(thread.value(), sizeof cpus.raw(), &cpus.raw()) != 0) {
    return base::system_error("setting a CPU mask", base::Errno::last(), thread);
  }
  return {};
}

base::Result<void> set_sched_class(SchedClass sched_class, base::Tid thread) {
  const sched_param parameters{};
  const int policy = sched_class == SchedClass::kIdle ? SCHED_IDLE : SCHED_OTHER;
  if (sched_setscheduler(thread.value(), policy, &parameters) != 0) {
    return base::system_error("setting a scheduling class", base::Errno::last(), thread);
  }
  return {};
}

namespace {

// From its nice value one down and back again, which takes the right to leave SCHED_IDLE with that
// nice value (kernel/sched/syscalls.c, can_nice) but, unlike that class, always gets a CPU soon.
bool try_nicer() {
  constexpr int kNicest = 19;
  const auto self = static_cast<id_t>(::gettid());
  errno = 0;
  const int nice = ::getpriority(PRIO_PROCESS, self);
  if (errno != 0) return false;
  if (nice == kNicest) {
    return set_sched_class(SchedClass::kIdle).has_value() &&
           set_sched_class(SchedClass::kOther).has_value();
  }
  return ::setpriority(PRIO_PROCESS, self, nice + 1) == 0 &&
         ::setpriority(PRIO_PROCESS, self, nice) == 0;
}

}  // namespace

bool may_leave_idle_class() {
  bool may = false;
  quiet_thread([&may] { may = try_nicer(); }).join();
  return may;
}

std::optional<int> last_cpu(base::Tid task) {
  std::array<char, 32> path{};
  *fmt::format_to_n(path.data(), path.size() - 1, "/proc/{}/stat", task.value()).out = '\0';
  StatText room;
  constexpr int kProcessor = 39;
  const std::string_view text = field(read_stat(path.data(), room), kProcessor);
  int cpu = -1;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), cpu);
  if (parsed.ec != std::errc{} || cpu < 0) return std::nullopt;
  return cpu;
}

std::optional<int> runnable_tasks() {
  const base::UniqueFd file{::open("/proc/loadavg", O_RDONLY | O_CLOEXEC)};
  std::array<char, 128> room{};
  const ssize_t got = file.valid() ? ::read(file.get(), room.data(), room.size()) : -1;
  if (got <= 0) return std::nullopt;
  // "0.20 0.18 0.12 1/80 11206": the fourth word, up to the slash.
  std::string_view text{room.data(), static_cast<std::size_t>(got)};
  for (int word = 0; word < 3; ++word)
    text.remove_prefix(std::min(text.find(' '), text.size() - 1) + 1);
  int running = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), running);
  return parsed.ec == std::errc{} ? std::optional{running} : std::nullopt;
}

char own_thread_state(base::Tid thread) {
  std::array<char, 48> path{};
  *fmt::format_to_n(path.data(), path.size() - 1, "/proc/self/task/{}/stat", thread.value()).out =
      '\0';
  StatText room;
  constexpr int kState = 3;
  const std::string_view state = field(read_stat(path.data(), room), kState);
  return state.empty() ? '\0' : state.front();
}

}  // namespace stucktrace::kernel
