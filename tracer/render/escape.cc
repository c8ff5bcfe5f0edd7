#include "tracer/render/escape.h"

#include "tracer/base/text.h"

namespace stucktrace::render {
namespace {

constexpr std::string_view kEllipsis = "…";

bool continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80U;
}

// Escaping is bounded before it starts: four bytes of input make at least one column.
std::string safe_prefix(std::string_view raw, std::size_t limit) {
  const bool longer = raw.size() > limit * 4;
  std::string safe = base::escape_text(longer ? raw.substr(0, limit * 4) : raw);
  return longer ? cut(safe + std::string(kEllipsis), limit) : cut(safe, limit);
}

}  // namespace

std::size_t columns(std::string_view safe) {
  std::size_t count = 0;
  for (const char byte : safe) count += continues(byte) ? 0 : 1;
  return count;
}

std::string cut(std::string_view safe, std::size_t limit) {
  if (columns(safe) <= limit) return std::string(safe);
  if (limit == 0) return {};
  std::size_t end = 0;
  for (std::size_t count = 0; end < safe.size(); ++end) {
    if (!continues(safe[end]) && ++count == limit) break;
  }
  return std::string(safe.substr(0, end)).append(kEllipsis);
}

std::string terminal_text(std::string_view raw, std::size_t limit) {
  return safe_prefix(raw, limit);
}

std::string quoted(std::string_view raw, std::size_t limit) {
  std::string out = "\"";
  for (const char byte : safe_prefix(raw, limit)) {
    if (byte == '"') out += '\\';
    out += byte;
  }
  return out + '"';
}

std::string command_text(const std::vector<std::string>& argv, std::size_t limit) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,+@%^";
  std::string out;
  for (const std::string& word : argv) {
    if (!out.empty()) out += ' ';
    if (!word.empty() && word.find_first_not_of(kPlain) == word.npos) {
      out += word;
    } else {
      out += '\'';
      for (const char byte : safe_prefix(word, limit)) {
        if (byte == '\'') {
          out += R"('\'')";
        } else {
          out += byte;
        }
      }
      out += '\'';
    }
    if (out.size() > limit * 4) break;
  }
  return cut(out, limit);
}

std::string path_text(std::string_view raw, std::size_t limit) {
  constexpr std::size_t kLongest = 4096;
  if (raw.size() > kLongest) raw.remove_prefix(raw.size() - kLongest);
  std::string safe = base::escape_text(raw);
  const std::size_t have = columns(safe);
  if (have <= limit || limit == 0) return safe;
  std::size_t begin = 0;
  for (std::size_t drop = have - limit + 1; begin < safe.size(); ++begin) {
    if (!continues(safe[begin]) && drop-- == 0) break;
  }
  return std::string(kEllipsis) + safe.substr(begin);
}

}  // namespace stucktrace::render
