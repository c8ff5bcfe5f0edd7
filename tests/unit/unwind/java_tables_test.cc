#include "tracer/unwind/java_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "java_fakes.h"

namespace stucktrace::unwind {
namespace {

FakeJava machine() {
  FakeJava java{FakeJava::Kind::kMiddle};
  java.thread(11);
  java.finish();
  return java;
}

TEST(JavaTables, FieldsSizesAndConstants) {
  const FakeJava java = machine();
  const auto tables = java.tables();
  ASSERT_TRUE(tables);
  EXPECT_EQ(tables->field("JavaThread::_threadObj")->type, "OopHandle");
  EXPECT_EQ(tables->offset({"JavaThread::_no_such", "JavaThread::_threadObj"}), 56U);
  EXPECT_NE(tables->address({"JVMFlag::flags"}), std::nullopt);
  EXPECT_EQ(tables->size_of("ConstantPool"), 64U);
  EXPECT_EQ(tables->constant({"_thread_blocked"}), 10);
}

TEST(JavaTables, WhatIsNotThere) {
  const FakeJava java = machine();
  const auto tables = java.tables();
  ASSERT_TRUE(tables);
  EXPECT_EQ(tables->field("JavaThread::_no_such"), nullptr);
  EXPECT_EQ(tables->offset({"JVMFlag::flags"}), std::nullopt) << "a static member has no offset";
  EXPECT_EQ(tables->address({"JavaThread::_threadObj"}), std::nullopt);
  EXPECT_EQ(tables->size_of("NoSuch"), std::nullopt);
  EXPECT_EQ(tables->constant({"no such"}), std::nullopt);
}

TEST(JavaTables, EachVariableIsNeeded) {
  for (const auto& [name, address] : machine().variables) {
    FakeJava java = machine();
    java.variables.erase(name);
    const auto tables = java.tables();
    ASSERT_FALSE(tables) << name;
    EXPECT_EQ(tables.error().kind, base::ErrorKind::kMalformed);
  }
}

TEST(JavaTables, NotSetYet) {
  FakeJava java = machine();
  java.space.put(java.variables["gHotSpotVMStructEntryArrayStride"], std::uint64_t{0});
  EXPECT_FALSE(java.tables());
}

TEST(JavaTables, WildNumbers) {
  for (const auto& [name, address] : machine().variables) {
    for (const std::uint64_t wild : {std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
      FakeJava java = machine();
      java.space.put(java.variables[name], wild);
      EXPECT_FALSE(java.tables()) << name;
    }
  }
}

TEST(JavaTables, OneWithoutEnd) {
  FakeJava java = machine();
  // Every entry is the same one, again and again.
  const std::uint64_t size = 64 * 20000;
  const std::uint64_t entries = java.space.allocate(size);
  const std::uint64_t name = java.text("Endless");
  for (std::uint64_t at = 0; at < size; at += 8) java.space.put(entries + at, name);
  java.space.put(java.variables["gHotSpotVMTypes"], entries);
  EXPECT_FALSE(java.tables());
}

TEST(JavaTables, TextHasALimit) {
  FakeJava java = machine();
  const std::uint64_t text = java.text(std::string(300, 'x'));
  EXPECT_EQ(read_java_text(java.space, text, 256), "");
  EXPECT_EQ(read_java_text(java.space, text, 300).size(), 300U);
  EXPECT_EQ(read_java_text(java.space, 0, 300), "");
  EXPECT_EQ(read_java_text(java.space, 8, 300), "");
}

}  // namespace
}  // namespace stucktrace::unwind
