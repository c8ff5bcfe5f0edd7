#pragma once

#include <string>
#include <vector>

#include "tracer/model/verdict.h"
#include "tracer/render/page.h"

namespace stucktrace::render {

// What a tree does that is not stuck.
struct TreeActivity {
  const model::Process* root = nullptr;
  std::size_t processes = 0;
  std::size_t threads = 0;
  model::ThreadVerdict verdict = model::ThreadVerdict::kWaiting;  // of its liveliest thread
  std::string text;  // "idle: waits for child 12", "slow: 2 of 9 threads moved between the looks"
};

// One entry a tree: the roots looked at, or with --all the children of the roots and the roots by
// themselves. Only processes of the trees, in the order of the snapshot's roots.
std::vector<TreeActivity> tree_activities(const model::Report& report);

// "Nothing is stuck: ...", and how many threads could not be looked into.
std::string calm_sentence(const model::Report& report);
// One line a tree; with one tree also its threads, equal waits together; at the end, where some
// were only caught napping or moving, the command for a longer look.
void write_calm(const model::Report& report, Page& page);

}  // namespace stucktrace::render
