#pragma once

#include <string>
#include <vector>

#include "syscalls/decode.h"
#include "syscalls/memory.h"
#include "tracer/model/resource.h"

namespace stucktrace::engine {

// "write(4<pipe:[25725]>, 0x7f12, 200009)": the call for people, in strace's notation, descriptors
// named by `fds`. Contents of buffers are never shown, only where they are; paths are.
std::string call_text(const syscalls::RawCall& call, const syscalls::RemoteMemory& memory,
                      const std::vector<model::FdEntry>& fds);

}  // namespace stucktrace::engine
