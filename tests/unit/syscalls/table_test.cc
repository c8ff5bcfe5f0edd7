#include "syscalls/table.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace stucktrace::syscalls {
namespace {

TEST(Table, RowsAscendAndAreFoundByNumberAndName) {
  const auto rows = all_rows(Abi::kX86_64);
  ASSERT_FALSE(rows.empty());
  std::set<std::string_view> names;
  std::set<Sys> ids;
  int last = -1;
  for (const SyscallRow& row : rows) {
    EXPECT_GT(row.number, last);
    last = row.number;
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_TRUE(ids.insert(row.id).second) << row.name;
    EXPECT_EQ(find_row(Abi::kX86_64, row.number), &row);
    EXPECT_EQ(find_row(Abi::kX86_64, row.name), &row);
    EXPECT_LE(row.arg_count, 6);
    for (std::size_t i = 0; i < row.arg_count; ++i) EXPECT_FALSE(row.args[i].name.empty());
    EXPECT_EQ(row.has(Trait::kMayBlock), row.in(CallClass::kBlocking)) << row.name;
  }
  EXPECT_EQ(last, 469);
}

TEST(Table, KnowsEveryNumberOfTheInstalledHeaders) {
  std::ifstream header{"/usr/include/x86_64-linux-gnu/asm/unistd_64.h"};
  if (!header) GTEST_SKIP() << "no unistd_64.h here";
  const std::regex define{"#define __NR_(\\w+) (\\d+)"};
  int seen = 0;
  for (std::string line; std::getline(header, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, define)) continue;
    ++seen;
    const SyscallRow* row = find_row(Abi::kX86_64, std::stoi(match[2]));
    ASSERT_NE(row, nullptr) << line;
    EXPECT_EQ(row->name, match[1].str());
  }
  EXPECT_GT(seen, 300);
}

TEST(Table, TakesAsManyArgumentsAsTheKernel) {
  std::ifstream facts{STUCKTRACE_SOURCE_DIR "/tests/unit/syscalls/kernel_6_18_arguments.txt"};
  ASSERT_TRUE(facts);
  int seen = 0;
  for (std::string line; std::getline(facts, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream fields{line};
    std::string name;
    int count = -1;
    ASSERT_TRUE(fields >> name >> count) << line;
    const SyscallRow* row = find_row(Abi::kX86_64, name);
    ASSERT_NE(row, nullptr) << name;
    EXPECT_EQ(row->arg_count, count) << name;
    ++seen;
  }
  EXPECT_EQ(seen, 360);
}

TEST(Table, KnowsTheNewestNumbers) {
  const std::map<int, std::string_view> newest = {
      {335, "uretprobe"},      {336, "uprobe"},       {451, "cachestat"},    {452, "fchmodat2"},
      {455, "futex_wait"},     {457, "statmount"},    {462, "mseal"},        {463, "setxattrat"},
      {467, "open_tree_attr"}, {468, "file_getattr"}, {469, "file_setattr"},
  };
  for (const auto& [number, name] : newest) {
    const SyscallRow* row = find_row(Abi::kX86_64, number);
    ASSERT_NE(row, nullptr) << name;
    EXPECT_EQ(row->name, name);
  }
}

TEST(Table, UnknownNumbersHaveNoRow) {
  for (const std::int64_t number :
       {std::int64_t{-1}, std::int64_t{337}, std::int64_t{470}, std::int64_t{1} << 40, INT64_MIN}) {
    EXPECT_EQ(find_row(Abi::kX86_64, number), nullptr) << number;
    EXPECT_EQ(sys_of(Abi::kX86_64, number), Sys::kUnknown);
  }
  EXPECT_EQ(find_row(Abi::kX86_64, "no_such_call"), nullptr);
  EXPECT_EQ(find_row(Abi::kUnknown, 0), nullptr);
  EXPECT_TRUE(all_rows(Abi::kUnknown).empty());
}

TEST(Table, X32UsesTheTableWithoutItsBit) {
  constexpr std::int64_t kBit = 0x40000000;
  EXPECT_EQ(sys_of(Abi::kX32, kBit | 0), Sys::read);
  EXPECT_EQ(sys_of(Abi::kX32, kBit | 520), Sys::execve);
  EXPECT_EQ(sys_of(Abi::kX32, kBit | 547), Sys::pwritev2);
  EXPECT_EQ(sys_of(Abi::kX32, kBit | 600), Sys::kUnknown);
}

TEST(Table, TraitsOfCallsADiagnosisStandsOn) {
  const auto row = [](std::string_view name) { return *find_row(Abi::kX86_64, name); };
  for (const char* name : {"read", "write", "poll", "futex", "wait4", "flock", "fcntl", "openat",
                           "accept4", "nanosleep", "epoll_wait", "semtimedop", "mq_timedreceive",
                           "rt_sigtimedwait", "io_uring_enter", "splice", "vfork", "connect"}) {
    EXPECT_TRUE(row(name).has(Trait::kMayBlock)) << name;
  }
  for (const char* name : {"getpid", "close", "dup2", "mmap", "exit_group", "stat", "kill"}) {
    EXPECT_FALSE(row(name).has(Trait::kMayBlock)) << name;
  }
  for (const char* name : {"fork", "vfork", "clone", "clone3"}) {
    EXPECT_TRUE(row(name).has(Trait::kMakesTask)) << name;
  }
  for (const char* name : {"pipe2", "dup2", "close", "socketpair", "recvmsg", "fcntl"}) {
    EXPECT_TRUE(row(name).has(Trait::kPlumbsFds)) << name;
  }
  EXPECT_TRUE(row("exit").has(Trait::kNeverReturns));
  EXPECT_TRUE(row("exit_group").has(Trait::kNeverReturns));
  EXPECT_FALSE(row("rt_sigreturn").has(Trait::kNeverReturns));
  EXPECT_TRUE(row("writev").has(Trait::kWritesOutput));
  EXPECT_FALSE(row("read").has(Trait::kWritesOutput));
}

TEST(Table, AbiNames) {
  EXPECT_EQ(abi_name(Abi::kX86_64), "x86_64");
  EXPECT_EQ(abi_name(Abi::kI386), "i386");
  EXPECT_EQ(abi_name(Abi::kX32), "x32");
  EXPECT_EQ(abi_name(Abi::kUnknown), "unknown");
}

TEST(Table, GeneratedFilesAreUpToDate) {
  if (std::system("python3 -c '' 2>/dev/null") != 0) GTEST_SKIP() << "no python3";
  const int status =
      std::system("python3 '" STUCKTRACE_SOURCE_DIR "/scripts/gen_syscall_table.py' --check");
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace stucktrace::syscalls
