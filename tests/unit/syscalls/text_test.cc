#include <gtest/gtest.h>

#include "syscalls/decode.h"

namespace stucktrace::syscalls {
namespace {

TEST(Text, Scalars) {
  EXPECT_EQ(to_text(Value{Null{}}), "NULL");
  EXPECT_EQ(to_text(Value{Integer{-5}}), "-5");
  EXPECT_EQ(to_text(Value{Unsigned{5}}), "5");
  EXPECT_EQ(to_text(Value{Hex{0}}), "0");
  EXPECT_EQ(to_text(Value{Hex{255}}), "0xff");
  EXPECT_EQ(to_text(Value{Octal{0644}}), "0644");
  EXPECT_EQ(to_text(Value{Octal{0}}), "000");
  EXPECT_EQ(to_text(Value{Fd{-100}}), "AT_FDCWD");
  EXPECT_EQ(to_text(Value{Fd{3}}), "3");
  EXPECT_EQ(to_text(Value{PidValue{-1}}), "-1");
  EXPECT_EQ(to_text(Value{Address{base::RemoteAddr{0x7f00}}}), "0x7f00");
  EXPECT_EQ(to_text(Value{Symbol{2, "SEEK_END"}}), "SEEK_END");
  EXPECT_EQ(to_text(Value{Symbol{99, ""}}), "99");
  EXPECT_EQ(to_text(Value{Flags{0, ""}}), "0");
  EXPECT_EQ(to_text(Value{Flags{16, ""}}), "0x10");
  EXPECT_EQ(to_text(Value{Duration{1, 500}}), "{tv_sec=1, tv_nsec=500}");
  EXPECT_EQ(to_text(Value{Duration{0, 50'000'000, true}}), "{tv_sec=0, tv_usec=50000}");
}

TEST(Text, StringsAreEscapedAndBounded) {
  EXPECT_EQ(to_text(Value{Text{"/tmp/a\"b\\", false}}), R"("/tmp/a\"b\\")");
  EXPECT_EQ(to_text(Value{Text{"half", true}}), R"("half"...)");
  EXPECT_EQ(to_text(Value{Text{std::string{"\0name", 5}, false}}), R"(@"name")");
  const Value control{Buffer{std::string{"\x1b[0m\n\t\r\0", 7} + std::string(1, '\0') + "7", 9}};
  EXPECT_EQ(to_text(control), R"("\33[0m\n\t\r\0007")");
  EXPECT_EQ(to_text(Value{Buffer{std::string(40, 'x'), 40}}, 8), R"("xxxxxxxx"...)");
  EXPECT_EQ(to_text(Value{Buffer{"", 200'009}}), R"(""...)");
  EXPECT_EQ(to_text(Value{Buffer{"", 0}}), R"("")");
  EXPECT_EQ(to_text(Value{Buffer{"\xff", 1}}), R"("\377")");
}

TEST(Text, PathsAreNotCutAtTheBufferLimit) {
  const std::string path = "/" + std::string(100, 'p');
  EXPECT_EQ(to_text(Value{Text{path, false}}, 8), '"' + path + '"');
}

TEST(Text, ArraysAndStructs) {
  EXPECT_EQ(to_text(Value{Array{}}), "[]");
  EXPECT_EQ(to_text(Value{Array{{Value{Fd{3}}, Value{Fd{4}}}, false}}), "[3, 4]");
  EXPECT_EQ(to_text(Value{Array{{Value{Fd{3}}}, true}}), "[3, ...]");
  Array many;
  for (int i = 0; i < 40; ++i) many.items.push_back(Value{Integer{1}});
  const std::string text = to_text(Value{std::move(many)});
  EXPECT_TRUE(text.ends_with(", 1, ...]")) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '1'), 32);
  EXPECT_EQ(to_text(Value{Struct{{Field{"fd", Value{Fd{3}}}, Field{"n", Value{Null{}}}}}}),
            "{fd=3, n=NULL}");
}

TEST(Text, ErrorNames) {
  EXPECT_EQ(error_name(-110), "ETIMEDOUT");
  EXPECT_EQ(error_name(-11), "EAGAIN");
  EXPECT_EQ(error_name(-512), "ERESTARTSYS");
  EXPECT_EQ(error_name(-513), "ERESTARTNOINTR");
  EXPECT_EQ(error_name(-514), "ERESTARTNOHAND");
  EXPECT_EQ(error_name(-516), "ERESTART_RESTARTBLOCK");
  EXPECT_EQ(error_name(-4000), "errno 4000");
}

TEST(Text, SignalNames) {
  EXPECT_EQ(signal_name(13), "SIGPIPE");
  EXPECT_EQ(signal_name(9), "SIGKILL");
  EXPECT_EQ(signal_name(32), "SIGRTMIN");
  EXPECT_EQ(signal_name(35), "SIGRT_3");
  EXPECT_EQ(signal_name(64), "SIGRT_32");
  EXPECT_EQ(signal_name(123), "SIG123");
  EXPECT_EQ(signal_name(-4), "SIG-4");
  EXPECT_EQ(signal_name(0), "0");
}

}  // namespace
}  // namespace stucktrace::syscalls
