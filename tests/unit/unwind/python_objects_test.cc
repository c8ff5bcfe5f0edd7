#include "tracer/unwind/python_objects.h"

#include <gtest/gtest.h>

#include <map>

#include "python_fakes.h"
#include "tracer/unwind/python_text.h"

namespace stucktrace::unwind {
namespace {

constexpr std::uint64_t kManagedDict = 1u << 4, kInlineValues = 1u << 2;

class PythonObjects3 : public testing::TestWithParam<int> {
 protected:
  FakePython fake{3, GetParam()};
  PythonObjects objects{fake.space, fake.layout};
};
INSTANTIATE_TEST_SUITE_P(Minor, PythonObjects3, testing::Range(6, 16));

class PythonObjects311 : public PythonObjects3 {};
INSTANTIATE_TEST_SUITE_P(Minor, PythonObjects311, testing::Range(11, 16));

TEST_P(PythonObjects3, TextOfEachWidth) {
  EXPECT_EQ(objects.text(fake.text3(U"QueueFeederThread", 1, true)), "QueueFeederThread");
  EXPECT_EQ(objects.text(fake.text3(U"Z\u00e4hler", 1, false)), "Zähler");
  EXPECT_EQ(objects.text(fake.text3(U"\u043d\u0438\u0442\u044c", 2, false)), "нить");
  EXPECT_EQ(objects.text(fake.text3(U"a\U0001f9f5", 4, false)), "a🧵");
  EXPECT_EQ(objects.text(fake.text3(U"", 1, true)), "");
}

TEST_P(PythonObjects3, TextKeptElsewhere) {
  const std::uint64_t object = fake.object("str", 96);
  const std::uint64_t data = fake.space.allocate(16);
  fake.put_units(data, U"\u043d\u0438", 2);
  fake.space.put(fake.at(object, fake.layout.text_length), std::uint64_t{2});
  fake.space.put(fake.at(object, fake.layout.text_state), std::uint32_t{2u << 2});
  fake.space.put(fake.at(object, fake.layout.text_pointer), data);
  EXPECT_EQ(objects.text(object), "ни");
}

TEST_P(PythonObjects3, LongTextIsCutAndReadInASecondRead) {
  const std::u32string text(3000, U'x');
  EXPECT_EQ(objects.text(fake.text3(text, 1, true)), std::string(1024, 'x'));
  EXPECT_EQ(objects.text(fake.text3(text.substr(0, 700), 4, false)), std::string(700, 'x'));
}

TEST_P(PythonObjects3, WhatIsNoTextGivesNone) {
  EXPECT_EQ(objects.text(0), std::nullopt);
  EXPECT_EQ(objects.text(0x7fff12345671), std::nullopt);
  EXPECT_EQ(objects.text(fake.object("bytes", 128)), std::nullopt);
  const std::uint64_t width3 = fake.text3(U"abc", 1, false);
  fake.space.put(fake.at(width3, fake.layout.text_state), std::uint32_t{(3u << 2) | 32u});
  EXPECT_EQ(objects.text(width3), std::nullopt);
  const std::uint64_t huge = fake.text3(U"abc", 1, true);
  fake.space.put(fake.at(huge, fake.layout.text_length), ~std::uint64_t{0});
  EXPECT_EQ(objects.text(huge), std::nullopt) << "ends before 1024 characters";
}

TEST_P(PythonObjects3, Numbers) {
  const bool tagged = GetParam() >= 12;
  const auto make = [&](std::uint64_t size, std::vector<std::uint32_t> digits) {
    const std::uint64_t object = fake.object("int", 40);
    fake.space.put(fake.at(object, fake.layout.long_size), tagged ? size << 3 : size);
    fake.space.put_bytes(fake.at(object, fake.layout.long_digits), digits.data(),
                         digits.size() * 4);
    return object;
  };
  EXPECT_EQ(objects.integer(make(1, {41})), 41u);
  EXPECT_EQ(objects.integer(make(2, {1, 2})), (2ull << 30) + 1);
  EXPECT_EQ(objects.integer(make(3, {5, 6, 15})), (15ull << 60) + (6ull << 30) + 5);
  EXPECT_EQ(objects.integer(make(3, {5, 6, 16})), std::nullopt) << "beyond 64 bits";
  EXPECT_EQ(objects.integer(make(4, {5, 6, 1})), std::nullopt);
  EXPECT_EQ(objects.integer(fake.object("str", 40)), std::nullopt);
  const std::uint64_t real = fake.object("float", 24);
  fake.space.put(fake.at(real, fake.layout.float_value), 12.5);
  EXPECT_EQ(objects.real(real), 12.5);
  EXPECT_EQ(objects.real(fake.object("NoneType", 24)), std::nullopt);
}

TEST_P(PythonObjects3, CombinedAndSplitDicts) {
  const std::uint64_t one = fake.object("object", 16), two = fake.object("object", 16);
  const auto general = fake.keys({{fake.name("alpha"), one}, {fake.name("beta"), two}}, false);
  EXPECT_EQ(objects.item(fake.dict(general), "beta"), two);
  EXPECT_EQ(objects.item(fake.dict(general), "gamma"), 0u);
  if (GetParam() >= 11) {
    const auto unicode = fake.keys({{fake.name("alpha"), one}, {fake.name("beta"), two}}, true);
    EXPECT_EQ(objects.item(fake.dict(unicode), "beta"), two);
  }
  const std::uint64_t values = fake.space.allocate(64);
  const int skip = std::max(fake.layout.values_items, 0);
  fake.space.put(fake.at(values, skip + 8), one);
  const auto shared =
      fake.keys({{fake.name("alpha"), 0}, {fake.name("_name"), 0}}, GetParam() >= 11);
  EXPECT_EQ(objects.item(fake.dict(shared, values), "_name"), one);
  EXPECT_EQ(objects.item(fake.dict(shared, values), "alpha"), 0u) << "no value yet";
}

TEST_P(PythonObjects3, InstanceWithADictPointer) {
  const std::uint64_t value = fake.name("worker-1");
  const std::uint64_t dict = fake.dict(fake.keys({{fake.name("_name"), value}}, false));
  const std::uint64_t instance = fake.object("Thread", 64);
  fake.space.put(fake.at(fake.type("Thread"), fake.layout.type_dict_offset), std::int64_t{16});
  fake.space.put(instance + 16, dict);
  EXPECT_EQ(objects.attribute(instance, "_name"), value);
  EXPECT_EQ(objects.attribute(instance, "_target"), 0u);
}

TEST_P(PythonObjects311, InstanceWithManagedValues) {
  const std::uint64_t value = fake.name("worker-2");
  const std::uint64_t shared = fake.keys({{fake.name("daemon"), 0}, {fake.name("_name"), 0}}, true);
  const std::uint64_t instance = fake.object("Thread", 128);
  const std::uint64_t type = fake.type("Thread");
  fake.space.put(fake.at(type, fake.layout.type_shared_keys), shared);
  std::uint64_t flags = kManagedDict;
  if (GetParam() >= 13) {
    flags |= kInlineValues;
    const std::uint32_t valid = 1u << 24;
    fake.space.put(fake.at(type, fake.layout.type_basic_size), std::uint64_t{16});
    fake.space.put(instance + 16, valid);
    fake.space.put(instance + 16 + 8 + 8, value);
  } else {
    const std::uint64_t values = fake.space.allocate(64);
    fake.space.put(values + 8, value);
    if (GetParam() == 11) {
      fake.space.put(instance - 32, values);
    } else {
      fake.space.put(instance - 24, values - 1);
    }
  }
  fake.space.put(fake.at(type, fake.layout.type_flags), flags);
  EXPECT_EQ(objects.attribute(instance, "_name"), value);
  EXPECT_EQ(objects.attribute(instance, "other"), 0u);
  // Once somebody asked for __dict__ there is one, and it holds the values.
  const std::uint64_t other = fake.name("renamed");
  const std::uint64_t dict = fake.dict(fake.keys({{fake.name("_name"), other}}, true));
  if (GetParam() == 11) fake.space.put(instance - 32, std::uint64_t{0});
  fake.space.put(instance - 24, dict);
  EXPECT_EQ(objects.attribute(instance, "_name"), other);
}

TEST_P(PythonObjects3, BrokenTablesGiveNothing) {
  const std::uint64_t value = fake.name("x");
  const auto count = fake.keys({{fake.name("alpha"), value}}, false);
  fake.space.put(fake.at(count, fake.layout.keys_count), std::uint64_t{1} << 40);
  EXPECT_EQ(objects.item(fake.dict(count), "alpha"), 0u);
  const auto size = fake.keys({{fake.name("alpha"), value}}, false);
  if (fake.layout.keys_size >= 0) {
    fake.space.put(fake.at(size, fake.layout.keys_size), ~std::uint64_t{0});
  } else {
    fake.space.put(fake.at(size, fake.layout.keys_log2_bytes), std::uint8_t{200});
  }
  EXPECT_EQ(objects.item(fake.dict(size), "alpha"), 0u);
  EXPECT_EQ(objects.item(fake.dict(0), "alpha"), 0u);
  EXPECT_EQ(objects.item(fake.object("list", 64), "alpha"), 0u);
}

TEST(PythonObjects27, DictTextAndInt) {
  FakePython fake{2, 7};
  const PythonObjects objects{fake.space, fake.layout, 2};
  const std::uint64_t value = fake.object("int", 24), key = fake.name("_active");
  fake.space.put(fake.at(value, fake.layout.int_value), std::int64_t{140123456789});
  const std::uint64_t table = fake.space.allocate(8 * 24);
  fake.space.put(table + 3 * 24 + 8, key);
  fake.space.put(table + 3 * 24 + 16, value);
  const std::uint64_t dict = fake.object("dict", 64);
  fake.space.put(fake.at(dict, fake.layout.dict_mask), std::uint64_t{7});
  fake.space.put(fake.at(dict, fake.layout.dict_table), table);
  EXPECT_EQ(objects.item(dict, "_active"), value);
  EXPECT_EQ(objects.integer(value), 140123456789u);
  EXPECT_EQ(objects.text(key), "_active");

  const std::uint64_t wide = fake.object("unicode", 64), data = fake.space.allocate(64);
  fake.put_units(data, U"Z\u00e4", 2);
  fake.space.put(fake.at(wide, fake.layout.text_length), std::uint64_t{2});
  fake.space.put(fake.at(wide, fake.layout.text_pointer), data);
  EXPECT_EQ(objects.text(wide), "Zä");
  fake.space.put(fake.at(dict, fake.layout.dict_mask), std::uint64_t{1} << 50);
  EXPECT_EQ(objects.item(dict, "_active"), 0u);
}

TEST(PythonText, PairsAndWhatIsNoCharacter) {
  const std::u16string units = u"\xd83e\xddf5-\xd83e";
  EXPECT_EQ(utf8_from_units(std::as_bytes(std::span{units}), 2), "🧵-\xef\xbf\xbd");
  const std::u32string wrong = {0x110000, U'a'};
  EXPECT_EQ(utf8_from_units(std::as_bytes(std::span{wrong}), 4),
            "\xef\xbf\xbd"
            "a");
  EXPECT_EQ(utf8_from_units({}, 3), std::nullopt);
}

}  // namespace
}  // namespace stucktrace::unwind
