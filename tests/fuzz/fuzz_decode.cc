#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "syscalls/decode.h"
#include "syscalls/io.h"
#include "syscalls/memory.h"
#include "syscalls/multiplexed.h"

// The input is a call (number, six arguments, result) followed by the tracee's memory, which every
// address maps into: structures full of hostile pointers and counts are the point.

namespace {

using namespace stucktrace;

class InputMemory final : public syscalls::RemoteMemory {
 public:
  explicit InputMemory(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::size_t read(base::RemoteAddr address, std::span<std::byte> out) const override {
    if (bytes_.empty() || out.empty()) return 0;
    const auto at = static_cast<std::size_t>(address.value() % bytes_.size());
    const std::size_t size = std::min(out.size(), bytes_.size() - at);
    std::memcpy(out.data(), bytes_.data() + at, size);
    return size;
  }

 private:
  std::span<const std::byte> bytes_;
};

void exercise(const syscalls::RawCall& call, const std::optional<syscalls::RawResult>& result,
              const syscalls::RemoteMemory& memory) {
  const auto decoded = syscalls::decode(call, result, memory);
  for (const auto& argument : decoded.args) syscalls::to_text(argument.value);
  if (decoded.result) syscalls::to_text(*decoded.result);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> input{reinterpret_cast<const std::byte*>(data), size};
  struct Head {
    std::uint16_t number = 0;
    std::uint8_t abi = 0;
    std::uint8_t payload = 0;
    std::uint32_t pad = 0;
    std::int64_t result = 0;
    std::uint64_t args[6] = {};
  } head;
  if (input.size() < sizeof(head)) return 0;
  std::memcpy(&head, input.data(), sizeof(head));

  syscalls::RawCall call;
  call.abi = static_cast<syscalls::Abi>(head.abi % 5);
  call.number = head.number;
  if (call.abi == syscalls::Abi::kX32) call.number |= 0x40000000;
  std::copy(std::begin(head.args), std::end(head.args), call.args.begin());
  const syscalls::RawResult result{head.result, head.result < 0};
  const InputMemory memory{input.subspan(sizeof(head))};

  exercise(call, std::nullopt, memory);
  exercise(call, result, memory);
  exercise(syscalls::unfolded(call, memory), result, memory);
  syscalls::CaptureOptions options;
  options.payload = static_cast<syscalls::Payload>(head.payload % 3);
  options.output_fd = (head.payload & 4) != 0;
  syscalls::CapturedMemory kept;
  syscalls::capture_enter(call, memory, options, kept);
  syscalls::capture_exit(call, result, memory, options, kept);
  exercise(call, result, kept);

  syscalls::io_fd(call);
  syscalls::io_fds(call);
  syscalls::polled_fds(call, memory);
  syscalls::call_timeout(call, memory);
  syscalls::is_nonblocking_probe(call, memory);
  syscalls::written_bytes(call, head.result, memory);
  return 0;
}
