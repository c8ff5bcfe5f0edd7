#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/ids.h"

namespace stucktrace::kernel {

// Text of cgroups(7), version 2 -> values. Pure; nothing is known of version 1.

// The group in the text of /proc/PID/cgroup; nullopt if there is none, or one that lies outside of
// our cgroup namespace.
std::optional<std::string> parse_cgroup(std::string_view text);
// The number of a line "key number" of cpu.stat or cgroup.events.
std::optional<std::uint64_t> parse_flat_key(std::string_view text, std::string_view key);
// Of cgroup.procs, sorted; what our pid namespace has no number for is left out.
std::vector<base::Pid> parse_members(std::string_view text);
// Where /proc/PID/mountinfo says that group `path` may be found, the latest mount first.
std::vector<std::string> group_directories(std::string_view mountinfo, std::string_view path);

}  // namespace stucktrace::kernel
