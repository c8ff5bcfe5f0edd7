#include "tracer/render/wall_time.h"

#include <fmt/format.h>

#include <chrono>
#include <ctime>

namespace stucktrace::render {

std::string iso_time(base::Nanoseconds wall) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(wall);
  const std::time_t seconds = whole.count();
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     std::chrono::duration_cast<std::chrono::milliseconds>(wall - whole).count());
}

}  // namespace stucktrace::render
