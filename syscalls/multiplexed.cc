#include "syscalls/multiplexed.h"

#include <array>
#include <span>

namespace stucktrace::syscalls {
namespace {

constexpr std::int64_t kSelect = 82;  // old_select
constexpr std::int64_t kMmap = 90;    // old_mmap
constexpr std::int64_t kSocketcall = 102;
constexpr std::int64_t kIpc = 117;

// Arguments of each part of socketcall, by its number (net/socket.c).
constexpr std::array<std::size_t, 21> kSocketcallArguments = {0, 3, 3, 3, 2, 3, 3, 3, 4, 4, 4,
                                                              6, 6, 2, 5, 5, 3, 3, 4, 5, 4};

RawCall part(std::int64_t number, std::array<std::uint64_t, 6> args) {
  return {Abi::kI386, number, args};
}

// `count` words of four bytes; the rest of the six stay zero.
bool read_words(const RemoteMemory& memory, std::uint64_t address, std::size_t count,
                std::array<std::uint64_t, 6>& out) {
  std::array<std::uint32_t, 6> words{};
  const auto room = std::as_writable_bytes(std::span{words}.first(count));
  if (address == 0 || memory.read(base::RemoteAddr{address}, room) < room.size()) return false;
  for (std::size_t i = 0; i < count; ++i) out[i] = words[i];
  return true;
}

RawCall socket_part(const RawCall& call, const RemoteMemory& memory) {
  const std::uint64_t which = static_cast<std::uint32_t>(call.args[0]);
  if (which == 0 || which >= kSocketcallArguments.size()) return call;
  std::array<std::uint64_t, 6> args{};
  const auto count = kSocketcallArguments[static_cast<std::size_t>(which)];
  if (!read_words(memory, call.args[1], count, args)) return call;
  return part(kSocketcallParts + static_cast<std::int64_t>(which), args);
}

RawCall ipc_part(const RawCall& call, const RemoteMemory& memory) {
  // ipc(call, first, second, third, ptr, fifth); the version is in the upper half of `call`, and
  // the one of 0 passes the message type of msgrcv in memory (ipc/syscall.c).
  constexpr std::uint32_t kMsgrcv = 12;
  constexpr std::uint32_t kSemctl = 3;
  const auto [word, first, second, third, pointer, fifth] = call.args;
  const auto which = static_cast<std::uint32_t>(word) & 0xffffU;
  const bool first_version = static_cast<std::uint32_t>(word) >> 16 == 0;
  const std::int64_t number = kIpcParts + which;
  switch (which) {
    case 1:  // semop
      return part(number, {first, pointer, second});
    case 2:  // semget
      return part(number, {first, second, third});
    case kSemctl: {
      std::array<std::uint64_t, 6> value{};  // union semun, by value in semctl(2) itself
      if (!read_words(memory, pointer, 1, value)) return call;
      return part(number, {first, second, third, value[0]});
    }
    case 4:  // semtimedop
      return part(number, {first, pointer, second, fifth});
    case 11:  // msgsnd
      return part(number, {first, pointer, second, third});
    case kMsgrcv: {
      if (!first_version) return part(number, {first, pointer, second, fifth, third});
      std::array<std::uint64_t, 6> kludge{};  // struct ipc_kludge: the buffer and the type
      if (!read_words(memory, pointer, 2, kludge)) return call;
      return part(number, {first, kludge[0], second, kludge[1], third});
    }
    case 13:  // msgget
      return part(number, {first, second});
    case 14:  // msgctl
    case 24:  // shmctl
      return part(number, {first, second, pointer});
    case 21:  // shmat; the address it attached at goes to `third`
      return part(number, {first, pointer, second, third});
    case 22:  // shmdt
      return part(number, {pointer});
    case 23:  // shmget
      return part(number, {first, second, third});
    default:
      return call;
  }
}

RawCall with_pointed_arguments(const RawCall& call, const RemoteMemory& memory, std::int64_t number,
                               std::size_t count) {
  std::array<std::uint64_t, 6> args{};
  if (!read_words(memory, call.args[0], count, args)) return call;
  return part(number, args);
}

}  // namespace

std::int64_t whole_number(std::int64_t number) {
  if (!is_part_number(number)) return number;
  if (number == kOldMmapPart) return kMmap;
  if (number == kOldSelectPart) return kSelect;
  return number < kIpcParts ? kSocketcall : kIpc;
}

RawCall unfolded(const RawCall& call, const RemoteMemory& memory) {
  if (call.abi != Abi::kI386) return call;
  switch (call.number) {
    case kSocketcall:
      return socket_part(call, memory);
    case kIpc:
      return ipc_part(call, memory);
    case kMmap:
      return with_pointed_arguments(call, memory, kOldMmapPart, 6);
    case kSelect:
      return with_pointed_arguments(call, memory, kOldSelectPart, 5);
    default:
      return call;
  }
}

}  // namespace stucktrace::syscalls
