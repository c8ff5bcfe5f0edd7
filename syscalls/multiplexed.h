#pragma once

#include "syscalls/decode.h"
#include "syscalls/memory.h"

namespace stucktrace::syscalls {

// i386 has calls that are many in one: socketcall(2) and ipc(2), whose first argument says which,
// and the old mmap(2) and select(2), whose single argument points at the real ones. Each part has a
// row of its own in the table, under a number no kernel uses, and the identity of the call it is,
// so that whoever asks what a call does need not know of them.

inline constexpr std::int64_t kSocketcallParts = 1000;  // + the call's number in linux/net.h
inline constexpr std::int64_t kIpcParts = 1100;         // + the call's number in linux/ipc.h
inline constexpr std::int64_t kOldMmapPart = 1200;
inline constexpr std::int64_t kOldSelectPart = 1201;
inline constexpr std::int64_t kPartNumberEnd = 1202;

// An i386 number that unfolded() made.
constexpr bool is_part_number(std::int64_t number) {
  return number >= kSocketcallParts && number < kPartNumberEnd;
}

// The number of the call that a part belongs to; any other number as it is.
std::int64_t whole_number(std::int64_t number);

// The part of a call that is many in one, with the part's own arguments, read from the task's
// memory where they are there. Any other call, and one whose arguments cannot be read or name no
// part, comes back as it is. To be asked at the call's entry: the task may change the memory later.
RawCall unfolded(const RawCall& call, const RemoteMemory& memory);

}  // namespace stucktrace::syscalls
