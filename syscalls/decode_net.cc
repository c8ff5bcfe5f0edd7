#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "syscalls/decode_parts.h"
#include "tracer/base/bytes.h"

// Sockets: addresses, messages, ancillary data, options.

namespace stucktrace::syscalls {
namespace {

enum Family : int { kUnix = 1, kInet = 2, kInet6 = 10, kNetlink = 16 };
constexpr int kSolSocket = 1;
constexpr int kSolTcp = 6;
constexpr int kSolIp = 0;
constexpr int kSolIpv6 = 41;
constexpr int kScmRights = 1;
constexpr int kScmCredentials = 2;
constexpr int kSoLinger = 13;
constexpr int kSoPeercred = 17;
constexpr int kSoRcvtimeo = 20;
constexpr int kSoSndtimeo = 21;
constexpr int kSoBindtodevice = 25;

struct Credentials {
  std::int32_t pid = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

Value credentials_value(const Credentials& who) {
  return Fields{}
      .add("pid", Value{PidValue{who.pid}})
      .add("uid", Value{Unsigned{who.uid}})
      .add("gid", Value{Unsigned{who.gid}})
      .done();
}

// The path is what the length leaves: it need not end in NUL, and an abstract name may hold NULs
// (unix(7)).
std::optional<Value> unix_path(std::span<const std::byte> rest) {
  if (rest.empty()) return std::nullopt;
  std::string_view path = base::as_text(rest);
  if (path.front() != '\0') path = path.substr(0, path.find('\0'));
  return Value{Text{std::string{path}, false}};
}

Value port_value(std::uint16_t network_order) {
  const unsigned port = ntohs(network_order);
  return Value{Symbol{port, fmt::format("htons({})", port)}};
}

Value inet6_value(base::ByteCursor& cursor, Fields& fields) {
  const auto port = cursor.read<std::uint16_t>();
  const auto flow = cursor.read<std::uint32_t>();
  const auto address = cursor.read<std::array<unsigned char, 16>>();
  const auto scope = cursor.read<std::uint32_t>();
  if (!port || !flow || !address) return fields.done();
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, address->data(), text.data(), text.size());
  fields.add("sin6_port", port_value(*port))
      .add("sin6_flowinfo", Value{Symbol{ntohl(*flow), fmt::format("htonl({})", ntohl(*flow))}})
      .add("sin6_addr", Value{Symbol{0, fmt::format("inet_pton(AF_INET6, \"{}\")", text.data())}});
  if (scope) fields.add("sin6_scope_id", Value{Unsigned{*scope}});
  return fields.done();
}

Value sockaddr_from(std::span<const std::byte> bytes) {
  base::ByteCursor cursor{bytes};
  const auto family = cursor.read<std::uint16_t>();
  if (!family) return Value{Struct{}};
  Fields fields;
  fields.add("sa_family", named(ArgKind::kSockFamily, *family));
  switch (*family) {
    case kUnix:
      if (auto path = unix_path(bytes.subspan(cursor.position()))) {
        fields.add("sun_path", *std::move(path));
      }
      return fields.done();
    case kInet: {
      const auto port = cursor.read<std::uint16_t>();
      const auto address = cursor.read<std::uint32_t>();
      if (!port || !address) return fields.done();
      std::array<char, INET_ADDRSTRLEN> text{};
      inet_ntop(AF_INET, &*address, text.data(), text.size());
      return fields.add("sin_port", port_value(*port))
          .add("sin_addr",
               Value{Symbol{ntohl(*address), fmt::format("inet_addr(\"{}\")", text.data())}})
          .done();
    }
    case kInet6:
      return inet6_value(cursor, fields);
    case kNetlink: {
      const auto pad = cursor.read<std::uint16_t>();
      const auto pid = cursor.read<std::uint32_t>();
      const auto groups = cursor.read<std::uint32_t>();
      if (!pad || !pid || !groups) return fields.done();
      return fields.add("nl_pid", Value{PidValue{static_cast<std::int32_t>(*pid)}})
          .add("nl_groups", Value{Hex{*groups}})
          .done();
    }
    default: {
      const auto rest = base::as_text(bytes.subspan(cursor.position()));
      return fields.add("sa_data", Value{Buffer{std::string{rest}, rest.size()}}).done();
    }
  }
}

Value sockaddr_value(const RemoteMemory& memory, base::RemoteAddr address, std::uint64_t size) {
  if (address.value() == 0) return Value{Null{}};
  std::array<std::byte, kMaxSockaddr> room;
  const auto wanted =
      std::span{room}.first(static_cast<std::size_t>(std::min<std::uint64_t>(size, kMaxSockaddr)));
  const std::size_t got = memory.read(address, wanted);
  // Two bytes are the least that means anything; a length below that is an error of the caller.
  if (got < sizeof(std::uint16_t)) return pointer_value(address);
  return sockaddr_from(wanted.first(got));
}

std::optional<KernelCmsghdr> control_header(const Call& call, base::ByteCursor& cursor) {
  if (!is_narrow<KernelCmsghdr>(call.layout)) return cursor.read<KernelCmsghdr>();
  const auto narrow = cursor.read<NarrowCmsghdr>();
  if (!narrow) return std::nullopt;
  return widen(*narrow);
}

// Ancillary data (cmsg(3)): headers aligned to a word of the task.
Value control_value(const Call& call, base::RemoteAddr address, std::uint64_t size) {
  if (address.value() == 0) return Value{Null{}};
  const auto bytes = read_array<std::byte>(call, address, size, kMaxControl);
  const std::size_t header_size = wire_size<KernelCmsghdr>(call.layout);
  if (bytes.size() < header_size) return pointer_value(address);
  Array messages;
  messages.cut = bytes.size() < size;
  base::ByteCursor cursor{bytes};
  while (const auto header = control_header(call, cursor)) {
    if (header->length < header_size) break;
    const std::size_t payload = static_cast<std::size_t>(
        std::min<std::uint64_t>(header->length - header_size, cursor.remaining()));
    base::ByteCursor data{*cursor.read_bytes(payload)};
    Fields fields;
    fields.add("cmsg_len", Value{Unsigned{header->length}})
        .add("cmsg_level", named(ArgKind::kSockLevel, static_cast<std::uint32_t>(header->level)))
        .add("cmsg_type", header->level == kSolSocket
                              ? named(NameSet::kCmsgType, static_cast<std::uint32_t>(header->type))
                              : Value{Integer{header->type}});
    if (header->level == kSolSocket && header->type == kScmRights) {
      Array fds;
      while (const auto fd = data.read<std::int32_t>()) fds.items.push_back(Value{Fd{*fd}});
      fields.add("cmsg_data", Value{std::move(fds)});
    } else if (header->level == kSolSocket && header->type == kScmCredentials) {
      if (const auto who = data.read<Credentials>()) {
        fields.add("cmsg_data", credentials_value(*who));
      }
    }
    messages.items.push_back(fields.done());
    // Both sizes of header are whole words.
    const std::size_t word = call.layout.word_size();
    const std::size_t padding = (word - payload % word) % word;
    if (!cursor.read_bytes(padding)) break;
  }
  return Value{std::move(messages)};
}

Value msghdr_value(const Call& call, const KernelMsghdr& header, std::uint64_t valid,
                   std::size_t& budget) {
  return Fields{}
      .add("msg_name",
           sockaddr_value(call.memory, base::RemoteAddr{header.name}, header.name_length))
      .add("msg_namelen", Value{Unsigned{header.name_length}})
      .add("msg_iov",
           iovec_value(call, base::RemoteAddr{header.iov}, header.iov_count, valid, true, budget))
      .add("msg_iovlen", Value{Unsigned{header.iov_count}})
      .add("msg_control",
           control_value(call, base::RemoteAddr{header.control}, header.control_length))
      .add("msg_controllen", Value{Unsigned{header.control_length}})
      .add("msg_flags", named(ArgKind::kMsgFlags, header.flags))
      .done();
}

constexpr std::uint64_t kAllBytes = ~std::uint64_t{0};

Value mmsghdr_value(const Call& call, std::size_t index, bool out) {
  const base::RemoteAddr address = call.pointer(index);
  if (out && !call.succeeded()) return pointer_value(address);
  const std::uint64_t count = out ? call.count() : static_cast<std::uint32_t>(call.arg(index + 1));
  const auto items = read_array<KernelMmsghdr>(call, address, count, kMaxMessages);
  if (items.empty() && count > 0) return pointer_value(address);
  std::size_t budget = kMaxBuffer;
  Array array;
  array.cut = items.size() < count;
  for (const KernelMmsghdr& item : items) {
    Fields fields;
    fields.add("msg_hdr", msghdr_value(call, item.header, out ? item.length : kAllBytes, budget));
    if (out) fields.add("msg_len", Value{Unsigned{item.length}});
    array.items.push_back(fields.done());
  }
  return Value{std::move(array)};
}

Value protocol_value(const Call& call, std::uint64_t raw) {
  switch (call.int_arg(0)) {
    case kInet:
    case kInet6:
      return named(NameSet::kIpProtocol, raw);
    case kNetlink:
      return named(NameSet::kNetlinkProtocol, raw);
    default:
      return Value{Integer{static_cast<std::int32_t>(raw)}};
  }
}

Value option_value(const Call& call, std::uint64_t raw) {
  switch (call.int_arg(1)) {
    case kSolSocket:
      return named(NameSet::kSoOption, raw);
    case kSolTcp:
      return named(NameSet::kTcpOption, raw);
    case kSolIp:
      return named(NameSet::kIpOption, raw);
    case kSolIpv6:
      return named(NameSet::kIpv6Option, raw);
    default:
      return Value{Integer{static_cast<std::int32_t>(raw)}};
  }
}

Value linger_value(const std::array<std::int32_t, 2>& linger) {
  return Fields{}
      .add("l_onoff", Value{Integer{linger[0]}})
      .add("l_linger", Value{Integer{linger[1]}})
      .done();
}

Value optval_value(const Call& call, std::size_t index, std::uint64_t size) {
  const base::RemoteAddr address = call.pointer(index);
  if (call.int_arg(1) == kSolSocket) {
    const int option = call.int_arg(2);
    if (option == kSoLinger && size == 8) {
      return pointee<std::array<std::int32_t, 2>>(call, address, linger_value);
    }
    if (option == kSoPeercred && size == sizeof(Credentials)) {
      return pointee<Credentials>(call, address, credentials_value);
    }
    if ((option == kSoRcvtimeo || option == kSoSndtimeo) &&
        size == wire_size<KernelTimespec>(call.layout)) {
      return pointee<KernelTimespec>(call, address, [](const KernelTimespec& time) {
        const auto nanoseconds =
            static_cast<std::int64_t>(static_cast<std::uint64_t>(time.fraction) * 1000U);
        return Value{Duration{time.seconds, nanoseconds, true}};
      });
    }
    if (option == kSoBindtodevice) {
      return text_value(call.memory, address,
                        static_cast<std::size_t>(std::min<std::uint64_t>(size, 16)));
    }
  }
  if (size != sizeof(std::int32_t)) return pointer_value(address);
  return pointee<std::int32_t>(
      call, address, [](std::int32_t number) { return one_of_array(Value{Integer{number}}); });
}

// The size behind a socklen_t pointer, after the call wrote it.
std::uint64_t length_behind(const Call& call, std::size_t index) {
  std::uint32_t length = 0;
  return call.memory.read_value(call.pointer(index), length) ? length : 0;
}

}  // namespace

std::optional<Value> decode_net(const Call& call, ArgKind kind, std::size_t index) {
  const base::RemoteAddr address = call.pointer(index);
  const std::uint64_t raw = call.arg(index);
  std::size_t budget = kMaxBuffer;
  switch (kind) {
    case ArgKind::kSockaddrIn:
      return sockaddr_value(call.memory, address, static_cast<std::uint32_t>(call.arg(index + 1)));
    case ArgKind::kSockaddrOut:
      if (!call.succeeded()) return pointer_value(address);
      return sockaddr_value(call.memory, address, length_behind(call, index + 1));
    case ArgKind::kMsghdrIn:
      return pointee<KernelMsghdr>(call, address, [&](const KernelMsghdr& header) {
        return msghdr_value(call, header, kAllBytes, budget);
      });
    case ArgKind::kMsghdrOut:
      if (!call.succeeded()) return pointer_value(address);
      return pointee<KernelMsghdr>(call, address, [&](const KernelMsghdr& header) {
        return msghdr_value(call, header, call.count(), budget);
      });
    case ArgKind::kMmsghdrIn:
      return mmsghdr_value(call, index, false);
    case ArgKind::kMmsghdrOut:
      return mmsghdr_value(call, index, true);
    case ArgKind::kIntPtr:
      if (!call.succeeded()) return pointer_value(address);
      return pointee<std::int32_t>(
          call, address, [](std::int32_t number) { return one_of_array(Value{Integer{number}}); });
    case ArgKind::kUintPtrOut:
      if (!call.succeeded()) return pointer_value(address);
      return pointee<std::uint32_t>(call, address, [](std::uint32_t number) {
        return one_of_array(Value{Unsigned{number}});
      });
    case ArgKind::kSockProtocol:
      return protocol_value(call, raw);
    case ArgKind::kSockOption:
      return option_value(call, raw);
    case ArgKind::kSockoptIn:
      return optval_value(call, index, static_cast<std::uint32_t>(call.arg(index + 1)));
    case ArgKind::kSockoptOut:
      if (!call.succeeded()) return pointer_value(address);
      return optval_value(call, index, length_behind(call, index + 1));
    default:
      return std::nullopt;
  }
}

}  // namespace stucktrace::syscalls
