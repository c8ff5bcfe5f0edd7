#pragma once

#include <memory>
#include <optional>

#include "tracer/base/result.h"
#include "tracer/render/watch_screen.h"

namespace stucktrace::cli {

// The terminal in full-screen mode; it is as it was once this is destroyed. At most one at a time:
// the library under it keeps one.
class WatchTerminal {
 public:
  // Whether there is a terminal to draw on; the error advises what works without.
  static base::Result<void> check();
  static base::Result<std::unique_ptr<WatchTerminal>> open(bool color);
  ~WatchTerminal();
  WatchTerminal(const WatchTerminal&) = delete;
  WatchTerminal& operator=(const WatchTerminal&) = delete;

  // Asks the terminal how large it is, and draws for that from now on.
  render::WatchSize measure();
  void draw(const render::WatchPicture& picture);
  // What was pressed; nullopt: nothing more, or keys without a meaning.
  std::optional<render::WatchKey> key();

  // The shell's own screen, until resume().
  void suspend();
  void resume();

 private:
  WatchTerminal(bool color, bool utf8);
  bool color_;
  bool utf8_;
};

}  // namespace stucktrace::cli
