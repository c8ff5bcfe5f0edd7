#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stucktrace::render {

// One place for every byte that came from outside: names, paths, arguments, output. Terminal
// formats go through these functions; JSON through its library (invalid UTF-8 replaced there).

inline constexpr std::size_t kDefaultTextLimit = 60;

// Safe on a terminal; at most `limit` columns, then an ellipsis.
std::string terminal_text(std::string_view raw, std::size_t limit = kDefaultTextLimit);
// The same in double quotes, quotes inside escaped.
std::string quoted(std::string_view raw, std::size_t limit = kDefaultTextLimit);
// A command line as a person would type it: words with blanks or shell characters in single
// quotes. Cut at `limit` columns.
std::string command_text(const std::vector<std::string>& argv, std::size_t limit);
// Keeps the end, which tells more about a path: "…/lib/python3.11/queues.py".
std::string path_text(std::string_view raw, std::size_t limit = kDefaultTextLimit);

// ---- markup: what a format would act on is told as text
// ------------------------------------------

// For XML and HTML, between tags and in double-quoted attributes. Newlines stay, everything else
// that is no text (control bytes, invalid UTF-8, what XML forbids) becomes \n, \xNN or U+FFFD.
std::string xml_text(std::string_view raw);
// The same where a newline would be lost or normalised: in attributes.
std::string xml_attribute(std::string_view raw);
// One line of running Markdown (GitHub's), and a code span; neither is a link, a tag or a table.
std::string markdown_text(std::string_view raw);
std::string markdown_code(std::string_view raw);
// A block of code; newlines stay. Ends with a newline.
std::string markdown_block(std::string_view raw);
// A string of the DOT language with its quotes; newlines become centred line ends.
std::string dot_string(std::string_view raw);
// The message of a GitHub workflow command, and the value of one of its properties.
std::string github_message(std::string_view raw);
std::string github_property(std::string_view raw);

// Columns of already safe UTF-8 text (code points; wide characters count as one).
std::size_t columns(std::string_view safe);
// Cuts safe text at `limit` columns, with an ellipsis where something went.
std::string cut(std::string_view safe, std::size_t limit);

}  // namespace stucktrace::render
