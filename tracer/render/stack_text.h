#pragma once

#include "tracer/model/snapshot.h"
#include "tracer/render/page.h"

namespace stucktrace::render {

// The stacks of all threads; threads of one program with the same stack share it.
void write_stacks(const model::Snapshot& snapshot, Page& page);

}  // namespace stucktrace::render
