#include "tracer/engine/futex_musl.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

namespace stucktrace::engine {
namespace {

using Role = model::OnFutex::Role;

class WordMemory final : public syscalls::RemoteMemory {
 public:
  void put64(std::uint64_t address, std::uint64_t value) { put(address, value, 8); }
  void put32(std::uint64_t address, std::uint32_t value) { put(address, value, 4); }
  std::size_t read(base::RemoteAddr address, std::span<std::byte> out) const override {
    std::size_t done = 0;
    for (; done < out.size(); ++done) {
      const auto at = address.value() + done;
      if (at < kFirst || at >= kEnd) break;
      const auto found = bytes_.find(at);
      out[done] = found == bytes_.end() ? std::byte{0} : found->second;
    }
    return done;
  }

 private:
  static constexpr std::uint64_t kFirst = 0x1000, kEnd = 0x10000;
  void put(std::uint64_t address, std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes_[address++] = static_cast<std::byte>(value >> (8 * i));
  }
  std::map<std::uint64_t, std::byte> bytes_;
};

class FutexMusl : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kThread = 0x2000, kNext = 0x3000, kMutex = 0x4000;

  void put_thread(std::uint64_t tid_offset) {
    memory_.put64(kThread, kThread);
    memory_.put64(kThread + 16, kNext);
    memory_.put64(kThread + 24, kNext);
    memory_.put64(kNext, kNext);
    memory_.put64(kNext + 16, kThread);
    memory_.put64(kNext + 24, kThread);
    memory_.put32(kThread + tid_offset, 42);
    memory_.put32(kThread + tid_offset + 8, 2);
  }
  void put_mutex(std::uint32_t type, std::uint32_t lock) {
    memory_.put32(kMutex, type);
    memory_.put32(kMutex + 4, lock);
    memory_.put32(kMutex + 8, 1);
    memory_.put64(kMutex + 24, kThread + 0x80);
    memory_.put64(kMutex + 32, kThread + 0x80);
  }
  std::optional<FutexRole> role(std::uint64_t address, std::uint32_t word, bool is_private = true) {
    FutexCall call;
    call.address = base::RemoteAddr{address};
    call.word = call.expected = word;
    call.is_private = is_private;
    return find_musl_role(call, memory_, [](std::int32_t tid) { return tid == 42; });
  }

  WordMemory memory_;
};

TEST_F(FutexMusl, AJoinNamesItsThread) {
  for (const std::uint64_t tid_offset : {48U, 56U}) {
    memory_ = {};
    put_thread(tid_offset);
    const auto found = role(kThread + tid_offset + 8, 2);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->role, Role::kJoin);
    EXPECT_EQ(found->owner, 42);
  }
}

TEST_F(FutexMusl, AJoinIsBelievedOnlyWhereEveryFieldAgrees) {
  put_thread(48);
  EXPECT_FALSE(role(kThread + 56, 3)) << "detached";
  memory_.put64(kNext + 16, kNext);
  EXPECT_FALSE(role(kThread + 56, 2)) << "no member of the ring";
  put_thread(48);
  memory_.put64(kThread, kNext);
  EXPECT_FALSE(role(kThread + 56, 2)) << "another's";
  put_thread(48);
  memory_.put32(kThread + 48, 43);
  EXPECT_FALSE(role(kThread + 56, 2)) << "no thread of that number";
  EXPECT_FALSE(role(0x1004, 2)) << "nothing can lie before it";
}

TEST_F(FutexMusl, AMutexThatKeepsItsOwnerNamesIt) {
  for (const std::uint32_t type : {1U, 2U, 4U, 5U}) {
    put_mutex(type, 0x80000000U | 42);
    const auto found = role(kMutex + 4, 0x80000000U | 42);
    ASSERT_TRUE(found) << type;
    EXPECT_EQ(found->role, Role::kMutex);
    EXPECT_EQ(found->owner, 42);
  }
  put_mutex(2 | 128, 0x80000000U | 42);
  EXPECT_TRUE(role(kMutex + 4, 0x80000000U | 42, false));
  EXPECT_FALSE(role(kMutex + 4, 0x80000000U | 42, true));
}

TEST_F(FutexMusl, AMutexIsBelievedOnlyWhereEveryFieldAgrees) {
  put_mutex(0, 0x80000010U);
  EXPECT_FALSE(role(kMutex + 4, 0x80000010U)) << "a normal one has no owner's name";
  put_mutex(1, 0x80000000U | 43);
  EXPECT_FALSE(role(kMutex + 4, 0x80000000U | 43)) << "no thread of that number";
  put_mutex(1, 42);
  EXPECT_FALSE(role(kMutex + 4, 42)) << "nobody waits";
  put_mutex(0x100 | 1, 0x80000000U | 42);
  EXPECT_FALSE(role(kMutex + 4, 0x80000000U | 42)) << "no such type";
  put_mutex(1, 0x80000000U | 42);
  memory_.put64(kMutex + 32, 0);
  EXPECT_FALSE(role(kMutex + 4, 0x80000000U | 42)) << "in no list";
}

}  // namespace
}  // namespace stucktrace::engine
