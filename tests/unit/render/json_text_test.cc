#include "tracer/render/json_text.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "tracer/base/ids.h"

namespace stucktrace::render {
namespace {

using nlohmann::ordered_json;

template <class T>
std::string appended(const T& value) {
  std::string out;
  append_json(value, out);
  return out;
}

// What is written without the library is what the library writes.
TEST(JsonText, StringsAsTheLibraryWritesThem) {
  for (int c = 0; c < 256; ++c) {
    const std::string text{'a', static_cast<char>(c), 'b'};
    EXPECT_EQ(appended(text), json_text(text)) << c;
  }
  for (const char* words : {"", "plain text", "caf\xc3\xa9", "cut \xe2\x82", "\"\\/"}) {
    const std::string text = words;
    EXPECT_EQ(appended(text), json_text(text));
    EXPECT_EQ(appended(std::string_view{text}), json_text(text));
  }
  EXPECT_EQ(appended("literal"), "\"literal\"");
}

TEST(JsonText, NumbersAndTheRest) {
  EXPECT_EQ(appended(0), "0");
  EXPECT_EQ(appended(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(appended(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(appended(true), "true");
  EXPECT_EQ(appended(nullptr), "null");
  EXPECT_EQ(appended(std::optional<int>{}), "null");
  EXPECT_EQ(appended(std::optional<std::string>{"a\nb"}), "\"a\\nb\"");
  EXPECT_EQ(appended(ordered_json{{"b", 1}, {"a", nullptr}}), R"({"b":1,"a":null})");
  EXPECT_EQ(appended(std::vector<std::string>{"x", "y"}), R"(["x","y"])");
}

TEST(JsonText, PartsOfAText) {
  std::string text;
  JsonMembers out{text};
  out.add("none", {{"of", 1}});
  out.start("ids");
  append_json_ids(std::vector{base::Tid{3}, base::Tid{4}}, text);
  out.start("items");
  JsonItems items{text};
  items.add(false);
  items.add("a");
  items.end();
  out.end();
  EXPECT_EQ(text, R"({"none":{"of":1},"ids":[3,4],"items":[false,"a"]})");
}

}  // namespace
}  // namespace stucktrace::render
