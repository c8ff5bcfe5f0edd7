#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "tracer/base/result.h"
#include "tracer/base/unique_fd.h"

namespace stucktrace::cli {

// Results on their way out: stdout, stderr or a file. Remembers the first error, so that a closed
// stdout or a full disk is told once and never stops a trace.
class Output {
 public:
  // Borrows a standard descriptor.
  Output(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  static base::Result<Output> create(const std::string& path);
  // Goes on behind what is in the file already.
  static base::Result<Output> append(const std::string& path);

  // From the moment that `hurry` is true on, whoever does not read is waited for a short while and
  // then no more.
  void limit(const std::atomic<bool>& hurry);
  void write(std::string_view text);
  void line(std::string_view text);
  // In place of what was written before, where rewritable(); else after it.
  void replace(std::string_view text);
  // A regular file: neither a pipe nor a device.
  bool rewritable() const;
  // The first failed write, as an error that names the destination.
  base::Result<void> check() const;
  bool is_terminal() const;

 private:
  static base::Result<Output> open(const std::string& path, int flags);
  Output(base::UniqueFd file, std::string name)
      : file_(std::move(file)), fd_(file_.get()), name_(std::move(name)) {}
  // False: nobody makes room any more.
  bool wait_for_room();
  base::UniqueFd file_;
  int fd_ = -1;
  const std::atomic<bool>* hurry_ = nullptr;
  static constexpr int kTurns = 40;  // of 50 ms, to wait for room in a hurry
  int turns_left_ = kTurns;
  std::string name_;
  base::Errno failed_;
};

}  // namespace stucktrace::cli
