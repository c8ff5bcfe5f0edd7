#include <algorithm>

#include "tracer/base/text.h"
#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

// U+FFFE and U+FFFF are valid UTF-8 and no characters of XML.
void replace_noncharacters(std::string& text) {
  for (const std::string_view each : {"\xef\xbf\xbe", "\xef\xbf\xbf"}) {
    for (std::size_t at = text.find(each); at != text.npos; at = text.find(each, at)) {
      text.replace(at, each.size(), "\xef\xbf\xbd");
    }
  }
}

std::string entities(std::string_view safe) {
  std::string out;
  for (const char byte : safe) {
    switch (byte) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += byte;
    }
  }
  return out;
}

// Line by line, so that newlines stay what they are.
template <class Line>
std::string by_lines(std::string_view raw, std::string_view newline, Line line) {
  std::string out;
  bool first = true;
  for (const std::string_view each : base::split(raw, '\n')) {
    if (!first) out += newline;
    first = false;
    out += line(each);
  }
  return out;
}

std::string xml_line(std::string_view raw) {
  std::string safe = base::escape_text(raw);
  replace_noncharacters(safe);
  return entities(safe);
}

std::size_t longest_run(std::string_view text, char of) {
  std::size_t longest = 0;
  std::size_t run = 0;
  for (const char byte : text) {
    run = byte == of ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest;
}

// The last w of "www.".
bool ends_www(std::string_view text, std::size_t at) {
  const auto is_w = [&](std::size_t i) { return text[i] == 'w' || text[i] == 'W'; };
  return at >= 2 && is_w(at) && is_w(at - 1) && is_w(at - 2) &&
         text.substr(at + 1).starts_with('.');
}

std::string percent(std::string_view raw, std::string_view special) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char byte : raw) {
    if (special.find(byte) == special.npos) {
      out += byte;
      continue;
    }
    const auto value = static_cast<unsigned char>(byte);
    out += '%';
    out += kDigits[value >> 4U];
    out += kDigits[value & 15U];
  }
  return out;
}

}  // namespace

std::string xml_text(std::string_view raw) {
  return by_lines(raw, "\n", xml_line);
}

std::string xml_attribute(std::string_view raw) {
  return by_lines(raw, "&#10;", xml_line);
}

std::string markdown_text(std::string_view raw) {
  // $ begins mathematics on GitHub, @ names a person.
  constexpr std::string_view kActive = "\\`*_{}[]()#+!|~$@-";
  // What looks like an address becomes a link after escapes are undone (GFM, autolinks); a comment,
  // which shows as nothing, is not undone.
  constexpr std::string_view kNothing = "<!-- -->";
  const std::string safe = base::escape_text(raw);
  std::string out;
  for (std::size_t i = 0; i < safe.size(); ++i) {
    const char byte = safe[i];
    const std::string_view rest = std::string_view(safe).substr(i);
    if (byte == '<' || byte == '>' || byte == '&') {
      out += entities(std::string_view{&byte, 1});
      continue;
    }
    if (kActive.find(byte) != kActive.npos) out += '\\';
    out += byte;
    if (byte == '@' || rest.starts_with("://") || ends_www(safe, i)) out += kNothing;
  }
  return out;
}

std::string markdown_code(std::string_view raw) {
  const std::string safe = base::escape_text(raw);
  if (safe.empty()) return {};
  const std::string fence(longest_run(safe, '`') + 1, '`');
  // A blank at each end is taken off again (CommonMark, code spans).
  return fence + ' ' + safe + ' ' + fence;
}

std::string markdown_block(std::string_view raw) {
  const std::string safe =
      by_lines(raw, "\n", [](std::string_view line) { return base::escape_text(line); });
  const std::string fence(std::max<std::size_t>(3, longest_run(safe, '`') + 1), '`');
  return fence + "text\n" + safe + (safe.ends_with('\n') ? "" : "\n") + fence + "\n";
}

std::string dot_string(std::string_view raw) {
  const std::string inner = by_lines(raw, "\\n", [](std::string_view line) {
    std::string out;
    // A backslash of the text itself must not begin one of DOT's escapes.
    for (const char byte : base::escape_text(line)) {
      if (byte == '"' || byte == '\\') out += '\\';
      out += byte;
    }
    return out;
  });
  return '"' + inner + '"';
}

std::string github_message(std::string_view raw) {
  return percent(by_lines(raw, "\n", [](std::string_view line) { return base::escape_text(line); }),
                 "%\r\n");
}

std::string github_property(std::string_view raw) {
  return percent(base::escape_text(raw), "%\r\n:,");
}

}  // namespace stucktrace::render
