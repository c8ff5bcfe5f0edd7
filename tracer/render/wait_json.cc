#include "tracer/render/wait_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "syscalls/decode.h"
#include "tracer/render/json_text.h"

namespace stucktrace::render {
namespace {

std::string hex(std::uint64_t value) {
  // Beyond 53 bits JSON numbers are not portable.
  return fmt::format("{:#x}", value);
}

std::string_view direction(model::FdMode mode) {
  switch (mode) {
    case model::FdMode::kNone:
      return "none";
    case model::FdMode::kRead:
      return "read";
    case model::FdMode::kWrite:
      return "write";
    case model::FdMode::kBoth:
      return "both";
  }
  return "none";
}

std::string_view word(model::OnFutex::Role role) {
  using enum model::OnFutex::Role;
  switch (role) {
    case kUnknown:
      return "unknown";
    case kMutex:
      return "mutex";
    case kPiMutex:
      return "pi-mutex";
    case kJoin:
      return "join";
    case kRwlockWriter:
      return "rwlock-writer";
    case kRwlockReader:
      return "rwlock-reader";
    case kRuntimeLock:
      return "runtime-lock";
    case kMonitor:
      return "monitor";
  }
  return "unknown";
}

// The members of one thing that a wait is on.
class OnWriter {
 public:
  explicit OnWriter(std::string& text) : text_(text), out_(text) {}

  void operator()(const model::OnFd& on) {
    out_.add("type", "fd");
    out_.add("fd", on.fd);
    out_.add("resource", to_string(on.resource));
    out_.add("direction", direction(on.direction));
  }
  void operator()(const model::OnChildren& on) {
    using enum model::OnChildren::Which;
    out_.add("type", "children");
    out_.add("which", on.which == kOne ? "one" : on.which == kAny ? "any" : "group");
    out_.add("selector", on.selector);
    add_ids("children", on.children);
  }
  void operator()(const model::OnFutex& on) {
    out_.add("type", "futex");
    out_.add("resource", to_string(on.futex));
    out_.add("address", hex(on.address.value()));
    out_.add("private", on.is_private);
    out_.add("role", word(on.role));
    out_.add("owner", on.owner ? std::optional(on.owner->value()) : std::nullopt);
    out_.add("owner_alive", on.owner_alive);
  }
  void operator()(const model::OnTask& on) {
    out_.add("type", "task");
    out_.add("pid", on.pid.value());
  }
  void operator()(const model::OnLock& on) {
    out_.add("type", "lock");
    out_.add("resource", to_string(on.file));
    add_ids("owners", on.owners);
    out_.add("description", on.description);
  }
  void operator()(const model::OnSignal&) { out_.add("type", "signal"); }
  void operator()(const model::OnOutside& on) {
    out_.add("type", "outside");
    out_.add("who", on.who);
  }
  void operator()(const model::OnUnknown& on) {
    out_.add("type", "unknown");
    out_.add("because", on.because);
  }
  void end() { out_.end(); }

 private:
  void add_ids(std::string_view key, const std::vector<base::Pid>& ids) {
    out_.start(key);
    append_json_ids(ids, text_);
  }

  std::string& text_;
  JsonMembers out_;
};

// The resource of a wait that has just one.
std::optional<std::string> only_resource(const model::Wait& wait) {
  if (wait.on.size() != 1) return std::nullopt;
  if (const auto* fd = std::get_if<model::OnFd>(&wait.on[0])) return to_string(fd->resource);
  if (const auto* futex = std::get_if<model::OnFutex>(&wait.on[0])) return to_string(futex->futex);
  if (const auto* lock = std::get_if<model::OnLock>(&wait.on[0])) return to_string(lock->file);
  return std::nullopt;
}

std::optional<std::int64_t> in_ms(const std::optional<base::Nanoseconds>& duration) {
  if (!duration) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::milliseconds>(*duration).count();
}

void write_call(const model::Thread& thread, JsonMembers& out, std::string& text) {
  if (!thread.syscall) {
    out.add("syscall", nullptr);
    out.add("args", nlohmann::ordered_json::array());
    return;
  }
  const syscalls::RawCall& call = thread.syscall->call;
  const syscalls::SyscallRow* row = syscalls::find_row(call.abi, call.number);
  out.add("syscall",
          row != nullptr ? std::string(row->name) : fmt::format("syscall_{}", call.number));
  const std::size_t count =
      row != nullptr ? std::min<std::size_t>(row->arg_count, call.args.size()) : call.args.size();
  out.start("args");
  JsonItems args{text};
  for (std::size_t i = 0; i < count; ++i) args.add(hex(call.args[i]));
  args.end();
}

}  // namespace

void write_wait(const model::Thread& thread, std::string& text) {
  const model::Wait& wait = thread.wait;
  JsonMembers out{text};
  out.add("kind", to_string(wait.kind));
  write_call(thread, out, text);
  out.add("call", thread.call_text);
  out.add("resource", only_resource(wait));
  out.add("timeout_ms", in_ms(wait.timeout));
  out.add("remaining_ms", in_ms(wait.remaining));
  out.add("polling", wait.polling);
  out.add("polling_text", wait.polling_text);
  out.add("inferred", wait.inferred);
  out.start("on");
  JsonItems on{text};
  for (const model::WaitOn& each : wait.on) {
    on.start();
    OnWriter writer{text};
    std::visit(writer, each);
    writer.end();
  }
  on.end();
  out.end();
}

}  // namespace stucktrace::render
