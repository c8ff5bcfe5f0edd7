#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/result.h"

namespace stucktrace::cli {

// One bundled repro target.
struct Demo {
  std::string name;
  std::string interpreter;  // "" for a program of its own
  std::string path;
  std::string description;
  std::vector<std::string> hanging;  // arguments of the run that hangs
  std::vector<std::string> healthy;  // of its healthy twin
  std::string expected_rule;         // "none": no finding
};

// The lines of targets.tsv (target/README.md); paths are made absolute below `directory`.
base::Result<std::vector<Demo>> parse_demo_index(std::string_view text,
                                                 const std::string& directory);
// The index beside this executable: target/ in a build tree, ../libexec/stucktrace/target in an
// installation.
base::Result<std::vector<Demo>> read_demo_index();

}  // namespace stucktrace::cli
