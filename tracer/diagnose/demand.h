#pragma once

#include <cstdint>

#include "tracer/diagnose/graph.h"

namespace stucktrace::diagnose {

// Not every closed set of waiting threads is a fault: an idle worker pool is one. What tells them
// apart is what each thread waits *for*:
//
//   delivery    it has something that nobody takes (a write into a full pipe or socket)
//   request     it waits for a connection to be taken, or for an answer on one that lies in its
//               listener's backlog: nobody has accepted it
//   completion  it waits for the end of a certain thread or process, or for a vfork child
//   lock        it waits for a lock whose owner is known
//   data        it waits for bytes on one pipe or socket, from whoever holds the other end
//   nap         it sleeps by the clock
//   wakeup      it waits for work: an unowned futex (condition, semaphore, runtime lock), an
//               eventfd, a poll set of several descriptors. Whoever has nothing to do waits so.
//
// The principle: a closed set is a finding only if something is owed inside of it, that is
//   1. it contains a delivery or a request: what is on its way can never arrive; or
//   2. it is a circle of completion, lock and data waits only. Nobody in it is idle, for no thread
//      in it waits for a wake-up: all wait for what another one of them has to do first; or
//   3. it has a circle through a completion wait of a main thread without time-out and the only
//      idle threads besides are helpers (not the main thread of any process in it): a parent that
//      waits for a child which waits for the parent's bytes. Likely, not proven: a helper could be
//      woken by a signal handler; or
//   4. it has such a circle and on it a thread that only those can wake who wait for an end: a
//   child
//      that waits for the event its parent would set after it. Likely, for the same reason.
// With time-outs on the circle, data waits with one are no obligation either (a heartbeat protocol
// looks the same); then only deliveries, or completions and locks under the time-out, count.
enum class Demand : std::uint8_t {
  kNone,
  kDelivery,
  kRequest,
  kCompletion,
  kLock,
  kData,
  kNap,
  kWakeup,
};

Demand demand_of(const Graph& graph, NodeIndex index);

// The wait is a write into a pipe or fifo.
bool writes_pipe(const Node& node);
// It waits for a connection to be accepted, or for an answer on one that is not.
bool is_request(const Graph& graph, const Node& node);
// The resource of the write, or of the first descriptor waited for; nullptr if there is none.
const model::OnFd* first_fd(const Node& node);
// The descriptor a delivery is about; nullptr if the wait is no delivery.
const model::OnFd* delivery_fd(const Node& node);
const model::OnFutex* futex_of(const Node& node);

}  // namespace stucktrace::diagnose
