#pragma once

#include <span>

#include "tracer/engine/wait_reader.h"
#include "tracer/kernel/procfs.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::engine {

// Where `process` is a Java virtual machine: names the owners of the locks that its threads wait
// for. Their waits have been read. Costs nothing where fewer threads sleep in futexes than every
// such machine has, and a look at the mappings where it is no such machine.
void name_java_owners(const kernel::Procfs& procfs, const ProcessView& process,
                      std::span<model::Thread> threads);

}  // namespace stucktrace::engine
