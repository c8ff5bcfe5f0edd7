#include <arpa/inet.h>
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>

#include "tests/unit/unwind/native_support.h"
#include "tracer/unwind/elf_files.h"
#include "tracer/unwind/stacks.h"

// Stacks of programs as they come: static, stripped, deleted, with debug files elsewhere.

namespace stucktrace::unwind::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// Tells that it runs and blocks in read(0), two named functions deep.
constexpr const char* kProgram = R"(
#include <unistd.h>
namespace deep {
[[gnu::noinline]] long inner(int fd) {
  char byte;
  long got = read(fd, &byte, 1);  // line 6
  asm volatile("" ::: "memory");
  return got;
}
[[gnu::noinline]] long outer(int fd) {
  long got = inner(fd);  // line 11
  asm volatile("" ::: "memory");
  return got + 1;
}
}
int main() {
  if (write(1, "x", 1) != 1) return 1;
  return static_cast<int>(deep::outer(0));
}
)";

class NativeFiles : public ::testing::Test {
 protected:
  // Starts the program and looks once it blocks.
  StackResult look(const std::string& program) {
    child_.emplace(Child::start({program}));
    EXPECT_TRUE(child_->ready());
    EXPECT_TRUE(blocks_in(child_->pid(), child_->pid(), SYS_read));
    return stack_of(child_->pid(), child_->pid());
  }

  TempFolder folder_;
  std::string program_ = folder_.file("program");
  std::optional<Child> child_;
};

const std::vector<std::string> kRun{"deep::inner(int)", "deep::outer(int)", "main"};

class NativeFilesBuilt : public NativeFiles, public ::testing::WithParamInterface<const char*> {};

TEST_P(NativeFilesBuilt, IsCompleteHoweverItWasCompiled) {
  if (!compile(kProgram, program_, GetParam())) {
    GTEST_SKIP() << "cannot compile with " << GetParam();
  }
  const StackResult stack = look(program_);
  EXPECT_EQ(stack.note, "") << describe(stack);
  EXPECT_TRUE(has_run(stack, kRun)) << describe(stack);
  EXPECT_EQ(stack.frames.frames().back().function, "_start") << describe(stack);
}

INSTANTIATE_TEST_SUITE_P(Flags, NativeFilesBuilt,
                         ::testing::Values("-O0", "-O2", "-O2 -fno-omit-frame-pointer",
                                           "-O0 -static", "-O2 -static-pie", "-O0 -no-pie",
                                           "-O0 -fcf-protection=full",
                                           "-O0 -fstack-protector-all"));

#if defined(__x86_64__)
INSTANTIATE_TEST_SUITE_P(
    FlagsWithoutUnwindTables, NativeFilesBuilt,
    ::testing::Values("-O0 -fno-asynchronous-unwind-tables -fno-exceptions",
                      "-O2 -fno-asynchronous-unwind-tables -fno-exceptions",
                      "-O2 -fno-asynchronous-unwind-tables -fno-exceptions -no-pie -fno-plt",
                      "-O1 -fno-asynchronous-unwind-tables -fno-exceptions -static",
                      "-Os -fno-asynchronous-unwind-tables -fno-exceptions -fcf-protection=full"));
#endif

TEST_F(NativeFiles, GivesSourceLinesWhereThereIsDwarf) {
  for (const char* flags : {"-g -O0", "-gdwarf-4 -O0", "-g -O0 -gz"}) {
    if (!compile(kProgram, program_, flags)) GTEST_SKIP() << "no compiler";
    const StackResult stack = look(program_);
    const auto inner =
        std::ranges::find(stack.frames, "deep::inner(int)", &model::NativeFrame::function);
    ASSERT_NE(inner, stack.frames.end()) << describe(stack);
    EXPECT_EQ(inner->line, 6) << flags;
    EXPECT_EQ(inner->file, program_ + ".cc") << flags;
    EXPECT_EQ((inner + 1)->line, 11) << flags;
    child_.reset();
  }
}

TEST_F(NativeFiles, GivesSourceLinesWithoutAddressRanges) {
  if (!compile(kProgram, program_, "-g -O0") ||
      !shell("objcopy --remove-section=.debug_aranges " + program_)) {
    GTEST_SKIP() << "no compiler or objcopy";
  }
  const StackResult stack = look(program_);
  const auto inner =
      std::ranges::find(stack.frames, "deep::inner(int)", &model::NativeFrame::function);
  ASSERT_NE(inner, stack.frames.end()) << describe(stack);
  EXPECT_EQ(inner->line, 6);
}

TEST_F(NativeFiles, UnwindsAStrippedProgramWithoutNames) {
  if (!compile(kProgram, program_, "-O0")) GTEST_SKIP() << "no compiler";
  const StackResult named = look(program_);
  child_.reset();  // a running program cannot be written
  ASSERT_TRUE(shell("strip " + program_));
  const StackResult bare = look(program_);
  EXPECT_EQ(bare.note, "");
  ASSERT_EQ(bare.frames.size(), named.frames.size()) << describe(named) << describe(bare);
  std::size_t own = 0;
  for (std::size_t i = 0; i < bare.frames.size(); ++i) {
    EXPECT_EQ(bare.frames[i].module, named.frames[i].module);
    if (bare.frames[i].module != program_) continue;
    EXPECT_EQ(bare.frames[i].function, "");
    // Position independent: only the place in the page is the same.
    EXPECT_EQ(bare.frames[i].pc % 4096, named.frames[i].pc % 4096);
    ++own;
  }
  EXPECT_EQ(own, 4U);  // inner, outer, main, _start
}

TEST_F(NativeFiles, TakesNamesFromAStrippedLibrarysExports) {
  const std::string library = folder_.file("libdeep.so");
  if (!compile(R"(
#include <unistd.h>
static long __attribute__((noinline)) hidden(int fd) {
  char byte;
  long got = read(fd, &byte, 1);
  asm volatile("" ::: "memory");
  return got;
}
extern "C" long exported(int fd) {
  long got = hidden(fd);
  asm volatile("" ::: "memory");
  return got;
})",
               library, "-shared -fPIC -O0 -s") ||
      !compile(R"(
#include <unistd.h>
extern "C" long exported(int);
int main() {
  if (write(1, "x", 1) != 1) return 1;
  return static_cast<int>(exported(0));
})",
               program_, library)) {
    GTEST_SKIP() << "no compiler";
  }
  const StackResult stack = look(program_);
  EXPECT_EQ(stack.note, "");
  EXPECT_TRUE(has_run(stack, {"read", "", "exported", "main"})) << describe(stack);
}

class NativeDebugFiles : public NativeFiles {
 protected:
  // Strips the program; the debug file keeps what was taken, linked as `add_link` says.
  bool split(const char* flags) {
    debug_ = program_ + ".debug";
    return compile(kProgram, program_, flags) &&
           shell("objcopy --only-keep-debug " + program_ + " " + debug_) &&
           shell("objcopy --strip-all --add-gnu-debuglink=" + debug_ + " " + program_);
  }
  std::string debug_;
};

TEST_F(NativeDebugFiles, AreFoundByTheirLink) {
  for (const char* flags : {"-g -O0 -Wl,--build-id=sha1", "-g -O0 -Wl,--build-id=none"}) {
    if (!split(flags)) GTEST_SKIP() << "no compiler or objcopy";
    const StackResult stack = look(program_);
    EXPECT_TRUE(has_run(stack, kRun)) << flags << "\n" << describe(stack);
    const auto inner = std::ranges::find(stack.frames, kRun[0], &model::NativeFrame::function);
    ASSERT_NE(inner, stack.frames.end());
    EXPECT_EQ(inner->line, 6);
    child_.reset();
  }
}

TEST_F(NativeDebugFiles, OfAnotherBuildAreRefused) {
  for (const char* flags : {"-g -O0 -Wl,--build-id=sha1", "-g -O0 -Wl,--build-id=none"}) {
    if (!split(flags)) GTEST_SKIP() << "no compiler or objcopy";
    const std::string other = folder_.file("other");
    ASSERT_TRUE(compile(std::string("int unrelated() { return 1; }\n") + kProgram, other, flags));
    ASSERT_TRUE(shell("objcopy --only-keep-debug " + other + " " + debug_));
    const StackResult stack = look(program_);
    EXPECT_THAT(functions(stack), Not(Contains("main"))) << flags << "\n" << describe(stack);
    child_.reset();
  }
}

TEST_F(NativeFiles, WorksOnADeletedProgram) {
  if (!compile(kProgram, program_, "-O0")) GTEST_SKIP() << "no compiler";
  child_.emplace(Child::start({program_}));
  ASSERT_TRUE(blocks_in(child_->pid(), child_->pid(), SYS_read));
  ASSERT_TRUE(std::filesystem::remove(program_));
  // Another file by that name must not be taken for it.
  std::ofstream(program_) << "not the program";
  const StackResult stack = stack_of(child_->pid(), child_->pid());
  EXPECT_EQ(stack.note, "") << describe(stack);
  EXPECT_TRUE(has_run(stack, kRun)) << describe(stack);
  EXPECT_EQ(stack.frames.frames().back().module, program_);
}

TEST_F(NativeFiles, WorksOnADeletedLibraryWithoutPrivileges) {
  STUCKTRACE_NEEDS_PLAIN_FRAMES();
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody without privileges";
  const std::string library = folder_.file("libgone.so");
  if (!compile(R"(
#include <unistd.h>
extern "C" long gone(int fd) {
  char byte;
  long got = read(fd, &byte, 1);
  asm volatile("" ::: "memory");
  return got;
})",
               library, "-shared -fPIC -O0")) {
    GTEST_SKIP() << "no compiler";
  }
  constexpr uid_t kNobody = 65534;
  const auto drop = [] {
    if (::setresgid(kNobody, kNobody, kNobody) != 0 ||
        ::setresuid(kNobody, kNobody, kNobody) != 0) {
      ::_exit(3);
    }
    ::prctl(PR_SET_DUMPABLE, 1);
  };
  const Pipe never, results;
  const Child target = Child::fork_with([&] {
    void* handle = ::dlopen(library.c_str(), RTLD_NOW);
    if (handle == nullptr) return;
    const auto gone = reinterpret_cast<long (*)(int)>(::dlsym(handle, "gone"));
    drop();
    gone(never.read.get());
  });
  ASSERT_TRUE(blocks_in(target.pid(), target.pid(), SYS_read));
  ASSERT_TRUE(std::filesystem::remove(library));
  Child looker = Child::fork_with([&] {
    drop();
    const StackResult stack = stack_of(target.pid(), target.pid());
    std::string text = stack.note + "\n";
    for (const auto& frame : stack.frames) {
      text += frame.module.substr(frame.module.rfind('/') + 1) + ":" + frame.function + "\n";
    }
    if (::write(results.write.get(), text.data(), text.size()) < 0) ::_exit(4);
  });
  looker.reap();
  std::array<char, 8192> text{};
  const ssize_t got = ::read(results.read.get(), text.data(), text.size());
  ASSERT_GT(got, 0);
  const std::string seen(text.data(), static_cast<std::size_t>(got));
  if (seen.starts_with("not readable")) GTEST_SKIP() << "Yama forbids: " << seen;
  // Unwound through the library by its tables in memory, up to the start of the program.
  EXPECT_TRUE(seen.starts_with("\n")) << seen;
  EXPECT_THAT(seen, HasSubstr("\nlibgone.so:"));
  EXPECT_THAT(seen, HasSubstr(":main\n"));
  EXPECT_THAT(seen, HasSubstr(":_start\n"));
}

TEST_F(NativeFiles, AreReadOnceForManyProcesses) {
  if (!compile(kProgram, program_, "-O0")) GTEST_SKIP() << "no compiler";
  const Child one = Child::start({program_});
  const Child two = Child::start({program_});
  ASSERT_TRUE(blocks_in(one.pid(), one.pid(), SYS_read));
  ASSERT_TRUE(blocks_in(two.pid(), two.pid(), SYS_read));
  const auto files = std::make_shared<ElfFiles>();
  const StackResult first = NativeStacks(base::Pid{one.pid()}, files).stack(base::Tid{one.pid()});
  const StackResult second = NativeStacks(base::Pid{two.pid()}, files).stack(base::Tid{two.pid()});
  EXPECT_EQ(functions(first), functions(second));
  EXPECT_TRUE(has_run(second, kRun)) << describe(second);
  const auto module = files->open(program_, std::nullopt, program_, {});
  const auto again = files->open(program_, std::nullopt, program_, {});
  ASSERT_TRUE(module && again);
  EXPECT_EQ(*module, *again);
  EXPECT_FALSE(files->open(program_, std::uint64_t{1}, program_, {}));
}

TEST_F(NativeFiles, AsksNoNetworkForSymbols) {
  if (!compile(kProgram, program_, "-O0 -s")) GTEST_SKIP() << "no compiler";
  base::UniqueFd server(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(server.get(), 8), 0);
  ASSERT_EQ(::getsockname(server.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  ::setenv("DEBUGINFOD_URLS", url.c_str(), 1);
  const StackResult stack = look(program_);
  ::unsetenv("DEBUGINFOD_URLS");
  EXPECT_EQ(stack.note, "");
  EXPECT_EQ(::accept(server.get(), nullptr, nullptr), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(NativeFiles, EndsEarlyAndSaysSoWhereNeitherTablesNorCodeTell) {
  // How much room it takes on the stack is only known while it runs.
  std::string program = kProgram;
  program.replace(program.find("char byte;"), 10,
                  "volatile int size = 64; char byte; char* room = (char*)__builtin_alloca(size);"
                  "asm volatile(\"\" :: \"r\"(room) : \"memory\");");
  if (!compile(program, program_,
               "-O2 -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-exceptions")) {
    GTEST_SKIP() << "no compiler";
  }
  const StackResult stack = look(program_);
  ASSERT_EQ(stack.frames.size(), 2U) << describe(stack);
  EXPECT_EQ(stack.frames[0].function, "read");
  EXPECT_EQ(stack.frames[1].function, "deep::inner(int)");
  EXPECT_THAT(stack.note, HasSubstr("no unwind tables")) << describe(stack);
}

#if defined(__x86_64__)
TEST_F(NativeFiles, GoesOnWhereASignalInterruptedCodeWithoutUnwindTables) {
  constexpr const char* kInterrupted = R"(
#include <signal.h>
#include <unistd.h>
extern "C" void handler(int) { char byte; if (read(0, &byte, 1) > 0) _exit(1); }
extern "C" [[gnu::noinline]] void faults(volatile int* at) { *at = 1; asm volatile("" ::: "memory"); }
int main() {
  signal(SIGSEGV, handler);
  if (write(1, "x", 1) != 1) return 1;
  faults(nullptr);
  return 2;
}
)";
  if (!compile(kInterrupted, program_, "-O1 -fno-asynchronous-unwind-tables -fno-exceptions")) {
    GTEST_SKIP() << "no compiler";
  }
  const StackResult stack = look(program_);
  EXPECT_EQ(stack.note, "") << describe(stack);
  const auto names = functions(stack);
  ASSERT_GE(names.size(), 6U) << describe(stack);
  const std::vector<std::string> wanted{"read", "handler", "__restore_rt", "faults", "main"};
  EXPECT_EQ(std::vector(names.begin(), names.begin() + 5), wanted) << describe(stack);
  EXPECT_EQ(names.back(), "_start") << describe(stack);
}
#endif

}  // namespace
}  // namespace stucktrace::unwind::testing
