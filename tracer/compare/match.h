#pragma once

#include <map>
#include <string>

#include "tracer/compare/canonical.h"

namespace stucktrace::compare {

// New names for old ones: "P3" -> "P2", "pipe#2" -> "pipe#1".
using Renaming = std::map<std::string, std::string, std::less<>>;

// Which process of `current` is which one of `baseline`, from the roots down: children of one
// parent by what they are and did, then by their program. One process more or less so renames no
// other. What has no match gets numbers beyond those of the baseline.
Renaming match(const CanonicalTrace& baseline, const CanonicalTrace& current);

// With other names, and with amounts of bytes as in `baseline` where they are of the same order.
CanonicalTrace renamed(const CanonicalTrace& current, const Renaming& names,
                       const CanonicalTrace& baseline);
// Names in a text are replaced but for those between quotation marks.
std::string renamed(std::string_view text, const Renaming& names);
RoleTable renamed(RoleTable roles, const Renaming& names);

}  // namespace stucktrace::compare
