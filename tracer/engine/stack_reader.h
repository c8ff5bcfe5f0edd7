#pragma once

#include <memory>

#include "tracer/model/snapshot.h"

namespace stucktrace::unwind {
class ElfFiles;
}

namespace stucktrace::engine {

struct StackKinds {
  bool native = true;
  bool python = true;
};

// Adds the stacks of a process's blocked threads, and what the runtime says of all its threads:
// their names, and deadlines held in frames. Stops nothing.
void read_stacks(model::Process& process, StackKinds kinds,
                 const std::shared_ptr<unwind::ElfFiles>& files);

}  // namespace stucktrace::engine
