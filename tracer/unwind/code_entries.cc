#include "tracer/unwind/code_entries.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace stucktrace::unwind {

#if defined(__x86_64__)

namespace {

constexpr std::uint64_t kMaxLoaded = 64ULL * 1024 * 1024;
constexpr std::size_t kMaxFound = 2'000'000;

template <class T>
T value_at(const std::vector<std::byte>& bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

class Entries {
 public:
  explicit Entries(const ElfImage& image) : image_(image) {
    for (const ElfSegment& segment : image.segments()) {
      if (!segment.executable || segment.file_size == 0) continue;
      first_ = std::min(first_, segment.address);
      end_ = std::max(end_, segment.address + segment.file_size);
    }
  }

  std::vector<std::uint64_t> find() {
    for (const ElfSegment& segment : image_.segments()) {
      std::vector<std::byte> bytes(
          static_cast<std::size_t>(std::min(segment.file_size, image_.bytes().size())));
      bytes.resize(image_.bytes().read_uncached(segment.offset, bytes));
      if (segment.executable) {
        in_code(segment.address, bytes);
      } else {
        in_data(bytes);
      }
    }
    if (too_many_) return {};
    tidy();
    found_.shrink_to_fit();
    return std::move(found_);
  }

 private:
  void add(std::uint64_t address) {
    if (address < first_ || address >= end_ || too_many_) return;
    if (!found_.empty() && found_.back() == address) return;
    found_.push_back(address);
    if (found_.size() < kMaxFound) return;
    tidy();
    // So many different ones are no program's functions.
    too_many_ = found_.size() > kMaxFound / 2;
  }

  void tidy() {
    std::ranges::sort(found_);
    const auto rest = std::ranges::unique(found_);
    found_.erase(rest.begin(), rest.end());
  }

  void in_code(std::uint64_t start, const std::vector<std::byte>& bytes) {
    constexpr std::byte kCall{0xe8}, kLea{0x8d}, kOfNextMask{0xc7}, kOfNext{0x05};
    for (std::size_t at = 0; at + 6 <= bytes.size(); ++at) {
      if (image_.fixed()) add(value_at<std::uint32_t>(bytes, at));
      std::size_t distance_at = 0;
      if (bytes[at] == kCall) distance_at = at + 1;
      if (bytes[at] == kLea && (bytes[at + 1] & kOfNextMask) == kOfNext) distance_at = at + 2;
      if (distance_at == 0) continue;
      add(start + distance_at + sizeof(std::int32_t) +
          static_cast<std::uint64_t>(std::int64_t{value_at<std::int32_t>(bytes, distance_at)}));
    }
  }

  // Pointers, and what relocations say will be there (the addends of elf(5)'s Elf64_Rela).
  void in_data(const std::vector<std::byte>& bytes) {
    for (std::size_t at = 0; at + sizeof(std::uint64_t) <= bytes.size();
         at += sizeof(std::uint64_t)) {
      add(value_at<std::uint64_t>(bytes, at));
    }
  }

  const ElfImage& image_;
  std::uint64_t first_ = ~std::uint64_t{0}, end_ = 0;
  std::vector<std::uint64_t> found_;
  bool too_many_ = false;
};

}  // namespace

std::vector<std::uint64_t> code_entries(const ElfImage& image) {
  std::uint64_t loaded = 0;
  for (const ElfSegment& segment : image.segments()) {
    if (segment.file_size > kMaxLoaded || (loaded += segment.file_size) > kMaxLoaded) return {};
  }
  return Entries(image).find();
}

#else

std::vector<std::uint64_t> code_entries(const ElfImage&) {
  return {};
}

#endif

}  // namespace stucktrace::unwind
