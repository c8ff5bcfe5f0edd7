#include "tracer/render/speech.h"

#include <algorithm>

namespace stucktrace::render {
namespace {

constexpr std::size_t kKeptOfALine = 512;

bool blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == text.npos;
}

}  // namespace

void Speech::close_window(Window& window, std::vector<Line>& out) {
  if (window.last) {
    --held_;
    window.last->before = window.left_out - 1;
    out.push_back(std::move(*window.last));
  }
  window = Window{};
}

void Speech::tell(Line line, std::vector<Line>& out) {
  if (blank(line.text) && line.size == line.text.size()) return;
  Window& window = windows_[line.pid];
  if (window.told > 0 && line.at - window.start >= kWindow) close_window(window, out);
  if (window.told == 0) window.start = line.at;
  if (window.told < (line.aside ? kAsideLinesPerWindow : kLinesPerWindow)) {
    ++window.told;
    out.push_back(std::move(line));
  } else {
    ++window.left_out;
    if (!window.last) ++held_;
    window.last = std::move(line);
  }
}

std::vector<Speech::Line> Speech::write(const Line& line, std::string_view bytes,
                                        std::uint64_t size) {
  std::vector<Line> out;
  bytes = bytes.substr(0, size);
  const std::uint64_t unknown = size - bytes.size();
  const std::pair key{line.pid, line.fd};
  const auto extend = [&](std::string_view part) -> Line& {
    auto [entry, fresh] = partial_.try_emplace(key);
    Line& begun = entry->second;
    if (fresh) {
      begun = line;
      begun.text.clear();
      begun.size = 0;
    }
    begun.text += part.substr(0, kKeptOfALine - std::min(kKeptOfALine, begun.text.size()));
    begun.size += part.size();
    return begun;
  };
  for (;;) {
    const std::size_t end = bytes.find('\n');
    if (end == bytes.npos) break;
    extend(bytes.substr(0, end));
    const auto entry = partial_.find(key);
    Line finished = std::move(entry->second);
    partial_.erase(entry);
    tell(std::move(finished), out);
    bytes.remove_prefix(end + 1);
  }
  if (!bytes.empty() || unknown > 0) extend(bytes).size += unknown;
  return out;
}

std::vector<Speech::Line> Speech::end(base::Pid pid) {
  std::vector<Line> out;
  for (auto entry = partial_.lower_bound({pid, -1});
       entry != partial_.end() && entry->first.first == pid; entry = partial_.erase(entry)) {
    tell(std::move(entry->second), out);
  }
  if (const auto window = windows_.find(pid); window != windows_.end()) {
    close_window(window->second, out);
    windows_.erase(window);
  }
  return out;
}

std::optional<base::Instant> Speech::due() const {
  std::optional<base::Instant> first;
  const auto consider = [&](base::Instant start) {
    if (!first || start + kWindow < *first) first = start + kWindow;
  };
  for (const auto& [key, line] : partial_) consider(line.at);
  if (held_ == 0) return first;
  for (const auto& [pid, window] : windows_) {
    if (window.last) consider(window.start);
  }
  return first;
}

std::vector<Speech::Line> Speech::take_due(base::Instant now) {
  std::vector<Line> out;
  for (auto entry = partial_.begin(); entry != partial_.end();) {
    if (now - entry->second.at < kWindow) {
      ++entry;
      continue;
    }
    Line line = std::move(entry->second);
    entry = partial_.erase(entry);
    tell(std::move(line), out);
  }
  for (auto& [pid, window] : windows_) {
    if (window.last && now - window.start >= kWindow) close_window(window, out);
  }
  return out;
}

std::vector<Speech::Line> Speech::flush() {
  std::vector<Line> out;
  while (!partial_.empty())
    std::ranges::move(end(partial_.begin()->first.first), std::back_inserter(out));
  while (!windows_.empty())
    std::ranges::move(end(windows_.begin()->first), std::back_inserter(out));
  return out;
}

}  // namespace stucktrace::render
