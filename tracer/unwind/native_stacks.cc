#include <fmt/format.h>

#include <cstddef>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "tracer/kernel/brief_stop.h"
#include "tracer/kernel/remote_memory.h"
#include "tracer/unwind/elf_files.h"
#include "tracer/unwind/native_capture.h"
#include "tracer/unwind/native_frame_pointer.h"
#include "tracer/unwind/native_modules.h"
#include "tracer/unwind/native_unwinder.h"
#include "tracer/unwind/perf_map.h"
#include "tracer/unwind/stacks.h"

namespace stucktrace::unwind {
namespace {

constexpr int kAttempts = 3;
constexpr std::size_t kCopySize = 64 * 1024;
constexpr std::size_t kMaxNamed = 1024;
// What a leaf function may use below the stack pointer (x86-64 ABI, "red zone").
constexpr std::uint64_t kRedZone = 128;

std::string why_not(const base::Error& error) {
  if (error.kind == base::ErrorKind::kGone) return "the thread has ended";
  return "not readable: " + error.message();
}

}  // namespace

struct NativeStacks::State {
  base::Pid pid;
  NativeModules modules;
  NativeUnwinder unwinder;
  std::optional<PerfMap> made_code;  // read when first needed
  // By the places of its frames, where all of them are in files: their names stay.
  std::map<std::vector<std::uint64_t>, model::Stack> known_names;
  std::vector<std::byte> buffer = std::vector<std::byte>(kCopySize);

  bool may_stop;
  bool stale = false;  // the mappings, as far as they are known

  State(base::Pid process, std::shared_ptr<ElfFiles> files, bool stop)
      : pid(process), modules(process, std::move(files)), unwinder(modules), may_stop(stop) {}

  base::Result<void> reload(base::Tid tid) {
    unwinder.forget();
    made_code.reset();
    known_names.clear();
    stale = false;
    return modules.reload(tid);
  }
  base::Result<void> load(base::Tid tid) {
    if (modules.loaded() && !stale) return {};
    return reload(tid);
  }

  void fill(StackCopy& copy) {
    copy.start = copy.stack_pointer - kRedZone;
    const std::size_t got =
        kernel::ProcessMemory(copy.tid).read(base::RemoteAddr{copy.start}, buffer);
    copy.bytes = std::span(buffer).first(got);
  }

  Walk walk(const StackCopy& copy) {
    if (copy.bytes.size() <= kRedZone) return {{}, "the stack cannot be read"};
    return unwinder.walk(copy);
  }

  Walk walk(const model::SyscallLine& at, base::Tid tid) {
    StackCopy copy;
    copy.tid = tid;
    copy.stack_pointer = at.stack_pointer;
    copy.program_counter = at.program_counter;
    fill(copy);
    return walk(copy);
  }

  model::NativeFrame name(const CodeAddress& address, base::Tid tid) {
    model::NativeFrame frame;
    frame.pc = address.pc;
    // A return address may be the first byte of the next function when the call never returns.
    const std::uint64_t inside = address.exact ? address.pc : address.pc - 1;
    const NativeMapping* mapping = modules.find_with_module(inside, tid);
    if (mapping == nullptr) return frame;
    frame.module = mapping->file_path();
    if (!mapping->module) {
      // Code that the program has made itself.
      if (!made_code) made_code = PerfMap::of(pid);
      if (const auto made = made_code->find(inside)) {
        frame.function = made->name;
        frame.offset = address.pc - made->address;
      }
    }
    const auto linked = mapping->linked(inside);
    if (!linked) return frame;
    const auto read_code = [&](std::uint64_t at, std::span<std::byte> out) {
      return modules.read_file(at, out, tid);
    };
    if (is_signal_return(address.pc, read_code)) {
      // In stripped libraries it has no name, or the one of what stands before it.
      frame.function = "__restore_rt";
      return frame;
    }
    const Place& place = mapping->module->place(*linked);
    const std::uint64_t linked_pc = *linked + (address.pc - inside);
    frame.function = place.function;
    frame.offset = linked_pc - place.start;
    frame.file = place.file;
    frame.line = place.line;
    return frame;
  }

  StackResult stack(base::Tid tid);
  std::optional<Walk> walk_from(const Blocked& thread);
  std::vector<StackResult> stacks(std::span<const Blocked> threads, const Standing& standing);
  StackResult stack_without_stop(base::Tid tid);
  StackResult stack_of_stopped(base::Tid tid);
  StackResult standing(base::Tid tid, const kernel::StandingRegisters& registers);
  void copy_standing(const kernel::StandingRegisters& registers, StackCopy& copy) {
    copy.stack_pointer = registers.stack_pointer;
    copy.program_counter = registers.program_counter;
    copy.frame_pointer = registers.frame_pointer;
    fill(copy);
  }
  model::Stack names(const std::vector<CodeAddress>& places, base::Tid tid);
  StackResult named(Walk walked, base::Tid tid) {
    return {names(walked.frames, tid), std::move(walked.note), {}};
  }
};

model::Stack NativeStacks::State::names(const std::vector<CodeAddress>& places, base::Tid tid) {
  std::vector<std::uint64_t> key;
  key.reserve(places.size());
  // The top bit of a user address is free.
  for (const CodeAddress& place : places) key.push_back(place.pc << 1U | (place.exact ? 1U : 0U));
  if (const auto at = known_names.find(key); at != known_names.end()) return at->second;
  model::Stack::Frames frames;
  bool in_files = true;
  for (const CodeAddress& place : places) {
    frames.push_back(name(place, tid));
    const NativeMapping* mapping = modules.find(place.exact ? place.pc : place.pc - 1);
    in_files = in_files && mapping != nullptr && mapping->module;
  }
  model::Stack stack{std::move(frames)};
  if (in_files) {
    if (known_names.size() == kMaxNamed) known_names.clear();
    known_names.emplace(std::move(key), stack);
  }
  return stack;
}

// Worth a proof that the thread stood there; else it has to be looked at anew.
std::optional<Walk> NativeStacks::State::walk_from(const Blocked& thread) {
  if (thread.at == nullptr || thread.at->stack_pointer <= kRedZone || !load(thread.tid)) return {};
  Walk walked = walk(*thread.at, thread.tid);
  if (walked.frames.empty() || walked.unknown_code) return {};
  return walked;
}

std::vector<StackResult> NativeStacks::State::stacks(std::span<const Blocked> threads,
                                                     const Standing& standing) {
  std::vector<std::optional<Walk>> walks;
  std::vector<base::Tid> asked;
  for (const Blocked& thread : threads) {
    walks.push_back(walk_from(thread));
    if (walks.back()) asked.push_back(thread.tid);
  }
  const std::vector<char> stood = standing(asked);
  auto next = stood.begin();
  for (std::optional<Walk>& walked : walks) {
    if (walked && *next++ == 0) walked.reset();
  }
  std::vector<StackResult> results(threads.size());
  for (std::size_t i = 0; i < threads.size(); ++i) {
    if (!walks[i]) continue;
    results[i] = named(*std::move(walks[i]), threads[i].tid);
    results[i].call = *threads[i].at;
  }
  // At last, since the mappings may have to be read again for one.
  for (std::size_t i = 0; i < threads.size(); ++i) {
    if (!walks[i]) results[i] = stack(threads[i].tid);
  }
  return results;
}

StackResult NativeStacks::State::stack(base::Tid tid) {
  StackResult result = stack_without_stop(tid);
  if (!may_stop || !result.frames.empty()) return result;
  StackResult stopped = stack_of_stopped(tid);
  return stopped.frames.empty() ? result : stopped;
}

// Its registers and a copy of its stack are taken while it stands; the rest has time.
StackResult NativeStacks::State::stack_of_stopped(base::Tid tid) {
  if (const auto read = reload(tid); !read) return {{}, why_not(read.error()), {}};
  StackCopy copy;
  copy.tid = tid;
  const auto looked = kernel::with_stopped(
      tid, [&](const kernel::StandingRegisters& registers) { copy_standing(registers, copy); });
  if (!looked) return {{}, why_not(looked.error()), {}};
  return named(walk(copy), tid);
}

StackResult NativeStacks::State::standing(base::Tid tid,
                                          const kernel::StandingRegisters& registers) {
  if (const auto read = load(tid); !read) return {{}, why_not(read.error()), {}};
  if (registers.stack_pointer <= kRedZone) return {{}, "no user stack", {}};
  StackCopy copy;
  copy.tid = tid;
  copy_standing(registers, copy);
  Walk walked = walk(copy);
  if (walked.unknown_code) {
    if (const auto read = reload(tid); !read) return {{}, why_not(read.error()), {}};
    walked = walk(copy);
  }
  return named(std::move(walked), tid);
}

StackResult NativeStacks::State::stack_without_stop(base::Tid tid) {
  StackResult result;
  const auto watch = ThreadWatch::open(pid, tid);
  if (!watch) return {{}, why_not(watch.error()), {}};
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto before = watch->read();
    if (!before) return {{}, why_not(before.error()), {}};
    if (!before->at) {
      result.note = "running: its stack is only known while stopped";
      continue;
    }
    if (before->at->stack_pointer <= kRedZone) return {{}, "no user stack", {}};
    if (const auto read = load(tid); !read) return {{}, why_not(read.error()), {}};
    Walk walked = walk(*before->at, tid);
    if (walked.unknown_code && attempt == 0) {
      // Code may have been mapped since the mappings were read: dlopen(3), execve(2).
      if (const auto read = reload(tid); !read) return {{}, why_not(read.error()), {}};
      walked = walk(*before->at, tid);
    }
    const auto after = watch->read();
    if (!after) return {{}, why_not(after.error()), {}};
    if (!after->unmoved_since(*before)) {
      result.note = fmt::format("moved while being looked at, {} times", attempt + 1);
      continue;
    }
    result = named(std::move(walked), tid);
    result.call = before->at;
    return result;
  }
  return result;
}

NativeStacks::NativeStacks(base::Pid pid, std::shared_ptr<ElfFiles> files, bool may_stop)
    : state_(std::make_unique<State>(pid, files ? std::move(files) : std::make_shared<ElfFiles>(),
                                     may_stop)) {}
NativeStacks::NativeStacks(base::Pid pid) : NativeStacks(pid, nullptr) {}
NativeStacks::NativeStacks(NativeStacks&&) noexcept = default;
NativeStacks& NativeStacks::operator=(NativeStacks&&) noexcept = default;
NativeStacks::~NativeStacks() = default;

StackResult NativeStacks::stack(base::Tid tid) {
  return state_->stack(tid);
}

std::vector<StackResult> NativeStacks::stacks(std::span<const Blocked> threads,
                                              const Standing& standing) {
  return state_->stacks(threads, standing);
}

StackResult NativeStacks::stack_of_stopped(base::Tid tid,
                                           const kernel::StandingRegisters& registers) {
  return state_->standing(tid, registers);
}

void NativeStacks::mappings_changed() {
  state_->stale = true;
}

}  // namespace stucktrace::unwind
