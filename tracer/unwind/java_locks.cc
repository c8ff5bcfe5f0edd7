#include "tracer/unwind/java_locks.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "syscalls/table.h"
#include "tracer/base/bytes.h"
#include "tracer/kernel/remote_memory.h"
#include "tracer/unwind/elf_files.h"
#include "tracer/unwind/java_objects.h"
#include "tracer/unwind/java_threads.h"
#include "tracer/unwind/native_modules.h"
#include "tracer/unwind/python_memory.h"
#include "tracer/unwind/python_pages.h"

namespace stucktrace::unwind {
namespace {

constexpr std::size_t kMaxReads = 2'000'000;
constexpr std::uint64_t kMaxSymbols = 64u << 20;

using Variables = std::map<std::string, std::uint64_t, std::less<>>;

base::Error unsupported(std::string what) {
  base::Error error;
  error.kind = base::ErrorKind::kUnsupported;
  error.operation = std::move(what);
  return error;
}

// The dynamic symbols of the tables, as linked.
Variables table_symbols(const ElfImage& image) {
  constexpr std::string_view kPrefix = "gHotSpotVM";
  Variables found;
  const ElfSection* section = image.section_of_type(SHT_DYNSYM);
  if (section == nullptr || section->link >= image.sections().size()) return found;
  const auto symbols = image.contents(*section, kMaxSymbols);
  const auto strings = image.contents(image.sections()[section->link], kMaxSymbols);
  base::ByteCursor cursor{symbols};
  while (const auto symbol = cursor.read<Elf64_Sym>()) {
    if (symbol->st_shndx == SHN_UNDEF || symbol->st_name >= strings.size()) continue;
    const std::string_view rest = base::as_text(std::span{strings}.subspan(symbol->st_name));
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos || !rest.starts_with(kPrefix)) continue;
    found.emplace(std::string(rest.substr(0, end)), symbol->st_value);
  }
  return found;
}

// The variables of the tables where the process has them; empty: no virtual machine.
Variables find_variables(const kernel::Procfs& procfs, base::Pid pid) {
  const auto maps = procfs.maps(pid);
  if (!maps) return {};
  const auto library = std::ranges::find_if(*maps, [](const kernel::MapEntry& entry) {
    const std::string_view name = std::string_view(entry.path).substr(entry.path.rfind('/') + 1);
    return entry.inode != 0 && (name == "libjvm.so" || name == "libjvm.so (deleted)");
  });
  if (library == maps->end()) return {};
  const base::Tid task = base::main_thread(pid);
  NativeModules modules{pid, std::make_shared<ElfFiles>()};
  if (!modules.reload(task)) return {};
  const NativeMapping* mapping = modules.find_with_module(library->start, task);
  if (mapping == nullptr) return {};
  const auto linked = mapping->linked(library->start);
  if (!linked) return {};
  Variables variables = table_symbols(mapping->module->image());
  for (auto& [name, address] : variables) address += library->start - *linked;
  return variables;
}

// Changes whenever the thread has been on a CPU; "" unknown.
std::string progress(const kernel::Procfs& procfs, base::Pid pid, base::Tid tid) {
  auto turns = procfs.schedule(pid, tid);
  if (turns && !turns->empty()) return std::move(*turns);
  const auto status = procfs.status(pid, tid);
  if (!status) return {};
  return fmt::format("{} {}", status->voluntary_switches, status->involuntary_switches);
}

bool in_futex(const kernel::Procfs& procfs, base::Pid pid, base::Tid tid) {
  const auto line = procfs.syscall(pid, tid);
  return line && *line &&
         syscalls::sys_of((*line)->call.abi, (*line)->call.number) == syscalls::Sys::futex;
}

// Who owns the lock that a parked thread has given as the reason for its parking. Where that is
// something else than a lock with one owner, nobody.
const JavaThread* synchronizer_owner(const JavaThreads& threads, const JavaThread& waiter,
                                     const JavaObjects& objects) {
  std::uint64_t self = objects.in_slot(waiter.virtual_slot);
  if (self == 0) self = objects.in_slot(waiter.thread_slot);
  const std::uint64_t blocker = objects.referred(self, "java/lang/Thread", "parkBlocker");
  const std::uint64_t owner = objects.referred(
      blocker, "java/util/concurrent/locks/AbstractOwnableSynchronizer", "exclusiveOwnerThread");
  return threads.runs(owner, objects);
}

}  // namespace

std::vector<JavaLockWait> look_at_java_locks(const syscalls::RemoteMemory& memory,
                                             const JavaTables& tables, const JavaObjects* objects,
                                             std::span<const base::Tid> parked,
                                             const JavaLiveThread& live_thread) {
  const auto threads = JavaThreads::read(memory, tables);
  if (!threads) return {};
  std::vector<JavaLockWait> waits;
  for (const JavaThread& thread : threads->all()) {
    if (!thread.blocked) continue;
    const auto waiter = live_thread(thread.number);
    if (!waiter || std::ranges::find(parked, *waiter) == parked.end()) continue;
    using enum JavaLockWait::Kind;
    const JavaLockWait::Kind kind = thread.wanted_monitor != 0 ? kMonitor : kSynchronizer;
    const JavaThread* owner = nullptr;
    if (kind == kMonitor) {
      owner = threads->inside(thread.wanted_monitor, objects);
    } else if (objects != nullptr) {
      owner = synchronizer_owner(*threads, thread, *objects);
    }
    // A thread that has just been given the monitor may have to wait once more before it goes on.
    if (owner == nullptr || owner == &thread) continue;
    const auto owner_tid = live_thread(owner->number);
    if (owner_tid) waits.push_back({*waiter, *owner_tid, kind});
  }
  std::ranges::sort(waits, {}, &JavaLockWait::waiter);
  return waits;
}

base::Result<std::vector<JavaLockWait>> read_java_locks(const kernel::Procfs& procfs, base::Pid pid,
                                                        std::span<const base::Tid> parked,
                                                        const JavaLiveThread& live_thread) {
  const Variables variables = find_variables(procfs, pid);
  if (variables.empty()) return base::Failure{unsupported("no HotSpot virtual machine found")};
  const kernel::ProcessMemory process{base::main_thread(pid)};
  PageCopies pages{process};
  const LimitedMemory memory{pages, kMaxReads};
  const auto tables = JavaTables::read(memory, [&](std::string_view name) {
    const auto found = variables.find(name);
    return found == variables.end() ? 0 : found->second;
  });
  if (!tables) return base::Failure{tables.error()};
  const auto heap = JavaObjects::read(memory, *tables);
  const auto look = [&] {
    pages.forget();
    return look_at_java_locks(memory, *tables, heap ? &*heap : nullptr, parked, live_thread);
  };
  std::vector<JavaLockWait> waits = look();
  if (waits.empty()) return waits;
  std::vector<std::string> before;
  for (const JavaLockWait& wait : waits) before.push_back(progress(procfs, pid, wait.waiter));
  const auto again = look();
  std::vector<JavaLockWait> certain;
  for (std::size_t index = 0; index < waits.size(); ++index) {
    const JavaLockWait& wait = waits[index];
    const bool same = std::ranges::find(again, wait) != again.end();
    if (!same || before[index].empty() || !in_futex(procfs, pid, wait.waiter)) continue;
    if (progress(procfs, pid, wait.waiter) == before[index]) certain.push_back(wait);
  }
  return certain;
}

}  // namespace stucktrace::unwind
