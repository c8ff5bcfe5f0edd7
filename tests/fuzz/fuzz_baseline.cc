#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tracer/compare/baseline.h"
#include "tracer/compare/diff.h"
#include "tracer/compare/match.h"

// Hostile baselines: what is read can be written, read again, and compared with itself.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stucktrace;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto baseline = compare::parse_baseline(text);
  if (!baseline) return 0;
  const auto again = compare::parse_baseline(compare::to_text(*baseline));
  if (!again || again->trace != baseline->trace) std::abort();
  const auto names = compare::match(baseline->trace, again->trace);
  if (!compare::diff(baseline->trace, renamed(again->trace, names, baseline->trace)).empty()) {
    std::abort();
  }
  return 0;
}
