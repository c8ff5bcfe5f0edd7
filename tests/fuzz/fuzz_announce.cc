// libFuzzer entry: hostile output streams through the announcement detector. The first byte of each
// chunk says which descriptor it is for and how long the chunk is.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tracer/diagnose/announce.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using stucktrace::diagnose::AnnounceDetector;
  AnnounceDetector detector;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::int64_t now = 0;
  while (!rest.empty()) {
    const auto head = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    const std::string_view chunk = rest.substr(0, (head >> 2U) + 1U);
    rest.remove_prefix(chunk.size());
    const int fd = 1 + (head & 1);
    detector.write(fd, chunk, {std::chrono::nanoseconds(++now)});
    if (const auto announced = detector.current()) {
      const bool bounded = announced->text.size() <= stucktrace::diagnose::kMaxLine;
      const bool one_line = announced->text.find('\n') == std::string::npos;
      if (!bounded || !one_line || announced->fd < 1 || announced->fd > 2) std::abort();
    }
    if ((head & 2) != 0 && chunk.size() == 1) detector.lost_output(fd);
  }
  return 0;
}
