#include "tests/support/fake_proc.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace stucktrace::test {

namespace fs = std::filesystem;

FakeProc::FakeProc() {
  std::string pattern = (fs::temp_directory_path() / "stucktrace-proc-XXXXXX").string();
  root_ = ::mkdtemp(pattern.data());
}

FakeProc::~FakeProc() {
  fs::remove_all(root_);
}

void FakeProc::write(const std::string& path, const std::string& text) const {
  const fs::path full = fs::path{root_} / path;
  fs::create_directories(full.parent_path());
  std::ofstream{full, std::ios::binary} << text;
}

void FakeProc::link(const std::string& path, const std::string& target) const {
  const fs::path full = fs::path{root_} / path;
  fs::create_directories(full.parent_path());
  fs::create_symlink(target, full);
}

void FakeProc::add(const Task& task) const {
  const std::string stat = fmt::format(
      "{} ({}) {} {} {} 1 0 -1 {} 0 0 0 0 5 6 0 0 20 0 {} 0 {} 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 "
      "0\n",
      task.tid, task.comm, task.state, task.parent, task.pid, task.flags, task.thread_count,
      1000 + task.tid);
  const std::string status = fmt::format(
      "Name:\t{}\nTgid:\t{}\nTracerPid:\t{}\nUid:\t{}\t{}\t{}\t{}\nNSpid:\t{}\nSeccomp:\t0\n"
      "voluntary_ctxt_switches:\t3\nnonvoluntary_ctxt_switches:\t4\n",
      task.comm, task.pid, task.tracer, task.uid, task.uid, task.uid, task.uid, task.tid);
  const auto add_to = [&](const std::string& directory) {
    write(directory + "/stat", stat);
    write(directory + "/status", status);
    write(directory + "/syscall", task.syscall);
    write(directory + "/wchan", task.wchan);
    write(directory + "/comm", task.comm + "\n");
    fs::create_directories(fs::path{root_} / directory / "fd");
    fs::create_directories(fs::path{root_} / directory / "fdinfo");
  };
  add_to(fmt::format("{}/task/{}", task.pid, task.tid));
  if (task.pid == task.tid) add_to(fmt::format("{}", task.pid));
}

void FakeProc::add_fd(int pid, int tid, int fd, const std::string& target, unsigned flags,
                      const std::string& lines) const {
  for (const std::string& directory :
       {fmt::format("{}", pid), fmt::format("{}/task/{}", pid, tid)}) {
    link(fmt::format("{}/fd/{}", directory, fd), target);
    write(fmt::format("{}/fdinfo/{}", directory, fd),
          fmt::format("pos:\t0\nflags:\t0{:o}\n{}", flags, lines));
  }
}

}  // namespace stucktrace::test
