#pragma once

#include <functional>
#include <thread>

#include "tracer/engine/ticker.h"

namespace stucktrace::cli {

// While what a trace has shown is written out nobody traces, and signals for the tool are nobody
// else's: told to end (SIGTERM and its like), it is to be gone, whoever does not read its output.
class Leaving {
 public:
  // `on_told` is called from another thread, at each of these signals that comes from now on.
  Leaving(engine::Ticker& ticker, std::function<void()> on_told);
  Leaving(const Leaving&) = delete;
  Leaving& operator=(const Leaving&) = delete;

 private:
  std::jthread thread_;
};

}  // namespace stucktrace::cli
