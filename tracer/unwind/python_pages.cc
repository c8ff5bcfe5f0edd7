#include "tracer/unwind/python_pages.h"

#include <algorithm>

namespace stucktrace::unwind {

const PageCopies::Page& PageCopies::page(std::uint64_t start) const {
  if (const auto known = pages_.find(start); known != pages_.end()) return known->second;
  if (pages_.size() >= kMaxPages) pages_.clear();
  Page& page = pages_[start];
  page.size = memory_.read(base::RemoteAddr{start}, page.bytes);
  return page;
}

std::size_t PageCopies::read(base::RemoteAddr address, std::span<std::byte> out) const {
  if (out.size() > kLargeRead) return memory_.read(address, out);
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t at = address.value() + done;
    const std::size_t inside = at % kPage;
    const Page& from = page(at - inside);
    if (from.size <= inside) break;
    const std::size_t count = std::min(out.size() - done, from.size - inside);
    std::copy_n(from.bytes.begin() + static_cast<std::ptrdiff_t>(inside), count,
                out.begin() + static_cast<std::ptrdiff_t>(done));
    done += count;
    if (inside + count < kPage) break;
  }
  return done;
}

}  // namespace stucktrace::unwind
