#include "tracer/compare/diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <unordered_map>
#include <utility>

namespace stucktrace::compare {
namespace {

using Lines = std::vector<std::string>;

// [begin, end) of one side.
struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool empty() const { return begin == end; }
};
struct Hunk {
  Range expected;
  Range got;
};

// A larger middle part is shown as one difference: aligning it would take its square in memory.
constexpr std::size_t kMaxCells = std::size_t{4} << 20U;

// Pairs of equal lines of a longest common subsequence of the two middle parts.
std::vector<std::pair<std::size_t, std::size_t>> align(const Lines& a, const Lines& b, Range x,
                                                       Range y) {
  const std::size_t rows = x.end - x.begin;
  const std::size_t columns = y.end - y.begin;
  if (rows == 0 || columns == 0 || rows > kMaxCells / columns) return {};
  const std::size_t width = columns + 1;
  std::vector<std::uint32_t> longest((rows + 1) * width, 0);
  for (std::size_t i = rows; i-- > 0;) {
    for (std::size_t j = columns; j-- > 0;) {
      longest[i * width + j] =
          a[x.begin + i] == b[y.begin + j]
              ? longest[(i + 1) * width + j + 1] + 1
              : std::max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t i = 0, j = 0; i < rows && j < columns;) {
    if (a[x.begin + i] == b[y.begin + j]) {
      pairs.emplace_back(x.begin + i++, y.begin + j++);
    } else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
      ++i;
    } else {
      ++j;
    }
  }
  return pairs;
}

std::vector<Hunk> hunks(const Lines& a, const Lines& b) {
  const std::size_t shorter = std::min(a.size(), b.size());
  std::size_t head = 0;
  while (head < shorter && a[head] == b[head]) ++head;
  std::size_t tail = 0;
  while (tail < shorter - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  const Range x{head, a.size() - tail};
  const Range y{head, b.size() - tail};
  auto pairs = align(a, b, x, y);
  pairs.emplace_back(x.end, y.end);
  std::vector<Hunk> result;
  std::size_t i = x.begin;
  std::size_t j = y.begin;
  for (const auto& [next_i, next_j] : pairs) {
    if (i != next_i || j != next_j) result.push_back({{i, next_i}, {j, next_j}});
    i = next_i + 1;
    j = next_j + 1;
  }
  return result;
}

Lines cut_out(const Lines& lines, std::size_t begin, std::size_t end) {
  return {lines.begin() + static_cast<std::ptrdiff_t>(begin),
          lines.begin() + static_cast<std::ptrdiff_t>(end)};
}

// The number of a line in its file; of one in its section where there is no file.
std::size_t line_number(const CanonicalTrace::Section& section, std::size_t index) {
  return section.at + index + 1;
}

void compare_ordered(const CanonicalTrace::Section& baseline,
                     const CanonicalTrace::Section& current, std::vector<Difference>& out) {
  const std::vector<Hunk> found = hunks(baseline.lines, current.lines);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Hunk& hunk = found[i];
    // Context never reaches into the neighbouring difference.
    const std::size_t floor = i == 0 ? 0 : found[i - 1].expected.end;
    const std::size_t ceiling =
        i + 1 == found.size() ? baseline.lines.size() : found[i + 1].expected.begin;
    const std::size_t from = hunk.expected.begin - std::min(kContext, hunk.expected.begin - floor);
    const std::size_t to = hunk.expected.end + std::min(kContext, ceiling - hunk.expected.end);
    Difference difference;
    difference.role = baseline.role;
    difference.line = line_number(baseline, hunk.expected.begin);
    difference.before = cut_out(baseline.lines, from, hunk.expected.begin);
    difference.expected = cut_out(baseline.lines, hunk.expected.begin, hunk.expected.end);
    difference.got = cut_out(current.lines, hunk.got.begin, hunk.got.end);
    difference.after = cut_out(baseline.lines, hunk.expected.end, to);
    out.push_back(std::move(difference));
  }
}

// Lines of a process, a channel and the findings have no order that means anything.
void compare_facts(const CanonicalTrace::Section& baseline, const CanonicalTrace::Section& current,
                   std::vector<Difference>& out) {
  Difference difference;
  difference.role = baseline.role;
  difference.title = baseline.title;
  if (baseline.title != current.title || baseline.parent != current.parent) {
    difference.line = baseline.at;
    const std::size_t name = baseline.role.size() + 1;
    difference.expected.push_back(baseline.heading().substr(name));
    difference.got.push_back(current.heading().substr(name));
  }
  std::unordered_map<std::string_view, std::size_t> counts;
  for (const std::string& line : current.lines) ++counts[line];
  std::unordered_map<std::string_view, std::size_t> matched;
  for (std::size_t i = 0; i < baseline.lines.size(); ++i) {
    const auto same = counts.find(baseline.lines[i]);
    if (same != counts.end() && same->second > 0) {
      --same->second;
      ++matched[baseline.lines[i]];
      continue;
    }
    if (difference.expected.empty()) difference.line = line_number(baseline, i);
    difference.expected.push_back(baseline.lines[i]);
  }
  if (difference.expected.empty()) difference.line = baseline.at;
  for (const std::string& line : current.lines) {
    const auto same = matched.find(line);
    if (same == matched.end() || same->second == 0) {
      difference.got.push_back(line);
    } else {
      --same->second;
    }
  }
  if (!difference.expected.empty() || !difference.got.empty()) {
    out.push_back(std::move(difference));
  }
}

}  // namespace

std::vector<Difference> diff(const CanonicalTrace& baseline, const CanonicalTrace& current) {
  std::map<std::string_view, const CanonicalTrace::Section*> others;
  for (const auto& section : current.sections) others.emplace(section.role, &section);
  std::vector<Difference> result;
  for (const auto& section : baseline.sections) {
    const auto other = others.find(section.role);
    if (other == others.end()) {
      result.push_back(
          {section.role, section.title, section.at, {}, section.lines, {}, {}, true, false});
      continue;
    }
    if (section.is_ordered()) {
      compare_ordered(section, *other->second, result);
    } else {
      compare_facts(section, *other->second, result);
    }
    others.erase(other);
  }
  for (const auto& section : current.sections) {
    if (!others.contains(section.role)) continue;
    result.push_back({section.role, section.title, 0, {}, {}, section.lines, {}, false, true});
  }
  return result;
}

std::string to_text(const std::vector<Difference>& differences) {
  std::string text;
  for (const Difference& difference : differences) {
    if (!text.empty()) text += "\n";
    text += model::to_text(difference);
  }
  return text;
}

}  // namespace stucktrace::compare
