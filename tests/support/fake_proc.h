#pragma once

#include <string>

namespace stucktrace::test {

// A made-up /proc in a directory of its own, removed at the end of the scope.
class FakeProc {
 public:
  FakeProc();
  ~FakeProc();
  FakeProc(const FakeProc&) = delete;
  FakeProc& operator=(const FakeProc&) = delete;

  const std::string& root() const { return root_; }
  // Makes the folders on the way.
  void write(const std::string& path, const std::string& text) const;
  void link(const std::string& path, const std::string& target) const;

  struct Task {
    int pid = 0;
    int tid = 0;
    std::string comm = "prog";
    char state = 'S';
    int parent = 1;
    int tracer = 0;
    unsigned uid = 0;
    unsigned long flags = 0;
    int thread_count = 1;
    std::string syscall = "running\n";
    std::string wchan = "0";
  };
  // stat, status, syscall, wchan and comm of a thread; of the process too for its main thread.
  void add(const Task& task) const;
  // A link in the table of the process and of its thread, with "flags: FLAGS" and `lines` in
  // fdinfo.
  void add_fd(int pid, int tid, int fd, const std::string& target, unsigned flags,
              const std::string& lines = {}) const;

 private:
  std::string root_;
};

}  // namespace stucktrace::test
