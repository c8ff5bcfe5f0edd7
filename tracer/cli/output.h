#pragma once

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

  void write(std::string_view text);
  void line(std::string_view text);
  // The first failed write, as an error that names the destination.
  base::Result<void> check() const;
  bool is_terminal() const;

 private:
  Output(base::UniqueFd file, std::string name)
      : file_(std::move(file)), fd_(file_.get()), name_(std::move(name)) {}
  base::UniqueFd file_;
  int fd_ = -1;
  std::string name_;
  base::Errno failed_;
};

}  // namespace stucktrace::cli
