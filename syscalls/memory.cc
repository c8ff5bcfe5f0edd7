#include "syscalls/memory.h"

#include <algorithm>

namespace stucktrace::syscalls {

std::size_t CapturedMemory::capture(const RemoteMemory& source, base::RemoteAddr address,
                                    std::size_t size) {
  const std::size_t offset = bytes_.size();
  bytes_.resize(offset + size);
  const std::size_t got = source.read(address, std::span{bytes_}.subspan(offset, size));
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
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

std::size_t CapturedMemory::read(base::RemoteAddr address, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t wanted = address.value() + done;
    std::size_t step = 0;
    // The newest range wins: memory captured at the exit is fresher than at the entry.
    for (auto range = ranges_.rbegin(); range != ranges_.rend() && step == 0; ++range) {
      const std::uint64_t start = range->address.value();
      if (wanted < start || wanted - start >= range->size) continue;
      const std::size_t skip = static_cast<std::size_t>(wanted - start);
      step = std::min(out.size() - done, range->size - skip);
      std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(range->offset + skip), step,
                  out.begin() + static_cast<std::ptrdiff_t>(done));
    }
    if (step == 0) break;
    done += step;
  }
  return done;
}

}  // namespace stucktrace::syscalls
