#include "tracer/cli/distinct_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <system_error>
#include <tuple>

#include "tracer/base/text.h"

namespace stucktrace::cli {
namespace {

namespace fs = std::filesystem;

// Device and inode, or the path where there is no file yet.
using Identity = std::tuple<dev_t, ino_t, std::string>;

// Where a file would come to be: past links to what is not there, which weakly_canonical keeps.
std::string future_path(const std::string& path) {
  constexpr int kMostLinks = 40;  // as the kernel
  std::error_code bad;
  fs::path at = path;
  for (int i = 0; i < kMostLinks && fs::is_symlink(fs::symlink_status(at, bad)); ++i) {
    at = at.parent_path() / fs::read_symlink(at, bad);
  }
  const fs::path whole = fs::weakly_canonical(fs::absolute(at, bad), bad);
  return bad ? path : whole.string();
}

Identity identity(const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) == 0) return {about.st_dev, about.st_ino, {}};
  return {0, 0, future_path(path)};
}

}  // namespace

base::Result<void> check_outputs(const std::vector<InputFile>& inputs,
                                 const std::vector<std::string>& outputs) {
  std::map<Identity, std::string_view> seen;  // "": an output
  for (const InputFile& input : inputs) {
    if (!input.path.empty()) seen.emplace(identity(input.path), input.what);
  }
  const Identity nowhere = identity("/dev/null");
  for (const std::string& path : outputs) {
    if (path.empty()) continue;
    const Identity file = identity(path);
    if (file == nowhere) continue;
    const auto [at, fresh] = seen.emplace(file, std::string_view{});
    if (fresh) continue;
    if (at->second.empty()) {
      return base::usage_error(fmt::format("{} is named for two outputs", base::escape_text(path)),
                               "give each a file of its own");
    }
    return base::usage_error(fmt::format("{} is {} itself", base::escape_text(path), at->second),
                             "name another file");
  }
  return {};
}

}  // namespace stucktrace::cli
