#pragma once

#include <memory>
#include <string>
#include <utility>

#include "tests/support/snapshot_builder.h"
#include "tracer/render/watch_screen.h"

namespace stucktrace::test {

// A look at the tree as it is built now, `at` after the first one; all its threads wait.
inline render::WatchLook look_at(const SnapshotBuilder& tree, base::Nanoseconds at) {
  model::Snapshot snapshot = tree.samples().now;
  snapshot.taken_at = base::Instant{std::chrono::seconds(1000) + at};
  return {std::make_shared<const model::Snapshot>(std::move(snapshot)), {}};
}

// Whole lines of the screen as a person sees them.
inline std::string text_of(const render::WatchLine& line) {
  std::u32string cells;
  for (const render::WatchSpan& span : line.spans) {
    std::size_t column = span.column;
    for (std::size_t i = 0; i < span.text.size();) {
      std::size_t size = 1;
      while (i + size < span.text.size() &&
             (static_cast<unsigned char>(span.text[i + size]) & 0xc0U) == 0x80U) {
        ++size;
      }
      if (cells.size() <= column) cells.resize(column + 1, U' ');
      // One cell a character; the bytes are enough to print it again.
      char32_t packed = 0;
      for (std::size_t k = 0; k < size; ++k) {
        packed = (packed << 8) | static_cast<unsigned char>(span.text[i + k]);
      }
      cells[column++] = packed;
      i += size;
    }
  }
  std::string text;
  for (const char32_t cell : cells) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      const auto byte = static_cast<unsigned char>((cell >> shift) & 0xffU);
      if (byte != 0) text += static_cast<char>(byte);
    }
  }
  return text;
}

inline std::string text_of(const render::WatchPicture& picture) {
  std::string text;
  for (const render::WatchLine& line : picture) text += text_of(line) + '\n';
  return text;
}

}  // namespace stucktrace::test
