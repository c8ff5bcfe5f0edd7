#include "tracer/engine/event_queue.h"

#include <gtest/gtest.h>

#include <thread>

namespace stucktrace::engine {
namespace {

using namespace std::chrono_literals;

model::Event note(std::uint64_t number) {
  return {number, base::Instant{}, base::Pid{1}, base::Tid{1}, model::Note{std::to_string(number)}};
}

std::optional<model::Event> next(EventQueue& queue) {
  for (;;) {
    const bool closing = queue.closed();
    if (model::Event* event = queue.front()) {
      model::Event taken = std::move(*event);
      queue.pop();
      return taken;
    }
    if (closing) return std::nullopt;
    queue.wait(10ms);
  }
}

TEST(EventQueue, HandsOverInOrder) {
  EventQueue queue(8);
  queue.take(note(1));
  queue.on_event(note(2));
  EXPECT_EQ(next(queue)->sequence, 1U);
  EXPECT_EQ(next(queue)->sequence, 2U);
  EXPECT_EQ(queue.front(), nullptr);
  queue.close();
  EXPECT_FALSE(next(queue));
}

TEST(EventQueue, ASlowConsumerLosesNothing) {
  constexpr std::uint64_t kEvents = 200000;
  EventQueue queue(64);
  std::thread producer([&] {
    for (std::uint64_t i = 1; i <= kEvents; ++i) queue.take(note(i));
    queue.close();
  });
  std::uint64_t expected = 0;
  while (const auto event = next(queue)) {
    ASSERT_EQ(event->sequence, ++expected);
    ASSERT_EQ(std::get<model::Note>(event->data).text, std::to_string(expected));
  }
  producer.join();
  EXPECT_EQ(expected, kEvents);
  EXPECT_EQ(queue.counters().lost, 0U);
}

TEST(EventQueue, WhatABlockedConsumerMissesIsCounted) {
  EventQueue queue(8);
  constexpr std::uint64_t kEvents = 100;
  for (std::uint64_t i = 1; i <= kEvents; ++i) queue.take(note(i));  // nobody reads
  std::uint64_t kept = 0;
  while (queue.front() != nullptr) {
    queue.pop();
    ++kept;
  }
  EXPECT_EQ(queue.counters().lost, kEvents - kept);
  queue.take(note(kEvents + 1));
  const auto lost = next(queue);
  ASSERT_TRUE(lost);
  ASSERT_TRUE(std::holds_alternative<model::Lost>(lost->data));
  EXPECT_EQ(std::get<model::Lost>(lost->data).count, kEvents - kept);
  EXPECT_EQ(next(queue)->sequence, kEvents + 1);
}

}  // namespace
}  // namespace stucktrace::engine
