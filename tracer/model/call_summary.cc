#include "tracer/model/call_summary.h"

#include <fmt/format.h>

#include <algorithm>

#include "syscalls/io.h"

namespace stucktrace::model {
namespace {

void add(CallSummary::Totals& totals, const Call& call) {
  const base::Nanoseconds wall = *call.end - call.start;
  ++totals.calls;
  if (call.result && call.result->is_error) ++totals.errors;
  totals.wall += wall;
  totals.longest = std::max(totals.longest, wall);
  if (!call.spent) return;
  ++totals.measured;
  totals.system += call.spent->on_cpu;
  totals.longest_system = std::max(totals.longest_system, call.spent->on_cpu);
  totals.blocked += std::max(base::Nanoseconds{}, wall - call.spent->on_cpu - call.spent->queued);
}

template <class Row, class Name>
void sort_by_wall(std::vector<Row>& rows, Name name) {
  std::ranges::sort(rows, [&](const Row& a, const Row& b) {
    return a.wall != b.wall ? a.wall > b.wall : name(a) < name(b);
  });
}

}  // namespace

void CallSummary::on_event(const Event& event) {
  tasks_.observe(event);
  // A call is told by the descriptors as they are when it returns.
  if (const auto call = calls_.observe(event); call && call->end) count(*call);
  fds_.observe(event);
}

void CallSummary::count(const Call& call) {
  add(total_, call);
  add(by_call_[{call.raw.abi, call.raw.number}], call);
  const std::string role = tasks_.process_role(call.pid);
  ByProcess& process = by_process_[role];
  process.role = role;
  process.pid = call.pid;
  if (const TaskTree::Task* task = tasks_.find(base::main_thread(call.pid))) {
    process.comm = task->comm;
  }
  add(process, call);

  const std::optional<int> fd = syscalls::io_fd(call.raw);
  if (!fd) return;
  const FdEntry* entry = fds_.find(call.pid, *fd);
  const std::string what = entry == nullptr ? std::string{} : entry->label;
  ByDescriptor& descriptor = by_descriptor_[{role, *fd, what}];
  descriptor.role = process.role;
  descriptor.pid = call.pid;
  descriptor.fd = *fd;
  descriptor.what = what;
  add(descriptor, call);
  if (!call.result || call.result->is_error || call.result->value <= 0) return;
  const auto bytes = static_cast<std::uint64_t>(call.result->value);
  const syscalls::Sys id = call.sys();
  if (id == syscalls::Sys::accept || id == syscalls::Sys::accept4) return;
  if (syscalls::is_read_like(id)) {
    descriptor.bytes_in += bytes;
  } else if (syscalls::is_write_like(id)) {
    descriptor.bytes_out += bytes;
  }
}

std::vector<CallSummary::ByCall> CallSummary::by_call() const {
  std::vector<ByCall> rows;
  for (const auto& [key, totals] : by_call_) {
    const syscalls::SyscallRow* row = syscalls::find_row(key.first, key.second);
    ByCall named{totals,
                 row != nullptr ? std::string{row->name} : fmt::format("syscall_{}", key.second)};
    if (key.first != syscalls::kNativeAbi) {
      named.name += fmt::format(" ({})", syscalls::abi_name(key.first));
    }
    rows.push_back(std::move(named));
  }
  sort_by_wall(rows, [](const ByCall& row) { return row.name; });
  return rows;
}

std::vector<CallSummary::ByProcess> CallSummary::by_process() const {
  std::vector<ByProcess> rows;
  for (const auto& [pid, row] : by_process_) rows.push_back(row);
  sort_by_wall(rows, [](const ByProcess& row) { return row.pid; });
  return rows;
}

std::vector<CallSummary::ByDescriptor> CallSummary::by_descriptor() const {
  std::vector<ByDescriptor> rows;
  for (const auto& [key, row] : by_descriptor_) rows.push_back(row);
  sort_by_wall(rows, [](const ByDescriptor& row) { return std::tuple{row.pid, row.fd, row.what}; });
  return rows;
}

}  // namespace stucktrace::model
