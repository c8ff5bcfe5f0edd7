#include "tracer/kernel/process_work.h"

#include <fmt/format.h>

#include <charconv>
#include <ctime>
#include <string_view>

namespace stucktrace::kernel {

std::optional<ProcessWork> process_work(const Procfs& procfs, base::Pid pid) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid.value(), &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
    return std::nullopt;
  }
  ProcessWork work;
  work.cpu = std::chrono::seconds{time.tv_sec} + base::Nanoseconds{time.tv_nsec};
  const auto text = procfs.text(fmt::format("{}/io", pid), 4096);
  if (!text) return work;
  constexpr std::string_view kField = "wchar: ";
  const std::size_t at = text->find(kField);
  if (at == std::string::npos) return work;
  std::from_chars(text->data() + at + kField.size(), text->data() + text->size(), work.written);
  return work;
}

}  // namespace stucktrace::kernel
