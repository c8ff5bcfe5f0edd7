#include "syscalls/trace_set.h"

#include <gtest/gtest.h>

namespace stucktrace::syscalls {
namespace {

TraceSet parsed(std::string_view text) {
  auto set = TraceSet::parse(text);
  EXPECT_TRUE(set) << text << ": " << set.error().message();
  return set ? *set : TraceSet::none();
}

base::Error refused(std::string_view text) {
  auto set = TraceSet::parse(text);
  EXPECT_FALSE(set) << text;
  return set ? base::Error{} : set.error();
}

TEST(TraceSet, Names) {
  const TraceSet set = parsed("read, write");
  EXPECT_TRUE(set.contains(Sys::read));
  EXPECT_TRUE(set.contains(Sys::write));
  EXPECT_FALSE(set.contains(Sys::poll));
  EXPECT_FALSE(set.contains(Sys::kUnknown));
}

TEST(TraceSet, AllAndNone) {
  EXPECT_TRUE(TraceSet::all().contains(Sys::kUnknown));
  EXPECT_FALSE(TraceSet::none().contains(Sys::read));
  EXPECT_TRUE(parsed("all").contains(Sys::kUnknown));
  EXPECT_FALSE(parsed("none").contains(Sys::read));
}

TEST(TraceSet, Classes) {
  const TraceSet network = parsed("%network");
  EXPECT_TRUE(network.contains(Sys::connect));
  EXPECT_FALSE(network.contains(Sys::open));
  const TraceSet blocking = parsed("%blocking,close");
  EXPECT_TRUE(blocking.contains(Sys::futex));
  EXPECT_TRUE(blocking.contains(Sys::close));
  EXPECT_FALSE(blocking.contains(Sys::getpid));
}

TEST(TraceSet, EveryClassHasMembers) {
  for (const char* word :
       {"%file", "%desc", "%process", "%network", "%signal", "%ipc", "%memory", "%time", "%creds",
        "%stat", "%poll", "%lock", "%blocking", "%net", "%clock"}) {
    const TraceSet set = parsed(word);
    int members = 0;
    for (const SyscallRow& row : all_rows(Abi::kX86_64)) members += set.contains(row.id) ? 1 : 0;
    EXPECT_GT(members, 2) << word;
    EXPECT_LT(members, 200) << word;
  }
}

TEST(TraceSet, InvertedHoldsUnknownNumbers) {
  const TraceSet set = parsed("!futex,%network");
  EXPECT_FALSE(set.contains(Sys::futex));
  EXPECT_FALSE(set.contains(Sys::connect));
  EXPECT_TRUE(set.contains(Sys::read));
  EXPECT_TRUE(set.contains(Sys::kUnknown));
}

TEST(TraceSet, RegularExpressions) {
  const TraceSet set = parsed("/^epoll_(wait|pwait)$/,read");
  EXPECT_TRUE(set.contains(Sys::epoll_wait));
  EXPECT_TRUE(set.contains(Sys::epoll_pwait));
  EXPECT_FALSE(set.contains(Sys::epoll_ctl));
  EXPECT_TRUE(set.contains(Sys::read));
  EXPECT_TRUE(parsed("/^dup\\d{0,1}$/").contains(Sys::dup2));  // a comma inside
}

TEST(TraceSet, TolerantNames) {
  const TraceSet set = parsed("?no_such_call,read,?%nothing,?/zzz/");
  EXPECT_TRUE(set.contains(Sys::read));
}

TEST(TraceSet, MistakesAreNamedWithTheNearestWord) {
  const base::Error name = refused("read,opnat");
  EXPECT_EQ(name.kind, base::ErrorKind::kUsage);
  EXPECT_NE(name.operation.find("'opnat'"), std::string::npos) << name.operation;
  EXPECT_NE(name.hint.find("'openat'"), std::string::npos) << name.hint;
  EXPECT_NE(refused("%netwrok").hint.find("'%network'"), std::string::npos);
  EXPECT_NE(refused("file").hint.find("'%file'"), std::string::npos);
  EXPECT_EQ(refused("qqqqqqqqqqqqqq").hint, "");
}

TEST(TraceSet, BrokenInput) {
  for (const char* text :
       {"", "  ", "!", "read,", ",read", "/(/", "/^nothing$/", "?", "%", "//x"}) {
    EXPECT_EQ(refused(text).kind, base::ErrorKind::kUsage) << text;
  }
}

TEST(TraceSet, NamesGiveTheSetAgain) {
  for (const auto* text : {"read,write", "none", "all", "!futex", "%network,close", "!%file"}) {
    const TraceSet set = parsed(text);
    const TraceSet again = TraceSet::of(set.names());
    EXPECT_TRUE(set.contains_all(again)) << text;
    EXPECT_EQ(set.contains(Sys::kUnknown), again.contains(Sys::kUnknown)) << text;
    EXPECT_EQ(set.contains(Sys::read), again.contains(Sys::read)) << text;
    EXPECT_EQ(set.names().calls, again.names().calls) << text;
  }
  EXPECT_EQ(parsed("write,read").names().calls, (std::vector<std::string>{"read", "write"}));
  // Of a newer table.
  const TraceSet known = TraceSet::of({{"no_such_call", "read"}, false});
  EXPECT_EQ(known.names().calls, std::vector<std::string>{"read"});
  EXPECT_FALSE(known.contains_all(parsed("read,close")));
}

}  // namespace
}  // namespace stucktrace::syscalls
