#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "syscalls/decode.h"
#include "syscalls/memory.h"
#include "syscalls/table.h"

namespace stucktrace::syscalls::testing {

// A tracee's memory made of islands with unmapped space between them: a read that leaves an island
// is short, as at the edge of a mapping. Counts its reads.
class FakeTracee final : public RemoteMemory {
 public:
  std::uint64_t put_bytes(std::span<const std::byte> bytes) {
    const std::uint64_t address = next_;
    islands_[address].assign(bytes.begin(), bytes.end());
    next_ += (bytes.size() + 0x1fff) & ~std::uint64_t{0xfff};
    return address;
  }
  template <class T>
  std::uint64_t put(const T& value) {
    return put_bytes(std::as_bytes(std::span{&value, 1}));
  }
  template <class T>
  std::uint64_t put_array(std::initializer_list<T> values) {
    return put_bytes(std::as_bytes(std::span{values.begin(), values.size()}));
  }
  // With its NUL.
  std::uint64_t put_text(std::string_view text) {
    std::string bytes{text};
    bytes += '\0';
    return put_bytes(std::as_bytes(std::span{bytes}));
  }
  std::uint64_t put_raw(std::string_view bytes) {
    return put_bytes(std::as_bytes(std::span{bytes}));
  }

  std::size_t read(base::RemoteAddr address, std::span<std::byte> out) const override {
    if (out.empty()) return 0;
    ++reads_;
    auto island = islands_.upper_bound(address.value());
    if (island == islands_.begin()) return 0;
    --island;
    const std::uint64_t skip = address.value() - island->first;
    if (skip >= island->second.size()) return 0;
    const std::size_t size =
        std::min(out.size(), island->second.size() - static_cast<std::size_t>(skip));
    std::memcpy(out.data(), island->second.data() + skip, size);
    return size;
  }
  int reads() const { return reads_; }

 private:
  std::map<std::uint64_t, std::vector<std::byte>> islands_;
  std::uint64_t next_ = 0x10000;
  mutable int reads_ = 0;
};

inline constexpr std::uint64_t kBadAddress = 0xdead'0000;

inline RawCall make_call(Abi abi, std::int64_t number, std::initializer_list<std::uint64_t> args) {
  RawCall call;
  call.abi = abi;
  call.number = number;
  std::copy(args.begin(), args.end(), call.args.begin());
  return call;
}

inline RawCall make_call(std::string_view name, std::initializer_list<std::uint64_t> args) {
  const SyscallRow* row = find_row(Abi::kX86_64, name);
  return make_call(Abi::kX86_64, row == nullptr ? -1 : row->number, args);
}

constexpr std::uint64_t minus(std::int64_t value) {
  return static_cast<std::uint64_t>(-value);
}

inline std::string render(const DecodedCall& call) {
  std::string out = call.name + "(";
  for (std::size_t i = 0; i < call.args.size(); ++i) {
    if (i > 0) out += ", ";
    out += to_text(call.args[i].value);
  }
  out += ")";
  if (call.result) out += " = " + to_text(*call.result);
  return out;
}

// "name(args)" of a call that has not returned.
inline std::string open_text(const RemoteMemory& memory, std::string_view name,
                             std::initializer_list<std::uint64_t> args) {
  return render(decode(make_call(name, args), std::nullopt, memory));
}

// "name(args) = result" of a call that has; negative results are errors.
inline std::string done_text(const RemoteMemory& memory, std::string_view name,
                             std::initializer_list<std::uint64_t> args, std::int64_t result) {
  return render(decode(make_call(name, args), RawResult{result, result < 0}, memory));
}

}  // namespace stucktrace::syscalls::testing
