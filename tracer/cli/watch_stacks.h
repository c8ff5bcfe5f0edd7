#pragma once

#include "tracer/model/snapshot.h"

namespace stucktrace::cli {

// Reading stacks is the dear part of a look. Where no thread of the tree has run since `then`, a
// look with stacks, nothing there has changed in its memory either: `now`, a look without, gets
// what was read then, deadlines coming nearer by the time between. Returns false and changes
// nothing where anything has moved, come or gone, or a lock's owner is not in the tree.
bool carry_stacks(const model::Snapshot& then, model::Snapshot& now);

}  // namespace stucktrace::cli
