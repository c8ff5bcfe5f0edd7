#include "tracer/unwind/native_unwinder.h"

#include <fmt/format.h>
#include <libunwind.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>

#include "tracer/kernel/remote_memory.h"
#include "tracer/unwind/known_walks.h"
#include "tracer/unwind/native_frame_pointer.h"
#include "tracer/unwind/stack_depth.h"

// Exported by libunwind for unwinders that bring their own find_proc_info; its header is internal.
extern "C" int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t, unw_word_t, unw_dyn_info_t*,
                                                  unw_proc_info_t*, int, void*);

namespace stucktrace::unwind {
namespace {

// Unwind programs are the tracee's: one with a loop in it must end. A step reads some hundred
// words.
constexpr std::size_t kMaxReadsPerStep = 100'000;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kMaxLivePages = 256;
// libunwind reads search tables through access_mem; one that we made is shown to it where no user
// address can be (the kernel's half).
constexpr std::uint64_t kMadeTable = std::uint64_t{1} << 63;

// What runs before any function of a program: a few instructions (_start).
constexpr std::uint64_t kMaxEntryCode = 64;

// The nearest of the possible starts at or before an address, as mapped, but for those that lie in
// functions known to be others.
std::vector<std::uint64_t> starts_before(ElfModule& module, std::uint64_t linked,
                                         std::uint64_t bias) {
  constexpr std::size_t kMost = 128;
  const auto all = module.possible_starts();
  std::vector<std::uint64_t> result;
  for (auto at = std::ranges::upper_bound(all, linked);
       at != all.begin() && result.size() < kMost;) {
    --at;
    if (linked - *at > StackDepth::kMaxFunction) break;
    if (module.place(*at).size == 0) result.push_back(*at + bias);
  }
  return result;
}

struct LivePage {
  std::uint64_t address = 0;
  std::size_t length = 0;
  std::array<std::byte, kPage> bytes;
};

}  // namespace

struct NativeUnwinder::State {
  NativeModules& modules;
  unw_addr_space_t space = nullptr;
  KnownWalks walks;
  StackDepth depths;

  // Of the walk in progress.
  const StackCopy* copy = nullptr;
  std::deque<LivePage> live;
  std::size_t reads = 0;
  std::uint64_t cursor_pc = 0;  // where libunwind starts: at the copy's registers, or further out
  std::uint64_t cursor_stack_pointer = 0;
  std::optional<std::uint64_t> cursor_frame_pointer;  // where a signal's frame told it
  bool innermost = true;                              // it started at the copy's registers
  std::uint64_t pc = 0;
  std::uint64_t stack_pointer = 0;
  bool exact = true;
  std::span<const std::byte> made_table;  // what reads at kMadeTable see
  bool no_table = false;                  // in this step: code without unwind tables
  bool needs_register = false;            // in this step: a register that was never saved

  explicit State(NativeModules& process_modules) : modules(process_modules) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (space != nullptr) unw_destroy_addr_space(space);
  }

  std::size_t read_live(std::uint64_t address, std::span<std::byte> out) {
    const std::uint64_t page = address & ~std::uint64_t{kPage - 1};
    auto known = std::ranges::find(live, page, &LivePage::address);
    if (known == live.end()) {
      if (live.size() >= kMaxLivePages) return 0;
      LivePage& fresh = live.emplace_back();
      fresh.address = page;
      fresh.length =
          kernel::ProcessMemory(copy->tid).read(base::RemoteAddr{page}, std::span(fresh.bytes));
      known = live.end() - 1;
    }
    const auto inside = static_cast<std::size_t>(address - page);
    if (inside >= known->length) return 0;
    const std::size_t count = std::min(out.size(), known->length - inside);
    std::memcpy(out.data(), known->bytes.data() + inside, count);
    return count;
  }

  std::size_t read_once(std::uint64_t address, std::span<std::byte> out) {
    if (address >= kMadeTable) {
      const std::uint64_t at = address - kMadeTable;
      if (at >= made_table.size()) return 0;
      const auto from = made_table.subspan(static_cast<std::size_t>(at));
      const std::size_t count = std::min(out.size(), from.size());
      std::memcpy(out.data(), from.data(), count);
      return count;
    }
    if (copy->holds(address)) {
      const auto inside = static_cast<std::size_t>(address - copy->start);
      const std::size_t count = std::min(out.size(), copy->bytes.size() - inside);
      std::memcpy(out.data(), copy->bytes.data() + inside, count);
      std::uint64_t word = 0;
      if (count == out.size() && count == sizeof word) {
        std::memcpy(&word, out.data(), sizeof word);
        walks.read_word(*copy, address, word);
      } else {
        walks.read_elsewhere();
      }
      return count;
    }
    if (const std::size_t count = modules.read_file(address, out, copy->tid)) return count;
    walks.read_elsewhere();
    return read_live(address, out);
  }

  std::size_t read(std::uint64_t address, std::span<std::byte> out) {
    std::size_t done = 0;
    while (done < out.size()) {
      const std::size_t got = read_once(address + done, out.subspan(done));
      if (got == 0) break;
      done += got;
    }
    return done;
  }

  bool is_code(std::uint64_t address) {
    const NativeMapping* mapping = modules.find(address);
    return mapping != nullptr && mapping->entry.executable;
  }

  int find_proc_info(unw_word_t ip, unw_proc_info_t* info, int need_unwind_info) {
    const NativeMapping* mapping = modules.find_with_module(ip, copy->tid);
    const auto linked = mapping != nullptr ? mapping->linked(ip) : std::nullopt;
    if (!linked) {
      no_table = true;
      return -UNW_ENOINFO;
    }
    ElfModule& module = *mapping->module;
    const std::uint64_t bias = ip - *linked;
    unw_dyn_info_t where{};
    where.format = UNW_INFO_FORMAT_REMOTE_TABLE;
    where.start_ip = mapping->entry.start;
    where.end_ip = mapping->entry.end;
    if (const auto& own = module.image().unwind_table()) {
      where.u.rti.segbase = own->header + bias;
      where.u.rti.table_data = own->entries + bias;
      where.u.rti.table_len = own->count * sizeof(UnwindEntry) / sizeof(unw_word_t);
    } else {
      const ElfSection* section = module.image().section(".eh_frame");
      made_table = std::as_bytes(module.scanned_table());
      if (section == nullptr || made_table.empty()) {
        no_table = true;
        return -UNW_ENOINFO;
      }
      where.u.rti.segbase = section->address + bias;
      where.u.rti.table_data = kMadeTable;
      where.u.rti.table_len = made_table.size() / sizeof(unw_word_t);
    }
    const int result =
        UNW_OBJ(dwarf_search_unwind_table)(space, ip, &where, info, need_unwind_info, this);
    if (result < 0) no_table = true;
    return result;
  }

  int read_register(unw_regnum_t number, unw_word_t* value) {
    if (number == UNW_REG_IP) {
      *value = cursor_pc;
      return 0;
    }
    if (number == UNW_REG_SP) {
      *value = cursor_stack_pointer;
      return 0;
    }
#if defined(__x86_64__)
    if (number == UNW_X86_64_RBP) {
      if (innermost && copy->frame_pointer) walks.read_frame_pointer();
      const auto known = innermost ? copy->frame_pointer : cursor_frame_pointer;
      if (const auto found = known ? known : frame_pointer()) {
        *value = *found;
        return 0;
      }
    }
#endif
    needs_register = true;
    return -UNW_EBADREG;
  }

  // What following its code may ask about the process.
  BareCode code_around() {
    BareCode code;
    code.read_data = [this](std::uint64_t address, std::span<std::byte> out) {
      if (copy->holds(address)) return read_once(address, out);
      // What the linker filled in and then closed for writing is not what the file has.
      walks.read_elsewhere();
      return read_live(address, out);
    };
    code.read_code = [this](std::uint64_t address, std::span<std::byte> out) -> std::size_t {
      return is_code(address) ? read(address, out) : 0;
    };
    code.is_constant = [this](std::uint64_t address) {
      const NativeMapping* mapping = modules.find(address);
      return mapping != nullptr && !mapping->entry.writable;
    };
    return code;
  }

  // Asked for when the frame at hand is addressed by the frame pointer and nothing below saved it.
  std::optional<std::uint64_t> frame_pointer() {
    if (no_table) return std::nullopt;  // nor is known where its function starts
    const std::uint64_t inside = exact ? pc : pc - 1;
    const NativeMapping* mapping = modules.find_with_module(inside, copy->tid);
    const auto linked = mapping != nullptr ? mapping->linked(inside) : std::nullopt;
    if (!linked) return std::nullopt;
    const auto start = mapping->module->function_start(*linked);
    if (!start) return std::nullopt;
    BareCode code = code_around();
    code.start = *start + (inside - *linked);
    const auto told = depths.frame_pointer({pc, stack_pointer, !exact}, code);
    if (told.value) return told.value;
    const auto read_stack = [this](std::uint64_t address, std::span<std::byte> out) {
      return read(address, out);
    };
    return deduce_frame_pointer({*code.start, pc, stack_pointer, told.moves}, read_stack,
                                code.read_code);
  }

  // Who called the frame at hand, whose code has no unwind tables.
  std::optional<BareCaller> bare_caller() {
    const std::uint64_t inside = exact ? pc : pc - 1;
    const NativeMapping* mapping = modules.find_with_module(inside, copy->tid);
    const auto linked = mapping != nullptr ? mapping->linked(inside) : std::nullopt;
    if (!linked) return std::nullopt;  // code that the program made itself: it may change
    ElfModule& module = *mapping->module;
    const std::uint64_t bias = inside - *linked;
    // Where the file does not say how large a function is, this may be another.
    const Place& place = module.place(*linked);
    const std::uint64_t start = place.size != 0 ? place.start : 0;
    // What the kernel enters has no caller.
    const std::uint64_t entry = module.image().entry();
    const BareCaller outermost{.outermost = true, .frame_pointer = {}};
    if (entry != 0 && start == entry) return outermost;
    BareCode code = code_around();
    if (start != 0) code.start = start + bias;
    code.possible_starts = [&module, bias, at = *linked] {
      return starts_before(module, at, bias);
    };
    if (auto caller = depths.caller({pc, stack_pointer, !exact}, code)) return caller;
    const bool in_entry = entry != 0 && *linked >= entry && *linked - entry < kMaxEntryCode;
    return in_entry && start == 0 ? std::optional{outermost} : std::nullopt;
  }

  // Starts libunwind at the frame at hand.
  bool start(unw_cursor_t& cursor) {
    // It looks tables up by the address that it is given.
    cursor_pc = exact ? pc : pc - 1;
    cursor_stack_pointer = stack_pointer;
    return unw_init_remote(&cursor, space, this) >= 0;
  }

  // What runs next at the frame at hand goes back to what a signal interrupted.
  bool returns_from_signal(unw_cursor_t& cursor) {
#if defined(__x86_64__)
    static_cast<void>(cursor);  // which says so of the frame behind as well
    return is_signal_return(pc, [this](std::uint64_t address, std::span<std::byte> out) {
      return is_code(address) ? read(address, out) : std::size_t{0};
    });
#else
    return unw_is_signal_frame(&cursor) > 0;
#endif
  }

  void begin_step() {
    reads = 0;
    no_table = false;
    needs_register = false;
  }

  std::string why_ended(std::size_t frames) const {
    if (reads > kMaxReadsPerStep) return "ends early: unwind tables that do not end";
    if (no_table) {
      return fmt::format("ends early: no unwind tables for the code at {:#x}{}", pc,
                         needs_register ? ", and its registers are only known while stopped" : "");
    }
    if (needs_register) {
      return "ends early: frame needs a register that is only known while stopped";
    }
    return fmt::format("ends early: frame {} cannot be unwound", frames - 1);
  }

  // Go code says by itself how large its frames are; whoever it was called by is Go code too. True
  // if the code at hand is.
  bool walk_go(Walk& result);
  void walk_into(Walk& result);
};

bool NativeUnwinder::State::walk_go(Walk& result) {
  bool any = false;
  while (true) {
    const std::uint64_t inside = exact ? pc : pc - 1;
    const NativeMapping* mapping = modules.find_with_module(inside, copy->tid);
    const auto linked = mapping != nullptr ? mapping->linked(inside) : std::nullopt;
    const GoTable* go = linked ? mapping->module->go_table() : nullptr;
    const auto function = go != nullptr ? go->find(*linked) : std::nullopt;
    if (!function) {
      if (any) result.note = fmt::format("ends early: {:#x} is no Go code", pc);
      return any;
    }
    any = true;
    if (GoTable::is_outermost(function->function)) return true;
    const auto size = go->frame_size(*linked);
    std::uint64_t next = 0;
    const auto out = std::as_writable_bytes(std::span{&next, 1});
    if (!size || read(stack_pointer + *size, out) != out.size() || !is_code(next)) {
      result.note = fmt::format("ends early: the frame of {} cannot be read", function->function);
      return true;
    }
    if (result.frames.size() >= kMaxFrames) {
      result.note = fmt::format("cut at {} frames", kMaxFrames);
      return true;
    }
    pc = next;
    stack_pointer += *size + sizeof next;
    exact = false;
    result.frames.push_back({pc, false});
  }
}

void NativeUnwinder::State::walk_into(Walk& result) {
  unw_cursor_t cursor;
  begin_step();
  pc = copy->program_counter;
  stack_pointer = copy->stack_pointer;
  exact = true;
  if (!is_code(pc)) {
    result.note = fmt::format("the program counter {:#x} is not in mapped code", pc);
    result.unknown_code = true;
    return;
  }
  result.frames.push_back({pc, true});
  innermost = true;
  if (!start(cursor)) {
    result.note = why_ended(1);
    return;
  }
  while (true) {
    if (walk_go(result)) return;
    begin_step();
    const bool signal = returns_from_signal(cursor);
    const int step = unw_step(&cursor);
    if (no_table) {
      if (const auto caller = bare_caller()) {
        if (caller->outermost) return;
        if (result.frames.size() >= kMaxFrames) {
          result.note = fmt::format("cut at {} frames", kMaxFrames);
          return;
        }
        if (caller->interrupted) result.frames.back().exact = true;
        pc = caller->pc;
        stack_pointer = caller->stack_pointer;
        exact = caller->interrupted;
        innermost = false;
        cursor_frame_pointer = caller->frame_pointer;
        if (!is_code(pc)) {
          result.note = fmt::format("ends early: {:#x} is not in mapped code", pc);
          result.unknown_code = true;
          return;
        }
        result.frames.push_back({pc, exact});
        if (start(cursor)) continue;
        result.note = why_ended(result.frames.size());
        return;
      }
    }
    if (step == 0 && !no_table) return;
    if (step <= 0) {
      if (result.note.empty()) result.note = why_ended(result.frames.size());
      return;
    }
    unw_word_t next_pc = 0, next_sp = 0;
    if (unw_get_reg(&cursor, UNW_REG_IP, &next_pc) < 0 ||
        unw_get_reg(&cursor, UNW_REG_SP, &next_sp) < 0) {
      result.note = why_ended(result.frames.size());
      return;
    }
    if (next_pc == 0 && !signal) {  // the outermost frame of threads that have no caller
      if (no_table) result.note = why_ended(result.frames.size());
      return;
    }
    if (!is_code(next_pc)) {
      result.note = fmt::format("ends early: {:#x} is not in mapped code", next_pc);
      result.unknown_code = true;
      return;
    }
    // The handler of a signal may run on another stack (sigaltstack(2)); there the order is free.
    if (next_sp <= stack_pointer && !signal) {
      result.note = "ends early: the stack does not grow towards its start";
      return;
    }
    if (no_table && result.note.empty()) {
      result.note = fmt::format("by frame pointers from frame {} on: code without unwind tables",
                                result.frames.size());
    }
    if (result.frames.size() >= kMaxFrames) {
      result.note = fmt::format("cut at {} frames", kMaxFrames);
      return;
    }
    pc = next_pc;
    stack_pointer = next_sp;
    exact = signal;
    result.frames.push_back({pc, exact});
  }
}

NativeUnwinder::NativeUnwinder(NativeModules& modules) : state_(std::make_unique<State>(modules)) {
  unw_accessors_t accessors{};
  accessors.find_proc_info = [](unw_addr_space_t, unw_word_t ip, unw_proc_info_t* info, int need,
                                void* state) {
    return static_cast<State*>(state)->find_proc_info(ip, info, need);
  };
  accessors.put_unwind_info = [](unw_addr_space_t, unw_proc_info_t*, void*) {};
  accessors.get_dyn_info_list_addr = [](unw_addr_space_t, unw_word_t*, void*) {
    return -UNW_ENOINFO;
  };
  accessors.access_mem = [](unw_addr_space_t, unw_word_t address, unw_word_t* value, int write,
                            void* argument) {
    auto& state = *static_cast<State*>(argument);
    if (write != 0 || ++state.reads > kMaxReadsPerStep) return -UNW_EINVAL;
    const auto out = std::as_writable_bytes(std::span{value, 1});
    return state.read(address, out) == out.size() ? 0 : -UNW_EINVAL;
  };
  accessors.access_reg = [](unw_addr_space_t, unw_regnum_t number, unw_word_t* value, int write,
                            void* state) {
    if (write != 0) return -UNW_EREADONLYREG;
    return static_cast<State*>(state)->read_register(number, value);
  };
  accessors.access_fpreg = [](unw_addr_space_t, unw_regnum_t, unw_fpreg_t*, int, void*) {
    return -UNW_EBADREG;
  };
  accessors.resume = [](unw_addr_space_t, unw_cursor_t*, void*) { return -UNW_EINVAL; };
  accessors.get_proc_name = [](unw_addr_space_t, unw_word_t, char*, size_t, unw_word_t*, void*) {
    return -UNW_ENOINFO;
  };
  state_->space = unw_create_addr_space(&accessors, 0);
  if (state_->space != nullptr) unw_set_caching_policy(state_->space, UNW_CACHE_GLOBAL);
}

NativeUnwinder::~NativeUnwinder() = default;

void NativeUnwinder::forget() {
  state_->walks.clear();
  state_->depths.forget();
  if (state_->space != nullptr) unw_flush_cache(state_->space, 0, 0);
}

Walk NativeUnwinder::walk(const StackCopy& copy) {
  Walk result;
  if (state_->space == nullptr) {
    result.note = "libunwind could not be set up";
    return result;
  }
  if (const Walk* known = state_->walks.find(copy)) return *known;
  state_->copy = &copy;
  state_->walks.begin();
  state_->depths.begin();
  state_->walk_into(result);
  state_->walks.end(copy, result);
  state_->depths.end();
  state_->live.clear();
  state_->copy = nullptr;
  return result;
}

}  // namespace stucktrace::unwind
