#include "tracer/unwind/elf_bytes.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace stucktrace::unwind {

std::size_t ElfBytes::read_uncached(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset >= size_) return 0;
  const std::size_t wanted =
      static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - offset));
  if (!fd_.valid()) {
    std::memcpy(out.data(), image_.data() + offset, wanted);
    return wanted;
  }
  std::size_t done = 0;
  while (done < wanted) {
    const ssize_t got =
        ::pread(fd_.get(), out.data() + done, wanted - done, static_cast<off_t>(offset + done));
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

const ElfBytes::Chunk& ElfBytes::chunk(std::uint64_t index) const {
  Chunk& slot = chunks_[index % std::size(chunks_)];
  if (slot.index != index) {
    if (!slot.bytes) slot.bytes = std::make_unique_for_overwrite<std::byte[]>(kChunk);
    slot.length = read_uncached(index * kChunk, {slot.bytes.get(), kChunk});
    slot.index = index;
  }
  return slot;
}

std::size_t ElfBytes::read(std::uint64_t offset, std::span<std::byte> out) const {
  if (!fd_.valid()) return read_uncached(offset, out);
  std::size_t done = 0;
  while (done < out.size() && offset + done < size_) {
    const std::uint64_t at = offset + done;
    const Chunk& from = chunk(at / kChunk);
    const std::size_t inside = static_cast<std::size_t>(at % kChunk);
    if (inside >= from.length) break;
    const std::size_t count = std::min(out.size() - done, from.length - inside);
    std::memcpy(out.data() + done, from.bytes.get() + inside, count);
    done += count;
  }
  return done;
}

}  // namespace stucktrace::unwind
