#pragma once

#include <string>

namespace stucktrace::cli {

// What a CI server told its jobs about itself, by environment variables.
struct CiEnvironment {
  bool github = false;       // the log takes GitHub's workflow commands
  bool gitlab = false;       // the log takes GitLab's sections
  std::string summary_path;  // Markdown appended here shows on the job's page; "" none
  // Where the sources are: the checked out repository, else the current directory.
  std::string source_root;

  static CiEnvironment of_this_process();
};

}  // namespace stucktrace::cli
