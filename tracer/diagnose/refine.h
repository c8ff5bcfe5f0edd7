#pragma once

#include <string>

#include "tracer/diagnose/history.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::diagnose {

// A wait as everything known together tells it: a thread asleep for 50 ms that does nothing else
// between its naps than ask for its child waits for that child.
struct RefinedWait {
  model::Wait wait;
  std::string source;  // why it differs from what the kernel showed, a sentence; "" it does not
};

// How a thread moved between the samples.
enum class Motion : std::uint8_t {
  kStill,      // same call, counters unchanged
  kHeartbeat,  // woken by its own clock, it waits for the same again and used nearly no CPU
  kMoved,      // made progress, or was not there before
  kRunning,    // on a CPU or about to be
};

// `earlier` is the same thread (tid and start time) in the sample before, nullptr if it was not
// there; `single` = there is only one sample, so motion is not known and taken as none.
struct Samples {
  const model::Snapshot& before;
  const model::Snapshot& now;
  const History* history = nullptr;
  bool single() const { return before.taken_at == now.taken_at; }
  base::Nanoseconds gap() const { return now.taken_at - before.taken_at; }
};

RefinedWait refine_wait(const Samples& samples, const model::Process& process,
                        const model::Thread& thread, const model::Thread* earlier);
Motion motion_of(const Samples& samples, const model::Thread& thread, const model::Thread* earlier,
                 const model::Wait& refined);

// Sleeps by the clock, on no descriptor: nanosleep, select or poll of nothing.
bool is_nap(const model::Wait& wait);

}  // namespace stucktrace::diagnose
