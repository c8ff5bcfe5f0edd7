#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "syscalls/decode.h"
#include "tracer/model/event.h"

namespace stucktrace::model {

// One system call as a person thinks of it: begin, end, everything decoded from it. Never an
// unfinished/resumed pair.
struct Call {
  base::Pid pid;
  base::Tid tid;
  std::uint64_t first_sequence = 0;  // of the enter (or of the exit, if the enter was lost)
  base::Instant start;
  std::optional<base::Instant> end;  // empty: still open, or the task died in it
  bool open_at_attach = false;
  bool looked_up = false;  // seen by looks: begin and end are those of the looks
  syscalls::RawCall raw;
  std::optional<syscalls::RawResult> result;  // empty as well where only a look saw the end
  syscalls::CapturedMemory memory;            // enter's and exit's together
  std::vector<FdEntry> made_fds;
  std::optional<CallTimes> spent;
  std::shared_ptr<const StackSeen> stack;  // the thread's in this call; null: none was taken

  syscalls::Sys sys() const { return syscalls::sys_of(raw.abi, raw.number); }
};

// Pairs enters with exits. A call is handed out when it ends: by its exit, by the task's exit, or
// by close() at the end of the trace.
class CallPairer {
 public:
  // The call this event completes, null if none. It may be moved from; the next event takes its
  // place.
  Call* observe(const Event& event);
  // The call the task is in now; nullptr if it runs user code.
  const Call* open_call(base::Tid tid) const;
  // All open calls, by tid ascending.
  std::vector<const Call*> open_calls() const;
  // Ends the trace: hands out what is still open, by start.
  std::vector<Call> close();

 private:
  // Stays between the calls of a task, until the task ends: a place to put the next one in.
  struct Slot {
    Call call;
    bool open = false;
  };
  // What was open there is open no more; null: nothing was.
  Call* take(base::Tid tid);
  Call* keep(Call&& call);

  std::unordered_map<base::Tid, Slot> slots_;
  Call kept_;  // one that is handed out and whose slot is gone, or another's
};

// A run of equal short steps of one thread: `wait4(P2, WNOHANG)=0, select 50 ms ×97, 4.85 s`.
struct Loop {
  std::vector<Call> body;   // one representative turn, 1..kMaxBody calls
  std::uint64_t turns = 0;  // how many times the body ran in full
  base::Instant start;
  base::Instant end;
};

// Finds loops in one thread's completed calls, streaming. Two turns are equal when calls, arguments
// (but for addresses, times and byte payloads), outcomes (sign of the result, errno) and stacks
// are. The caller feeds every completed call of one thread in order and gets back calls and loops
// in order. Holds at most kMaxBody * kMinTurns calls.
class LoopFolder {
 public:
  static constexpr std::size_t kMaxBody = 4;
  static constexpr std::uint64_t kMinTurns = 3;
  struct Item {
    std::optional<Call> call;  // exactly one of the two
    std::optional<Loop> loop;
  };
  // Items that are final now; a call may be held back while it may still be part of a loop.
  std::vector<Item> add(Call&& call);
  // Everything held back.
  std::vector<Item> flush();
  // The loop the thread is in right now (already kMinTurns turns), if any.
  std::optional<Loop> current() const;

  // For live views. Hands out what is held back outside of a loop, and goes on recognising: a loop
  // that is found later leaves out the turns handed out here (it may then have fewer than kMinTurns
  // of its own).
  std::vector<Item> release();
  // The newest held call repeats an earlier one: it may well be a loop in the making.
  bool repeating() const;
  bool in_loop() const { return loop_.has_value(); }
  // Something is held back, or a loop is running.
  bool holds() const { return loop_.has_value() || held_since().has_value(); }
  // A call just entered may be the next step of the loop, or of one in the making; looks at its
  // number only.
  bool could_continue(const syscalls::RawCall& entered) const;
  // When the oldest call that release() would hand out ended.
  std::optional<base::Instant> held_since() const;

 private:
  struct Held {
    Call call;
    bool handed_out = false;
  };
  // The newest calls, oldest first, in a ring: adding and dropping one costs no memory management.
  class Window {
   public:
    std::size_t size() const { return count_; }
    bool empty() const { return count_ == 0; }
    Held& operator[](std::size_t at) { return ring_[(first_ + at) & (ring_.size() - 1)]; }
    const Held& operator[](std::size_t at) const {
      return ring_[(first_ + at) & (ring_.size() - 1)];
    }
    Held& front() { return (*this)[0]; }
    Held& back() { return (*this)[count_ - 1]; }
    const Held& back() const { return (*this)[count_ - 1]; }
    void push_back(Call&& call);
    void pop_front(std::size_t how_many = 1);
    void clear() { pop_front(count_); }

   private:
    void grow();
    std::vector<Held> ring_;  // its size is 0 or a power of two: most threads need few
    std::size_t first_ = 0;
    std::size_t count_ = 0;
  };
  void take(Call&& call, std::vector<Item>& out);
  void turn(Call&& call);
  bool start_loop(std::vector<Item>& out);
  void end_loop(std::vector<Item>& out);

  // Outside of a loop: the newest calls; inside: the calls of the unfinished turn.
  Window pending_;
  std::optional<Loop> loop_;
  std::size_t position_ = 0;  // next body index expected
};

// The same places in the code, whatever the notes say.
bool same_stack(const StackSeen& a, const StackSeen& b);

// True when the calls are turns of one loop as LoopFolder means it.
bool same_step(const Call& a, const Call& b);

}  // namespace stucktrace::model
