#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/cli/sampler.h"
#include "tracer/model/verdict.h"

namespace stucktrace::cli {

// The look before the tree is ended.
struct LastLook {
  model::Ended ended;
  base::Nanoseconds settle{};
  base::Nanoseconds time_limit{};  // of each of its two
  std::vector<base::Pid> also{};   // what belongs to the tree and is found nowhere below it
};

// How far a session has come with it.
class LastLookStage {
 public:
  void want(LastLook look) {
    look_ = std::move(look);
    if (stage_ == Stage::kNone) stage_ = Stage::kWanted;
  }
  // From then on no other look is begun.
  bool wanted() const { return stage_ != Stage::kNone; }
  bool asked() const { return stage_ == Stage::kAsked; }
  bool over() const { return stage_ == Stage::kOver; }

  // It begins with this.
  SampleRequest ask(std::vector<base::Pid> roots) {
    stage_ = Stage::kAsked;
    for (const base::Pid pid : look_.also) {
      if (std::ranges::find(roots, pid) == roots.end()) roots.push_back(pid);
    }
    return {.roots = std::move(roots), .settle = look_.settle, .time_limit = look_.time_limit};
  }
  void end() { stage_ = Stage::kOver; }

  // Why the tree is ended, and that nobody had a last look.
  void tell(model::Report& report) const {
    if (!wanted()) return;
    report.ended = look_.ended;
    if (over()) return;
    report.could_not_see.emplace_back(
        "the last look at the tree was not over within its limit, or before the tree's end");
  }

 private:
  enum class Stage : std::uint8_t {
    kNone,    // the tree is not going to be ended
    kWanted,  // another look may still be going on
    kAsked,   // of the sampler
    kOver,    // whatever came of it
  };
  Stage stage_ = Stage::kNone;
  LastLook look_;
};

}  // namespace stucktrace::cli
