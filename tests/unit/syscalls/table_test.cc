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

#include "syscalls/multiplexed.h"

namespace stucktrace::syscalls {
namespace {

constexpr Abi kTables[] = {Abi::kX86_64, Abi::kI386, Abi::kAarch64};

TEST(Table, RowsAscendAndAreFoundByNumberAndName) {
  for (const Abi abi : kTables) {
    const auto rows = all_rows(abi);
    ASSERT_FALSE(rows.empty());
    std::set<std::string_view> names;
    std::set<Sys> ids;
    int last = -1;
    for (const SyscallRow& row : rows) {
      EXPECT_GT(row.number, last);
      const bool is_part = abi == Abi::kI386 && is_part_number(row.number);
      last = row.number;
      EXPECT_EQ(find_row(abi, row.number), &row);
      EXPECT_LE(row.arg_count, 6);
      for (std::size_t i = 0; i < row.arg_count; ++i) EXPECT_FALSE(row.args[i].name.empty());
      EXPECT_EQ(row.has(Trait::kMayBlock), row.in(CallClass::kBlocking)) << row.name;
      // The parts of calls that are many in one may repeat a name.
      if (is_part) continue;
      EXPECT_TRUE(names.insert(row.name).second) << row.name;
      EXPECT_EQ(find_row(abi, row.name), &row);
      // Only i386 has several forms of one call.
      if (abi != Abi::kI386) {
        EXPECT_TRUE(ids.insert(row.id).second) << row.name;
      }
    }
    if (abi != Abi::kI386) {
      EXPECT_EQ(last, 469);
    }
  }
}

// One call has one identity, the same traits and classes on every architecture, however it is
// called there.
TEST(Table, TablesAgreeOnWhatACallIs) {
  std::map<Sys, const SyscallRow*> native;
  for (const SyscallRow& row : all_rows(Abi::kX86_64)) native[row.id] = &row;
  int shared = 0;
  for (const Abi abi : {Abi::kI386, Abi::kAarch64}) {
    for (const SyscallRow& row : all_rows(abi)) {
      if (const auto known = native.find(row.id); known != native.end()) {
        EXPECT_EQ(row.traits, known->second->traits) << row.name;
        EXPECT_EQ(row.classes, known->second->classes) << row.name;
        ++shared;
      }
    }
  }
  EXPECT_GT(shared, 700);
}

TEST(Table, I386HasItsOwnNumbers) {
  const std::map<int, Sys> expected = {
      {1, Sys::exit},         {5, Sys::open},
      {7, Sys::wait4},        {11, Sys::execve},
      {42, Sys::pipe},        {54, Sys::ioctl},
      {102, Sys::socketcall}, {114, Sys::wait4},
      {117, Sys::ipc},        {120, Sys::clone},
      {142, Sys::select},     {168, Sys::poll},
      {190, Sys::vfork},      {192, Sys::mmap},
      {221, Sys::fcntl},      {240, Sys::futex},
      {252, Sys::exit_group}, {331, Sys::pipe2},
      {362, Sys::connect},    {407, Sys::clock_nanosleep},
      {414, Sys::ppoll},      {422, Sys::futex},
      {435, Sys::clone3},     {449, Sys::futex_waitv},
      {1003, Sys::connect},   {1005, Sys::accept},
      {1009, Sys::sendto},    {1101, Sys::semop},
      {1112, Sys::msgrcv},    {1200, Sys::mmap},
      {1201, Sys::select},
  };
  for (const auto& [number, id] : expected) EXPECT_EQ(sys_of(Abi::kI386, number), id) << number;
  for (const std::int64_t hole : {222, 285, 387, 470, 999, 1000, 1021, 1125, 1202}) {
    EXPECT_EQ(find_row(Abi::kI386, hole), nullptr) << hole;
  }
}

TEST(Table, Aarch64HasTheNumbersOfAsmGeneric) {
  const std::map<int, Sys> expected = {
      {22, Sys::epoll_pwait}, {25, Sys::fcntl},   {56, Sys::openat},   {59, Sys::pipe2},
      {63, Sys::read},        {64, Sys::write},   {73, Sys::ppoll},    {93, Sys::exit},
      {98, Sys::futex},       {198, Sys::socket}, {203, Sys::connect}, {220, Sys::clone},
      {221, Sys::execve},     {260, Sys::wait4},  {291, Sys::statx},   {435, Sys::clone3},
  };
  for (const auto& [number, id] : expected) EXPECT_EQ(sys_of(Abi::kAarch64, number), id) << number;
  for (const char* absent : {"open", "fork", "poll", "pipe", "select"}) {
    EXPECT_EQ(find_row(Abi::kAarch64, absent), nullptr) << absent;
  }
}

struct Header {
  Abi abi;
  const char* path;
};
class InstalledHeader : public testing::TestWithParam<Header> {};
INSTANTIATE_TEST_SUITE_P(
    Tables, InstalledHeader,
    testing::Values(Header{Abi::kX86_64, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"},
                    Header{Abi::kI386, "/usr/include/x86_64-linux-gnu/asm/unistd_32.h"}),
    [](const auto& header) { return std::string{abi_name(header.param.abi)}; });

TEST_P(InstalledHeader, HasNoNumberTheTableLacks) {
  std::ifstream header{GetParam().path};
  if (!header) GTEST_SKIP() << "no " << GetParam().path << " here";
  const std::regex define{"#define __NR_(\\w+) (\\d+)"};
  int seen = 0;
  for (std::string line; std::getline(header, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, define)) continue;
    ++seen;
    const SyscallRow* row = find_row(GetParam().abi, std::stoi(match[2]));
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
  EXPECT_EQ(sys_of(Abi::kX32, kBit | 511), Sys::kUnknown);
  EXPECT_EQ(sys_of(Abi::kX86_64, 520), Sys::kUnknown);  // not without the bit
}

TEST(Table, KernelNumbersAreWhatAProgramPasses) {
  const auto number = [](Abi abi, std::int64_t of) {
    return kernel_number(abi, *find_row(abi, of));
  };
  EXPECT_EQ(number(Abi::kX86_64, 59), 59);
  EXPECT_EQ(number(Abi::kX32, 59), 0x40000000 | 520);
  EXPECT_EQ(number(Abi::kX32, 39), 0x40000000 | 39);
  EXPECT_EQ(number(Abi::kI386, 362), 362);
  EXPECT_EQ(number(Abi::kI386, 1003), 102);
  EXPECT_EQ(number(Abi::kI386, 1112), 117);
  EXPECT_EQ(number(Abi::kI386, 1200), 90);
  EXPECT_EQ(number(Abi::kI386, 1201), 82);
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
  EXPECT_EQ(abi_name(Abi::kAarch64), "aarch64");
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
