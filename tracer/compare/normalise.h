#pragma once

#include <cstdint>
#include <regex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "tracer/base/result.h"

namespace stucktrace::compare {

// One rule of the user's own: what matches `pattern` (ECMAScript) becomes `replacement` ($01 ...).
struct Substitution {
  std::regex pattern;
  std::string replacement;
};
// A pattern that is no regular expression is a usage error that quotes it; so is one that could
// take longer than the square of a text: back-references, looks ahead without end, huge counts.
base::Result<Substitution> substitution(const std::string& pattern, std::string replacement);

// Takes out of a text what differs between two runs that did the same: addresses, process ids,
// names of temporary files, times. Deterministic, locale-free, bounded.
class Normaliser {
 public:
  // `pids` are the numbers of the trace's own tasks.
  Normaliser(std::unordered_set<std::int32_t> pids, std::vector<Substitution> substitutions)
      : pids_(std::move(pids)), substitutions_(std::move(substitutions)) {}

  // Safe to print and without line ends; cut to kLongest characters.
  std::string operator()(std::string_view raw) const;
  static constexpr std::size_t kLongest = 400;

 private:
  std::string built_in(std::string_view text) const;
  // Appends what the number at `at` becomes; returns how much of the text it took.
  std::size_t number(std::string_view text, std::size_t at, std::string& out) const;

  std::unordered_set<std::int32_t> pids_;
  std::vector<Substitution> substitutions_;
};

}  // namespace stucktrace::compare
