#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "tracer/base/result.h"
#include "tracer/base/unique_fd.h"
#include "tracer/cli/backlog.h"

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
  // limit(), and from now on till settle() no writer waits for a reader who does not read: see
  // Backlog. Whole lines only, from any thread.
  void keep_going(const std::atomic<bool>& hurry, const base::Clock& clock);
  // The same without any wait, whatever it costs; a plain write() outside of keep_going().
  void note(std::string_view text);
  // What there is room for now of what was kept.
  void retry();
  // All that was kept goes out, and everything from now on waits for the reader again.
  void settle();
  // From now on bytes go out 64 KiB at a time, and the last at flush().
  void gather() { gathers_ = true; }
  void flush();
  void write(std::string_view text);
  void line(std::string_view text);
  // In place of what was written before, where rewritable(); else after it. Whole or not at all, as
  // far as the file's directory allows: whoever reads meanwhile, or if this process is killed, has
  // the text before or this one.
  void replace(std::string_view text);
  // A regular file: neither a pipe nor a device.
  bool rewritable() const;
  // Of a regular file, now; else 0.
  std::size_t size() const;
  // The first failed write, as an error that names the destination.
  base::Result<void> check() const;
  bool is_terminal() const;

 private:
  static base::Result<Output> open(const std::string& path, int flags);
  Output(base::UniqueFd file, std::string name)
      : file_(std::move(file)), fd_(file_.get()), name_(std::move(name)) {}
  void put(std::string_view text);
  // A new file under the old one's name; false where that would not be the same file to its users.
  bool replace_by_rename(std::string_view text);
  // False: nobody makes room any more.
  bool wait_for_room();
  base::UniqueFd file_;
  int fd_ = -1;
  const std::atomic<bool>* hurry_ = nullptr;
  std::unique_ptr<Backlog> backlog_;
  static constexpr int kTurns = 40;  // of 50 ms, to wait for room in a hurry
  int turns_left_ = kTurns;
  std::string name_;  // a file's path
  bool gathers_ = false;
  std::string gathered_;
  base::Errno failed_;
};

}  // namespace stucktrace::cli
