#include "tracer/cli/blocked_stacks.h"

#include <map>
#include <optional>
#include <utility>

#include "tracer/kernel/quiet_thread.h"
#include "tracer/unwind/elf_files.h"
#include "tracer/unwind/native_capture.h"
#include "tracer/unwind/python_thread_stack.h"
#include "tracer/unwind/stacks.h"

namespace stucktrace::cli {
namespace {

// Of one process, for as long as its threads are read one after the other.
struct Readers {
  Readers(base::Pid pid, std::shared_ptr<unwind::ElfFiles> files)
      : native(pid, std::move(files)), python(pid) {}
  unwind::NativeStacks native;
  unwind::PythonThreadStack python;
};

// The end of a call that only looks see may have been missed: then the thread's own word counts.
bool is_in(const OpenCall& asked, const syscalls::RawCall& found) {
  if (!asked.looked_up) return true;
  return found.number == asked.call.number && found.args == asked.call.args;
}

std::optional<model::StackSeen> read(const OpenCall& asked, Readers& readers) {
  unwind::StackResult native = readers.native.stack(asked.tid);
  if (native.call && !is_in(asked, native.call->call)) return std::nullopt;
  model::StackSeen seen{native.frames.frames(), {}, std::move(native.note)};
  // Python's frames are read one after the other: the thread must not have moved meanwhile.
  const auto watch = unwind::ThreadWatch::open(asked.pid, asked.tid);
  if (!native.call || !watch) return seen;
  const auto before = watch->read();
  std::vector<model::PythonFrame> python = readers.python.frames(asked.tid);
  const auto after = watch->read();
  const bool stood = before && after && after->unmoved_since(*before) && before->at &&
                     before->at->stack_pointer == native.call->stack_pointer;
  if (stood) seen.python = std::move(python);
  return seen;
}

}  // namespace

BlockedStacks::BlockedStacks(const base::Clock& clock) : clock_(clock) {
  thread_ = kernel::quiet_thread([this](const std::stop_token& stop) { work(stop); });
}

BlockedStacks::~BlockedStacks() {
  thread_.request_stop();
  wake_.notify_all();
}

void BlockedStacks::request(std::vector<OpenCall> calls) {
  if (calls.empty()) return;
  const std::scoped_lock lock(mutex_);
  for (OpenCall& call : calls) wanted_.push_back(std::move(call));
  wake_.notify_all();
}

std::vector<BlockedStack> BlockedStacks::take() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(read_, {});
}

void BlockedStacks::work(const std::stop_token& stop) {
  const auto files = std::make_shared<unwind::ElfFiles>();
  while (!stop.stop_requested()) {
    std::vector<OpenCall> calls;
    {
      std::unique_lock lock(mutex_);
      if (!wake_.wait(lock, stop, [this] { return !wanted_.empty(); })) return;
      calls = std::exchange(wanted_, {});
    }
    std::map<base::Pid, Readers> readers;
    for (const OpenCall& call : calls) {
      if (stop.stop_requested()) return;
      const auto process = readers.try_emplace(call.pid, call.pid, files).first;
      std::optional<model::StackSeen> stack = read(call, process->second);
      if (!stack) continue;
      const base::Instant taken_at = clock_.now();
      const std::scoped_lock lock(mutex_);
      read_.push_back({call, taken_at, std::move(*stack)});
    }
  }
}

}  // namespace stucktrace::cli
