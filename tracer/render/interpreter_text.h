#pragma once

#include "tracer/model/snapshot.h"
#include "tracer/render/page.h"

namespace stucktrace::render {

// What the interpreters of a snapshot say of themselves: version, who has the lock, the tasks of
// asyncio. Nothing where there is none.
void write_interpreters(const model::Snapshot& snapshot, Page& page);

}  // namespace stucktrace::render
