#pragma once

#include <string>
#include <string_view>

#include "tracer/base/clock.h"
#include "tracer/model/verdict.h"
#include "tracer/render/subject.h"

namespace stucktrace::render {

// What CI servers read out of a job's log.

// GitHub workflow commands, a line a finding: ::error for what is stuck for certain, ::warning for
// what is likely or was over in the end; at the place in the sources where there is one.
std::string github_annotations(const model::Report& report, const Subject& subject);

// A foldable section of a GitLab job log round `text`, which ends with a newline; `wall` is the
// time of day. `name` is made of letters, digits, _, . and -.
std::string gitlab_section(std::string_view name, std::string_view header, std::string_view text,
                           base::Nanoseconds wall);

}  // namespace stucktrace::render
