#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/base/unique_fd.h"
#include "tracer/cli/analysis.h"
#include "tracer/engine/snapshotter.h"
#include "tracer/render/watch_book.h"

namespace stucktrace::cli {

struct WatchPlan {
  std::vector<base::Pid> roots;
  base::Nanoseconds interval{};  // at least `settle`
  base::Nanoseconds settle{};
  diagnose::Settings diagnosis;
};

// One look after another, each compared with the one before. Passive, as for `explain`, and sees
// what that sees: stacks are the dear part of a look, so they are read while something is found,
// when asked for, and else from time to time, since some findings show in stacks only. For one
// thread.
class WatchEye {
 public:
  WatchEye(WatchPlan plan, std::unique_ptr<Analysis> analysis);

  // kGone when the watched processes have ended. Looks less than a settle time apart find nothing.
  base::Result<render::WatchLook> look(bool with_stacks);
  // How long after a look the next one is due.
  base::Nanoseconds pause() const;
  // Whether the last look read stacks anew, and so was dear.
  bool was_dear() const { return dear_; }

 private:
  using Look = std::shared_ptr<model::Snapshot>;

  enum class Stacks : std::uint8_t { kNone, kTree, kAll };  // kAll: of bystanders as well

  base::Result<Look> take(Stacks stacks);
  base::Result<void> add_stacks(Look& now, Stacks wanted);
  bool drop_reused_roots(const model::Snapshot& now);
  void keep_roles(model::Snapshot& now);

  WatchPlan plan_;
  std::unique_ptr<Analysis> analysis_;
  engine::Snapshotter snapshotter_;
  Look before_;
  Look older_;                                // at least one settle time before `before_`
  Stacks has_ = Stacks::kNone;                // the look before
  bool found_ = false;                        // by the look before
  std::optional<base::Instant> stacks_read_;  // last
  std::map<base::Pid, std::uint64_t> root_started_;
  // Roles stay what they were while processes come and go.
  std::map<std::pair<base::Pid, std::uint64_t>, std::string> roles_;
  int last_role_ = 0;
  int looks_ = 0;
  bool dear_ = false;
};

// Looks on a thread of its own, so that keys are answered while a large tree is read.
class WatchLooker {
 public:
  static base::Result<std::unique_ptr<WatchLooker>> start(WatchPlan plan);
  ~WatchLooker();

  // Readable while there is something to take.
  int ready_fd() const { return ready_.get(); }
  struct News {
    std::optional<render::WatchLook> look;  // the newest
    bool ended = false;                     // there will be no other
  };
  News take();

  void pause(bool paused);
  // From now on every look has stacks; the first one comes as soon as looks may follow each other.
  void want_stacks(bool wanted);

 private:
  WatchLooker(base::UniqueFd ready, base::Nanoseconds settle)
      : ready_(std::move(ready)), settle_(settle) {}
  void work(const std::stop_token& stop, std::unique_ptr<WatchEye> eye);

  base::UniqueFd ready_;  // eventfd
  std::mutex mutex_;
  std::condition_variable_any wake_;
  News news_;
  bool paused_ = false;
  bool at_once_ = false;
  bool stacks_ = false;
  base::Nanoseconds settle_{};
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace stucktrace::cli
