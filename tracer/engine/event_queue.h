#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/model/event.h"

namespace stucktrace::engine {

// Between the tracer's thread, which must let its tracee go on, and the thread that does everything
// else with an event (recording, timeline, diagnosis). Bounded; one producer, one consumer. Slots
// are made a block at a time when first reached and stay: an ordinary event moves through without
// an allocation or a system call, and a short trace does not pay for a long one's room.
class EventQueue final : public model::EventSink {
 public:
  // `capacity` is rounded up to a power of two.
  explicit EventQueue(std::size_t capacity = kDefaultCapacity);

  // ---- producer
  // Waits while the queue is full, so that nothing is lost while the consumer merely is slow; the
  // tracees wait too then. After `kPatience` without any room the consumer counts as blocked (a
  // stopped pager, a hanging file system): events are dropped and counted until there is room, and
  // a model::Lost tells how many.
  void take(model::Event&& event) override;
  void on_event(const model::Event& event) override { take(model::Event{event}); }
  // No further event comes.
  void close();

  // ---- consumer
  // The oldest event, or nullptr. It may be moved from; pop() frees its slot.
  model::Event* front();
  void pop();
  // Until something is there, the queue is closed, or the time is over.
  void wait(base::Nanoseconds limit);
  bool closed() const { return closed_.load(std::memory_order_acquire); }

  struct Counters {
    std::uint64_t waits = 0;  // times the producer had to wait
    std::uint64_t lost = 0;   // events dropped
  };
  // Once closed.
  const Counters& counters() const { return counters_; }

  static constexpr std::size_t kDefaultCapacity = 16384;
  static constexpr base::Nanoseconds kPatience = std::chrono::seconds{2};

 private:
  bool wait_for_room(std::uint64_t head);
  void push(model::Event&& event, std::uint64_t head);
  void wake_consumer();
  model::Event& slot(std::uint64_t number) {
    const std::uint64_t at = number & (capacity_ - 1);
    return blocks_[at / kBlock][at % kBlock];
  }

  static constexpr std::uint64_t kBlock = 256;

  std::uint64_t capacity_;
  // The producer makes a block before it tells, by head_, of an event in it.
  std::vector<std::unique_ptr<model::Event[]>> blocks_;
  Counters counters_;
  std::uint64_t lost_now_ = 0;                      // dropped since the last event that had room
  bool blocked_ = false;                            // the consumer did not move for the patience
  std::uint64_t seen_tail_ = 0;                     // the producer's copy
  std::uint64_t seen_head_ = 0;                     // the consumer's copy
  alignas(64) std::atomic<std::uint64_t> head_{0};  // events pushed
  alignas(64) std::atomic<std::uint64_t> tail_{0};  // events popped
  // Words to sleep on (futex(2)); 1 while the other side sleeps.
  alignas(64) std::atomic<std::uint32_t> consumer_sleeps_{0};
  std::atomic<std::uint32_t> producer_sleeps_{0};
  std::atomic<bool> closed_{false};
};

}  // namespace stucktrace::engine
