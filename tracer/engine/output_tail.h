#pragma once

#include <optional>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/kernel/procfs.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::engine {

// The last line of stdout and stderr where they are regular files; reads at most 4 KiB of each.
// Only regular files are ever opened, and only after the kernel has said that they are.
std::vector<model::OutputTail> read_output_tails(const kernel::Procfs& procfs, base::Pid pid,
                                                 const std::vector<model::FdEntry>& fds);

}  // namespace stucktrace::engine
