#include "tests/unit/render/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace stucktrace::test {

void expect_golden(std::string_view name, const std::string& actual) {
  const std::string path =
      std::string(STUCKTRACE_SOURCE_DIR) + "/tests/unit/render/golden/" + std::string(name);
  if (std::getenv("STUCKTRACE_UPDATE") != nullptr) std::ofstream(path) << actual;
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  std::ostringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(actual, expected.str()) << "expected: " << path;
}

bool terminal_safe(std::string_view text) {
  return std::ranges::none_of(text, [](char each) {
    const auto byte = static_cast<unsigned char>(each);
    return (byte < 0x20 && byte != '\n') || byte == 0x7f;
  });
}

}  // namespace stucktrace::test
