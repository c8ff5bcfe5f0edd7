#include "tracer/engine/event_queue.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "tracer/kernel/futex.h"

namespace stucktrace::engine {

EventQueue::EventQueue(std::size_t capacity)
    : capacity_(std::bit_ceil(capacity)), blocks_((capacity_ + kBlock - 1) / kBlock) {}

void EventQueue::take(model::Event&& event) {
  const std::uint64_t head = head_.load(std::memory_order_relaxed);
  // Two slots: one for the event, one for the word that something was lost before it.
  if (head + 2 - seen_tail_ > capacity_ && !wait_for_room(head)) {
    ++counters_.lost;
    ++lost_now_;
    return;
  }
  if (lost_now_ > 0) {
    model::Event lost{event.sequence, event.at, base::Pid{}, base::Tid{},
                      model::Lost{std::exchange(lost_now_, 0),
                                  "events dropped: the reader of the output did not keep up"}};
    push(std::move(lost), head);
  }
  push(std::move(event), head_.load(std::memory_order_relaxed));
}

void EventQueue::push(model::Event&& event, std::uint64_t head) {
  auto& block = blocks_[(head & (capacity_ - 1)) / kBlock];
  if (!block) block = std::make_unique<model::Event[]>(std::min(capacity_, kBlock));
  slot(head) = std::move(event);
  head_.store(head + 1, std::memory_order_release);
  // A sleeping consumer looks by itself every few milliseconds; waking it costs more than a stop,
  // so it is woken only while it still has plenty of room.
  if (head + 1 - seen_tail_ > capacity_ / 4) {
    seen_tail_ = tail_.load(std::memory_order_acquire);
    if (head + 1 - seen_tail_ > capacity_ / 4) wake_consumer();
  }
}

void EventQueue::wake_consumer() {
  if (consumer_sleeps_.load(std::memory_order_relaxed) == 0) return;
  if (consumer_sleeps_.exchange(0) != 0) kernel::futex_wake(consumer_sleeps_);
}

bool EventQueue::wait_for_room(std::uint64_t head) {
  const auto room = [&] {
    seen_tail_ = tail_.load(std::memory_order_acquire);
    return head + 2 - seen_tail_ <= capacity_;
  };
  if (room()) {
    blocked_ = false;
    return true;
  }
  if (blocked_) return false;
  ++counters_.waits;
  // Till half of it is free: one sleep for many events.
  constexpr base::Nanoseconds kStep = std::chrono::milliseconds{50};
  const std::uint64_t before = seen_tail_;
  for (base::Nanoseconds waited{}; waited < kPatience; waited += kStep) {
    wake_consumer();
    producer_sleeps_.store(1);
    seen_tail_ = tail_.load();
    if (head - seen_tail_ > capacity_ / 2) kernel::futex_wait(producer_sleeps_, 1, kStep);
    producer_sleeps_.store(0);
    if (room() && head - seen_tail_ <= capacity_ / 2) return true;
    if (seen_tail_ != before && room()) return true;
  }
  blocked_ = !room();
  return !blocked_;
}

void EventQueue::close() {
  closed_.store(true, std::memory_order_release);
  consumer_sleeps_.store(0);
  kernel::futex_wake(consumer_sleeps_);
}

model::Event* EventQueue::front() {
  const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
  if (tail == seen_head_) {
    seen_head_ = head_.load(std::memory_order_acquire);
    if (tail == seen_head_) return nullptr;
  }
  return &slot(tail);
}

void EventQueue::pop() {
  const std::uint64_t tail = tail_.load(std::memory_order_relaxed) + 1;
  tail_.store(tail, std::memory_order_release);
  if (producer_sleeps_.load(std::memory_order_relaxed) != 0 &&
      head_.load(std::memory_order_relaxed) - tail <= capacity_ / 2 &&
      producer_sleeps_.exchange(0) != 0) {
    kernel::futex_wake(producer_sleeps_);
  }
}

void EventQueue::wait(base::Nanoseconds limit) {
  consumer_sleeps_.store(1);
  if (front() != nullptr || closed()) {
    consumer_sleeps_.store(0);
    return;
  }
  kernel::futex_wait(consumer_sleeps_, 1, limit);
  consumer_sleeps_.store(0);
}

}  // namespace stucktrace::engine
