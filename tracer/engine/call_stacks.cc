#include "tracer/engine/call_stacks.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "tracer/unwind/elf_files.h"

namespace stucktrace::engine {

CallStacks::CallStacks(const syscalls::TraceSet& calls)
    : calls_(calls), files_(std::make_shared<unwind::ElfFiles>()) {}

CallStacks::~CallStacks() = default;

CallStacks::Process& CallStacks::process(base::Pid pid) {
  auto known = processes_.find(pid);
  if (known == processes_.end()) {
    if (processes_.size() >= kMostProcesses) {
      processes_.erase(std::ranges::min_element(processes_, {},
                                                [](const auto& one) { return one.second.used; }));
    }
    known = processes_.try_emplace(pid, pid, files_).first;
  }
  known->second.used = ++turns_;
  return known->second;
}

model::StackSeen CallStacks::take(base::Pid pid, const kernel::Stopped& stopped) {
  const auto registers = kernel::standing_registers(stopped);
  if (!registers) {
    const bool narrow = registers.error().code.value() == ENOTSUP;
    return {{}, {}, narrow ? "stacks of 32-bit code are not read" : registers.error().message()};
  }
  Process& about = process(pid);
  unwind::StackResult native = about.native.stack_of_stopped(stopped.tid(), *registers);
  return {native.frames.frames(), about.python.frames(stopped.tid()), std::move(native.note)};
}

void CallStacks::code_mapped(base::Pid pid) {
  const auto known = processes_.find(pid);
  if (known == processes_.end()) return;
  known->second.native.mappings_changed();
  known->second.python.mappings_changed();
}

}  // namespace stucktrace::engine
