// usage: foreign_calls
//
// A 64-bit program that makes calls of the machine's other ABIs: a write by the i386 way (int
// 0x80), and three by x32 numbers, which most kernels refuse with ENOSYS. Prints what each gave.
// Waits for one byte on stdin or its end before it begins.

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "target/target.h"

namespace {

long i386_call(std::uint32_t number, std::uint32_t first, std::uint32_t second,
               std::uint32_t third) {
  std::int32_t result = 0;
  asm volatile("int $0x80"
               : "=a"(result)
               : "a"(number), "b"(first), "c"(second), "d"(third)
               : "memory", "r8", "r9", "r10", "r11");
  return result;
}

}  // namespace

int main() {
  target::announce_ready();
  target::wait_for_go();
  // An i386 call sees the low half of an address.
  constexpr std::size_t kPage = 4096;
  void* const low = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (low == MAP_FAILED) target::fail("mmap");
  constexpr std::uint32_t kI386Write = 4;
  constexpr char kText[] = "by int 0x80\n";
  std::memcpy(low, kText, sizeof kText);
  const auto address = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(low));
  const long written = i386_call(kI386Write, STDOUT_FILENO, address, sizeof kText - 1);
  target::say("write %ld", written);

  constexpr long kX32Bit = 0x40000000;
  const auto x32_call = [](long number) {
    const long result = ::syscall(kX32Bit | number, -1, nullptr, 0);
    return result < 0 ? -errno : result;
  };
  target::say("x32 close %ld", x32_call(SYS_close));
  constexpr long kX32Writev = 516;
  constexpr long kNobodys = 600;
  target::say("x32 writev %ld", x32_call(kX32Writev));
  target::say("x32 600 %ld", x32_call(kNobodys));
  return 3;
}
