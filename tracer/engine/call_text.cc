#include "tracer/engine/call_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "tracer/base/text.h"

namespace stucktrace::engine {
namespace {

constexpr std::size_t kMaxLabel = 64;
constexpr std::size_t kMaxPath = 128;

// What goes through a descriptor may be secret; a look at a process shows none of it.
bool shows_payload(const syscalls::Value& value) {
  if (std::holds_alternative<syscalls::Buffer>(value.data)) return true;
  if (const auto* array = std::get_if<syscalls::Array>(&value.data)) {
    return std::ranges::any_of(array->items, shows_payload);
  }
  if (const auto* fields = std::get_if<syscalls::Struct>(&value.data)) {
    return std::ranges::any_of(
        fields->fields, [](const syscalls::Field& field) { return shows_payload(field.value); });
  }
  return false;
}

std::string descriptor_text(int fd, const std::vector<model::FdEntry>& fds) {
  const auto at = std::ranges::lower_bound(fds, fd, {}, &model::FdEntry::fd);
  if (at == fds.end() || at->fd != fd) return std::to_string(fd);
  return fmt::format("{}<{}>", fd, base::escape_text(at->label, kMaxLabel));
}

std::string argument_text(const syscalls::Argument& argument, std::uint64_t raw,
                          const std::vector<model::FdEntry>& fds) {
  if (const auto* fd = std::get_if<syscalls::Fd>(&argument.value.data); fd && fd->fd >= 0) {
    return descriptor_text(fd->fd, fds);
  }
  if (shows_payload(argument.value)) return fmt::format("0x{:x}", raw);
  return syscalls::to_text(argument.value, kMaxPath);
}

}  // namespace

std::string call_text(const syscalls::RawCall& call, const syscalls::RemoteMemory& memory,
                      const std::vector<model::FdEntry>& fds) {
  const syscalls::DecodedCall decoded = syscalls::decode(call, std::nullopt, memory);
  std::string text = decoded.name + "(";
  for (std::size_t i = 0; i < decoded.args.size() && i < call.args.size(); ++i) {
    if (i > 0) text += ", ";
    text += argument_text(decoded.args[i], call.args[i], fds);
  }
  return text + ")";
}

}  // namespace stucktrace::engine
