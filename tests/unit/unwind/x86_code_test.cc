#include "tracer/unwind/x86_code.h"

#include <gtest/gtest.h>
#include <link.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stucktrace::unwind {
namespace {

using Kind = X86Instruction::Kind;

constexpr std::uint64_t kAddress = 0x401000;

std::vector<std::byte> bytes(std::initializer_list<unsigned> values) {
  std::vector<std::byte> result;
  for (const unsigned value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

X86Instruction decode(std::initializer_list<unsigned> values) {
  std::vector<std::byte> code = bytes(values);
  code.push_back(std::byte{0x90});  // what follows is not of interest
  const auto result = decode_x86(kAddress, code);
  EXPECT_TRUE(result);
  if (!result) return {};
  EXPECT_EQ(result->length, values.size());
  return *result;
}

void expect_move(std::initializer_list<unsigned> values, std::int64_t by) {
  const X86Instruction got = decode(values);
  EXPECT_EQ(got.kind, Kind::kMoveStack);
  EXPECT_EQ(got.value, by);
}

TEST(X86Code, PushesAndPopsMoveTheStackPointer) {
  expect_move({0x50}, -8);                                 // push rax
  expect_move({0x41, 0x57}, -8);                           // push r15
  expect_move({0x68, 1, 2, 3, 4}, -8);                     // push imm32
  expect_move({0x6a, 0x10}, -8);                           // push imm8
  expect_move({0xff, 0x35, 1, 2, 3, 4}, -8);               // push [rip+...]
  expect_move({0xff, 0x74, 0x24, 0x08}, -8);               // push [rsp+8]
  expect_move({0x9c}, -8);                                 // pushf
  expect_move({0x66, 0x50}, -2);                           // push ax
  expect_move({0x5b}, 8);                                  // pop rbx
  expect_move({0x41, 0x5d}, 8);                            // pop r13, not rbp
  expect_move({0x8f, 0x44, 0x24, 0x08}, 8);                // pop [rsp+8]
  EXPECT_EQ(decode({0x5d}).kind, Kind::kPopFramePointer);  // pop rbp
  EXPECT_EQ(decode({0x5c}).kind, Kind::kLoseStack);        // pop rsp
}

TEST(X86Code, ArithmeticMovesTheStackPointer) {
  expect_move({0x48, 0x83, 0xec, 0x68}, -0x68);
  expect_move({0x48, 0x83, 0xec, 0x80}, 0x80);  // sub rsp,-128
  expect_move({0x48, 0x81, 0xec, 0x00, 0x10, 0, 0}, -0x1000);
  expect_move({0x48, 0x83, 0xc4, 0x08}, 8);
  expect_move({0x48, 0x8d, 0x64, 0x24, 0xf8}, -8);                     // lea rsp,[rsp-8]
  expect_move({0x48, 0x8d, 0xa4, 0x24, 0, 1, 0, 0}, 0x100);            // lea rsp,[rsp+256]
  EXPECT_EQ(decode({0x48, 0x83, 0xe4, 0xf0}).kind, Kind::kLoseStack);  // and rsp,-16
  EXPECT_EQ(decode({0x48, 0x29, 0xc4}).kind, Kind::kLoseStack);        // sub rsp,rax
  EXPECT_EQ(decode({0x48, 0x89, 0xfc}).kind, Kind::kLoseStack);        // mov rsp,rdi
  EXPECT_EQ(decode({0x48, 0x94}).kind, Kind::kLoseStack);              // xchg rsp,rax
  EXPECT_EQ(decode({0x48, 0x83, 0xfc, 0x10}).kind, Kind::kOther);      // cmp rsp,16
  EXPECT_EQ(decode({0x49, 0x83, 0xc4, 0x08}).kind, Kind::kOther);      // add r12,8
  EXPECT_EQ(decode({0x48, 0x89, 0x24, 0x24}).kind, Kind::kOther);      // mov [rsp],rsp
  EXPECT_EQ(decode({0x0f, 0x28, 0xe0}).kind, Kind::kOther);            // movaps xmm4,xmm0
}

TEST(X86Code, FollowsTheFramePointer) {
  EXPECT_EQ(decode({0x48, 0x89, 0xe5}).kind, Kind::kSetFramePointer);
  EXPECT_EQ(decode({0x48, 0x8b, 0xec}).kind, Kind::kSetFramePointer);
  EXPECT_EQ(decode({0x48, 0x8d, 0x6c, 0x24, 0x10}).value, 0x10);  // lea rbp,[rsp+16]
  EXPECT_EQ(decode({0x48, 0x8d, 0x65, 0xd8}).kind, Kind::kFromFramePointer);
  EXPECT_EQ(decode({0x48, 0x8d, 0x65, 0xd8}).value, -0x28);
  EXPECT_EQ(decode({0x48, 0x89, 0xec}).kind, Kind::kFromFramePointer);
  EXPECT_EQ(decode({0xc9}).kind, Kind::kLeave);
  EXPECT_EQ(decode({0x48, 0x8b, 0x6f, 0x08}).kind, Kind::kLoseFramePointer);  // mov rbp,[rdi+8]
  EXPECT_EQ(decode({0x31, 0xed}).kind, Kind::kLoseFramePointer);              // xor ebp,ebp
  EXPECT_EQ(decode({0x48, 0x8d, 0x64, 0x05, 0}).kind, Kind::kLoseStack);      // lea rsp,[rbp+rax]
}

TEST(X86Code, KnowsWhereControlGoes) {
  EXPECT_EQ(decode({0xe8, 0xfb, 0x0f, 0, 0}).target, kAddress + 0x1000);
  EXPECT_EQ(decode({0x66, 0x66, 0x48, 0xe8, 0xf8, 0x0f, 0, 0}).target, kAddress + 0x1000);
  EXPECT_EQ(decode({0xeb, 0xfe}).target, kAddress);
  EXPECT_EQ(decode({0xeb, 0xfe}).kind, Kind::kJump);
  EXPECT_EQ(decode({0x74, 0x0e}).target, kAddress + 0x10);
  EXPECT_EQ(decode({0x0f, 0x85, 0xfa, 0, 0, 0}).target, kAddress + 0x100);
  EXPECT_EQ(decode({0x0f, 0x85, 0xfa, 0, 0, 0}).kind, Kind::kBranch);
  EXPECT_EQ(decode({0xff, 0x25, 0xfa, 0, 0, 0}).pointer, kAddress + 0x100);  // jmp [rip+250]
  EXPECT_EQ(decode({0xf2, 0xff, 0x25, 0xf9, 0, 0, 0}).pointer, kAddress + 0x100);
  EXPECT_EQ(decode({0xff, 0x15, 0xfa, 0, 0, 0}).kind, Kind::kCall);
  EXPECT_EQ(decode({0x41, 0xff, 0xd1}).kind, Kind::kCall);  // call r9
  EXPECT_FALSE(decode({0x41, 0xff, 0xd1}).target);
  EXPECT_FALSE(decode({0x41, 0xff, 0xd1}).pointer);
  EXPECT_EQ(decode({0x3e, 0xff, 0xe0}).kind, Kind::kJump);  // notrack jmp rax
  for (const auto& last : {bytes({0xc3}), bytes({0xf4}), bytes({0x0f, 0x0b}), bytes({0xcc})}) {
    const auto got = decode_x86(kAddress, last);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->kind, Kind::kEnd);
  }
  EXPECT_EQ(decode({0x0f, 0x05}).kind, Kind::kOther);  // syscall
}

TEST(X86Code, RefusesWhatIsCutOrNoInstruction) {
  for (const auto& code :
       {bytes({}), bytes({0x66}), bytes({0xe8, 0, 0, 0}), bytes({0x0f}), bytes({0x48, 0x83}),
        bytes({0x48, 0x83, 0xec}), bytes({0x8b, 0x84, 0x24}), bytes({0xc4, 0xe2}), bytes({0x06}),
        bytes({0x9a, 0, 0, 0, 0, 0, 0})}) {
    EXPECT_FALSE(decode_x86(kAddress, code));
  }
  EXPECT_FALSE(decode_x86(kAddress, std::vector<std::byte>(64, std::byte{0x66})));
}

#if defined(__x86_64__)

// ---- against a disassembler ---------------------------------------------------------------------

struct Listed {
  std::uint64_t address = 0;
  std::vector<std::byte> code;
  std::string mnemonic;
};

// A line of `objdump -d -w`: "  26000:\t48 83 ec 08  \tsub    $0x8,%rsp".
std::optional<Listed> listed(std::string_view line) {
  const std::size_t colon = line.find(":\t");
  if (!line.starts_with(" ") || colon == std::string_view::npos) return std::nullopt;
  Listed result;
  result.address = std::strtoull(std::string(line).c_str(), nullptr, 16);
  const std::size_t text = line.find('\t', colon + 2);
  if (text == std::string_view::npos) return std::nullopt;
  const std::string_view code = line.substr(colon + 2, text - colon - 2);
  for (std::size_t at = 0; at + 1 < code.size() && std::isxdigit(code[at]) != 0; at += 3) {
    result.code.push_back(
        static_cast<std::byte>(std::strtoul(std::string(code.substr(at, 2)).c_str(), nullptr, 16)));
  }
  const std::string_view mnemonic = line.substr(text + 1);
  result.mnemonic = mnemonic.substr(0, mnemonic.find_first_of(" \n"));
  return result;
}

TEST(X86Code, MeasuresEveryInstructionOfTheCLibraryAsObjdumpDoes) {
  std::string library;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* found) {
        const std::string_view name = info->dlpi_name;
        if (name.find("/libc.so") != std::string_view::npos) {
          *static_cast<std::string*>(found) = name;
        }
        return 0;
      },
      &library);
  if (library.empty()) GTEST_SKIP() << "no C library of its own";
  const std::unique_ptr<FILE, int (*)(FILE*)> output(
      ::popen(("objdump -d -w " + library + " 2>/dev/null").c_str(), "r"), ::pclose);
  ASSERT_TRUE(output);
  std::size_t seen = 0, wrong = 0;
  char line[4096];
  while (std::fgets(line, sizeof line, output.get()) != nullptr) {
    auto one = listed(line);
    // Prefixes and bytes that objdump could make nothing of.
    if (!one || one->mnemonic.empty() || one->mnemonic[0] == '.' || one->mnemonic[0] == '(')
      continue;
    ++seen;
    const std::size_t length = one->code.size();
    one->code.resize(length + kLongestX86Instruction, std::byte{0x90});
    const auto got = decode_x86(one->address, one->code);
    if (got && got->length == length) continue;
    if (++wrong < 10) ADD_FAILURE() << line << " but " << (got ? got->length : 0) << " bytes";
  }
  if (seen == 0) GTEST_SKIP() << "no objdump here";
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(seen, 100'000U);
}

#endif

}  // namespace
}  // namespace stucktrace::unwind
