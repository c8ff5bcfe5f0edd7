#include "syscalls/memory.h"

#include <algorithm>
#include <cstring>
#include <ranges>

namespace stucktrace::syscalls {

CapturedMemory& CapturedMemory::operator=(const CapturedMemory& other) {
  if (this == &other) return *this;
  clear();
  append(other);
  return *this;
}

std::size_t CapturedMemory::capture(const RemoteMemory& source, base::RemoteAddr address,
                                    std::size_t size) {
  const std::size_t offset = bytes_.size();
  bytes_.resize(offset + size);
  const std::size_t got = source.read(address, {bytes_.data() + offset, size});
  bytes_.resize(offset + got);
  if (got > 0) {
    ranges_.push_back(
        {address, static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(got)});
  }
  return got;
}

void CapturedMemory::add(base::RemoteAddr address, std::span<const std::byte> bytes) {
  ranges_.push_back({address, static_cast<std::uint32_t>(bytes_.size()),
                     static_cast<std::uint32_t>(bytes.size())});
  bytes_.append(bytes.data(), bytes.data() + bytes.size());
}

void CapturedMemory::append(const CapturedMemory& other) {
  const auto shift = static_cast<std::uint32_t>(bytes_.size());
  bytes_.append(other.bytes_.data(), other.bytes_.data() + other.bytes_.size());
  for (Range range : other.ranges()) {
    range.offset += shift;
    ranges_.push_back(range);
  }
}

bool CapturedMemory::operator==(const CapturedMemory& other) const {
  return std::ranges::equal(ranges(), other.ranges()) &&
         std::equal(bytes_.data(), bytes_.data() + bytes_.size(), other.bytes_.data(),
                    other.bytes_.data() + other.bytes_.size());
}

std::size_t CapturedMemory::read(base::RemoteAddr address, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t wanted = address.value() + done;
    std::size_t step = 0;
    // The newest range wins: memory captured at the exit is fresher than at the entry.
    for (const Range& range : std::views::reverse(ranges())) {
      const std::uint64_t start = range.address.value();
      if (wanted < start || wanted - start >= range.size) continue;
      const std::size_t skip = static_cast<std::size_t>(wanted - start);
      step = std::min(out.size() - done, range.size - skip);
      std::memcpy(out.data() + done, bytes_.data() + range.offset + skip, step);
      break;
    }
    if (step == 0) break;
    done += step;
  }
  return done;
}

}  // namespace stucktrace::syscalls
