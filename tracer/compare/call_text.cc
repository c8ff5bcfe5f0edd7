#include "tracer/compare/call_text.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <variant>

#include "tracer/compare/path_text.h"

namespace stucktrace::compare {
namespace {

using syscalls::Sys;
using syscalls::Value;

const Value* find_argument(const syscalls::DecodedCall& call, std::string_view name) {
  for (const auto& argument : call.args) {
    if (argument.name == name) return &argument.value;
  }
  return nullptr;
}

const Value* find_field(const syscalls::Struct& structure, std::string_view name) {
  for (const auto& field : structure.fields) {
    if (field.name == name) return &field.value;
  }
  return nullptr;
}

// What stands between the quotes: inet_addr("127.0.0.1").
std::string_view between_quotes(std::string_view text) {
  const std::size_t first = text.find('"');
  if (first == std::string_view::npos) return {};
  const std::size_t last = text.find('"', first + 1);
  return last == std::string_view::npos ? std::string_view{}
                                        : text.substr(first + 1, last - first - 1);
}

std::string inet_text(const syscalls::Struct& address, std::string_view host_field,
                      std::string_view port_field) {
  const Value* host = find_field(address, host_field);
  const Value* port = find_field(address, port_field);
  if (host == nullptr || port == nullptr) return {};
  const auto* host_symbol = std::get_if<syscalls::Symbol>(&host->data);
  const auto* port_symbol = std::get_if<syscalls::Symbol>(&port->data);
  if (host_symbol == nullptr || port_symbol == nullptr) return {};
  // ip(7), ip_local_port_range: from here on the kernel picks ports itself.
  constexpr std::int64_t kFirstEphemeral = 32768;
  const std::string_view name = between_quotes(host_symbol->text);
  const bool v6 = name.contains(':');
  return fmt::format(
      "inet {}{}{}:{}", v6 ? "[" : "", name, v6 ? "]" : "",
      port_symbol->raw >= kFirstEphemeral ? "<port>" : fmt::format("{}", port_symbol->raw));
}

std::optional<std::uint64_t> open_flags(const model::Call& call) {
  switch (call.sys()) {
    case Sys::open:
      return call.raw.args[1];
    case Sys::openat:
      return call.raw.args[2];
    case Sys::creat:
      return O_WRONLY | O_CREAT | O_TRUNC;
    case Sys::openat2: {
      std::uint64_t flags = 0;  // first member of struct open_how
      if (!call.memory.read_value(base::RemoteAddr{call.raw.args[2]}, flags)) return std::nullopt;
      return flags;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<std::string> path_argument(const model::Call& call, std::string_view name) {
  const auto decoded = syscalls::decode(call.raw, call.result, call.memory);
  const Value* value = find_argument(decoded, name);
  if (value == nullptr) return std::nullopt;
  const auto* text = std::get_if<syscalls::Text>(&value->data);
  if (text == nullptr) return std::nullopt;
  return text->bytes;
}

std::string writing_text(const model::Call& call) {
  const auto flags = open_flags(call);
  if (!flags) return {};
  const bool writes = (*flags & O_ACCMODE) != O_RDONLY;
  if (!writes && (*flags & O_CREAT) == 0) return {};
  std::string text = !writes                    ? "for reading"
                     : (*flags & O_APPEND) != 0 ? "for appending"
                                                : "for writing";
  if ((*flags & O_CREAT) != 0)
    text += (*flags & O_TRUNC) != 0 ? " (creates, truncates)" : " (creates)";
  if ((*flags & (O_CREAT | O_TRUNC)) == O_TRUNC) text += " (truncates)";
  return text;
}

std::string_view path_verb(Sys call) {
  switch (call) {
    case Sys::unlink:
    case Sys::unlinkat:
      return "removes";
    case Sys::rmdir:
      return "removes directory";
    case Sys::rename:
    case Sys::renameat:
    case Sys::renameat2:
      return "renames";
    case Sys::mkdir:
    case Sys::mkdirat:
      return "makes directory";
    case Sys::mknod:
    case Sys::mknodat:
      return "makes node";
    case Sys::link:
    case Sys::linkat:
      return "links";
    case Sys::symlink:
    case Sys::symlinkat:
      return "symlinks";
    default:
      return {};
  }
}

std::string address_text(const model::Call& call, const Normaliser& normalise) {
  const auto decoded = syscalls::decode(call.raw, call.result, call.memory);
  const Value* value = find_argument(decoded, "addr");
  if (value == nullptr) return {};
  const auto* address = std::get_if<syscalls::Struct>(&value->data);
  if (address == nullptr) return {};
  if (const Value* path = find_field(*address, "sun_path")) {
    const auto* text = std::get_if<syscalls::Text>(&path->data);
    if (text == nullptr) return {};
    std::string name = text->bytes;
    if (!name.empty() && name.front() == '\0') name.front() = '@';  // unix(7): abstract
    return "unix " + quoted(normalise(name));
  }
  if (auto text = inet_text(*address, "sin_addr", "sin_port"); !text.empty()) return text;
  return inet_text(*address, "sin6_addr", "sin6_port");
}

}  // namespace stucktrace::compare
