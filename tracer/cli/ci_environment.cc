#include "tracer/cli/ci_environment.h"

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace stucktrace::cli {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

CiEnvironment CiEnvironment::of_this_process() {
  CiEnvironment ci;
  ci.github = variable("GITHUB_ACTIONS") == "true";
  ci.gitlab = !variable("GITLAB_CI").empty();
  ci.summary_path = variable("GITHUB_STEP_SUMMARY");
  for (const char* name : {"GITHUB_WORKSPACE", "CI_PROJECT_DIR"}) {
    if (ci.source_root.empty()) ci.source_root = variable(name);
  }
  if (ci.source_root.empty()) {
    std::error_code gone;  // the directory may have been removed
    ci.source_root = std::filesystem::current_path(gone).string();
  }
  return ci;
}

}  // namespace stucktrace::cli
