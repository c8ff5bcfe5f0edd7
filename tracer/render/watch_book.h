#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/model/snapshot.h"
#include "tracer/model/verdict.h"

namespace stucktrace::render {

// What one look at the tree gave.
struct WatchLook {
  std::shared_ptr<const model::Snapshot> snapshot;  // never null
  model::Diagnosis diagnosis;
};

// In the order of "stuck first".
enum class WatchMood : std::uint8_t { kStuck, kSlow, kStopped, kRunning, kWaiting, kGone };

// One thread as the screen tells it. All texts are safe for a terminal.
struct WatchThread {
  base::Pid pid;
  base::Pid parent;
  base::Tid tid;
  std::uint64_t started = 0;  // of the thread, clock ticks since boot
  std::string role;           // "P2", its further threads "P2.T2"
  std::string name;           // command line of a process, name of a thread
  std::string wait;           // "reads pipe:25725 (fd 3)"
  std::string word;           // the kind of wait in a word: "futex"
  std::string whom;           // who can end it: "P1", "P2.T2", "clock", "outside"
  WatchMood mood = WatchMood::kWaiting;
  std::optional<base::Nanoseconds> since;  // how long it has waited so
  bool at_least = false;                   // ... or longer: it did already at the first look
  bool fresh = false;                      // appeared since the watch began, a moment ago

  bool is_main() const { return tid == base::main_thread(pid); }
};

// Remembers from look to look what a single one cannot tell: since when a thread waits, which
// threads are new and which have gone, and which number a thread has in its process.
class WatchBook {
 public:
  // How long a thread is shown as new, and a vanished one at all.
  static constexpr base::Nanoseconds kNewsFor = std::chrono::seconds{3};

  // Looks come in order of time.
  void observe(const WatchLook& look);
  // The tree's threads, those of other processes that a finding speaks of, and what has just gone.
  // Sorted by process, main thread first. References last until the next look.
  const std::vector<WatchThread>& threads() const { return threads_; }
  // All that was there has ended.
  bool all_gone() const { return all_gone_; }

 private:
  struct Entry {
    WatchThread shown;  // as last seen
    int number = 1;     // in its process; 1 is the main thread
    std::string wait_key;
    base::Instant first_seen;
    base::Instant waits_since;
    bool newcomer = false;     // was not there at the first look
    bool older = false;        // the wait began before the first look
    std::string runtime_name;  // read with stacks only, so kept
    std::optional<base::Instant> gone_at;
  };
  using Key = std::pair<base::Tid, std::uint64_t>;  // tid and start time

  void note(Entry& entry, const model::Process& process, const model::Thread& thread,
            base::Instant now, bool fresh);
  int number_for(base::Pid pid, bool is_main);

  std::map<Key, Entry> entries_;
  std::map<base::Pid, int> last_number_;
  std::vector<WatchThread> threads_;
  bool first_look_ = true;
  bool all_gone_ = false;
};

}  // namespace stucktrace::render
