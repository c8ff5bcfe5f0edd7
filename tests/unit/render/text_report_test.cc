#include "tracer/render/text_report.h"

#include <gtest/gtest.h>

#include "tests/unit/render/birth_case.h"
#include "tracer/render/json_report.h"
namespace stucktrace::render {
TEST(TextReport, Look) {
  puts(text_report(test::birth_report(), {}).c_str());
  auto r = test::birth_report();
  r.diagnosis.findings.clear();
  puts(text_report(r, {.stacks = true}).c_str());
  puts(json_report(test::birth_report()).c_str());
}
}  // namespace stucktrace::render
