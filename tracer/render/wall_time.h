#pragma once

#include <string>

#include "tracer/base/clock.h"

namespace stucktrace::render {

// "2026-03-01T12:00:05.250Z", of the time since 1970.
std::string iso_time(base::Nanoseconds wall);

}  // namespace stucktrace::render
