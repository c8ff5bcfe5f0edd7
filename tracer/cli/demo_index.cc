#include "tracer/cli/demo_index.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tracer/base/text.h"

namespace stucktrace::cli {
namespace {

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> result;
  for (const std::string_view word : base::split(text, ' ')) {
    if (!word.empty()) result.emplace_back(word);
  }
  return result;
}

}  // namespace

base::Result<std::vector<Demo>> parse_demo_index(std::string_view text,
                                                 const std::string& directory) {
  constexpr std::size_t kColumns = 7;
  std::vector<Demo> demos;
  for (const std::string_view line : base::split(text, '\n')) {
    if (line.empty() || line.front() == '#') continue;
    const std::vector<std::string_view> columns = base::split(line, '\t');
    if (columns.size() != kColumns) {
      return base::malformed(fmt::format("targets.tsv: {} columns instead of {} in '{}'",
                                         columns.size(), kColumns, base::escape_text(line, 60)));
    }
    Demo demo;
    demo.name = columns[0];
    if (columns[1] != "-") demo.interpreter = columns[1];
    demo.path = fmt::format("{}/{}", directory, columns[2]);
    demo.description = columns[3];
    demo.hanging = words(columns[4]);
    demo.healthy = words(columns[5]);
    demo.expected_rule = columns[6];
    demos.push_back(std::move(demo));
  }
  return demos;
}

base::Result<std::vector<Demo>> read_demo_index() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path home = self.parent_path();
  for (const std::filesystem::path& directory :
       {home / "target", home / ".." / "libexec" / "stucktrace" / "target"}) {
    std::ifstream file(directory / "targets.tsv");
    if (!file) continue;
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    return parse_demo_index(text, directory.lexically_normal().string());
  }
  return base::Failure{{base::ErrorKind::kGone,
                        fmt::format("no bundled targets beside {}", home.string()), base::Errno{},
                        base::Tid{}, "build them (scripts/demo) or install stucktrace"}};
}

}  // namespace stucktrace::cli
