#include "tracer/kernel/task_times.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>

namespace stucktrace::kernel {

TaskTimes::TaskTimes(base::Tid task)
    : file_(::open(fmt::format("/proc/{}/schedstat", task).c_str(), O_RDONLY | O_CLOEXEC)) {}

std::optional<TaskTimes::Reading> TaskTimes::read() const {
  std::array<char, 96> text{};
  const ssize_t got = file_.valid() ? ::pread(file_.get(), text.data(), text.size(), 0) : -1;
  if (got <= 0) return std::nullopt;
  const char* const end = text.data() + got;
  std::int64_t on_cpu = 0;
  std::int64_t queued = 0;
  const auto first = std::from_chars(text.data(), end, on_cpu);
  if (first.ec != std::errc{} || first.ptr == end) return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, queued);
  if (second.ec != std::errc{} || on_cpu == 0) return std::nullopt;
  return Reading{base::Nanoseconds{on_cpu}, base::Nanoseconds{queued}};
}

}  // namespace stucktrace::kernel
