#include "tests/support/event_script.h"

#include <algorithm>
#include <span>
#include <stdexcept>

#include "syscalls/table.h"

namespace stucktrace::test {
namespace {

syscalls::CapturedMemory captured(const Memory& memory) {
  syscalls::CapturedMemory out;
  for (const auto& [address, bytes] : memory) {
    out.add(base::RemoteAddr{address}, std::as_bytes(std::span{bytes}));
  }
  return out;
}

}  // namespace

base::Instant EventScript::at_ms(double ms) {
  return kStart + base::Nanoseconds{static_cast<std::int64_t>(ms * 1e6)};
}

EventScript& EventScript::add(double ms, int pid, int tid, model::EventData data) {
  events_.push_back({0, at_ms(ms), base::Pid{pid}, base::Tid{tid}, std::move(data)});
  return *this;
}

EventScript& EventScript::seen(double ms, int pid, int tid, model::TaskSeen seen) {
  return add(ms, pid, tid, std::move(seen));
}

EventScript& EventScript::made(double ms, int pid, int tid, int child, model::NewTaskKind kind,
                               bool shares_fds) {
  return add(ms, pid, tid, model::NewTask{base::Tid{child}, kind, shares_fds});
}

EventScript& EventScript::enter(double ms, int pid, int tid, std::string_view call,
                                std::initializer_list<std::uint64_t> args, const Memory& memory) {
  model::SyscallEnter enter;
  enter.call = raw_call(call, args);
  enter.memory = captured(memory);
  return add(ms, pid, tid, std::move(enter));
}

EventScript& EventScript::exit(double ms, int pid, int tid, std::string_view call,
                               std::initializer_list<std::uint64_t> args, std::int64_t result,
                               const Memory& memory, std::vector<model::FdEntry> made_fds) {
  model::SyscallExit exit;
  exit.call = raw_call(call, args);
  exit.result = syscalls::RawResult{result, result < 0};
  exit.memory = captured(memory);
  exit.made_fds = std::move(made_fds);
  return add(ms, pid, tid, std::move(exit));
}

EventScript& EventScript::call(double from_ms, double to_ms, int pid, int tid,
                               std::string_view name, std::initializer_list<std::uint64_t> args,
                               std::int64_t result, const Memory& memory,
                               std::vector<model::FdEntry> made_fds) {
  enter(from_ms, pid, tid, name, args, memory);
  return exit(to_ms, pid, tid, name, args, result, {}, std::move(made_fds));
}

EventScript& EventScript::stack(double ms, int pid, int tid,
                                std::initializer_list<std::string_view> functions) {
  model::StackSeen seen;
  for (const std::string_view function : functions) {
    model::NativeFrame frame;
    frame.function = function;
    frame.module = "/usr/bin/program";
    frame.offset = 0x12;
    frame.pc = 0x400000;
    for (const char letter : function) frame.pc += static_cast<unsigned char>(letter);
    seen.frames.push_back(std::move(frame));
  }
  return add(ms, pid, tid, std::move(seen));
}

std::vector<model::Event> EventScript::events() const {
  std::vector<model::Event> sorted = events_;
  std::ranges::stable_sort(sorted, {}, &model::Event::at);
  std::uint64_t sequence = 0;
  for (model::Event& event : sorted) event.sequence = ++sequence;
  return sorted;
}

syscalls::RawCall raw_call(std::string_view name, std::initializer_list<std::uint64_t> args) {
  const auto* row = syscalls::find_row(syscalls::Abi::kX86_64, name);
  if (row == nullptr) throw std::invalid_argument("no such call: " + std::string(name));
  syscalls::RawCall call;
  call.abi = syscalls::Abi::kX86_64;
  call.number = row->number;
  std::ranges::copy(args, call.args.begin());
  return call;
}

model::FdEntry fd_entry(int fd, model::ResourceKind kind, std::uint64_t inode, model::FdMode mode,
                        std::string label, bool close_on_exec) {
  model::FdEntry entry;
  entry.fd = fd;
  entry.resource.kind = kind;
  entry.resource.inode = inode;
  entry.mode = mode;
  entry.close_on_exec = close_on_exec;
  entry.label = std::move(label);
  return entry;
}

}  // namespace stucktrace::test
