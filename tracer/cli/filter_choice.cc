#include "tracer/cli/filter_choice.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "tracer/base/text.h"

namespace stucktrace::cli {
namespace {

// Gaining rights at exec is what no_new_privs forbids (prctl(2)), which a filter needs unless the
// tool has CAP_SYS_ADMIN.
bool gains_rights(const std::string& path) {
  struct stat about{};
  if (::geteuid() == 0 || ::stat(path.c_str(), &about) != 0) return false;
  return (about.st_mode & (S_ISUID | S_ISGID)) != 0 ||
         ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

// Programs whose work is ptrace(2): what they trace has to be let go, which a filter forbids.
bool is_tracer(const std::string& path) {
  constexpr std::string_view kTracers[] = {"gdb",    "gdbserver", "lldb",  "lldb-server",
                                           "strace", "ltrace",    "rr",    "stucktrace",
                                           "pstack", "gcore",     "reptyr"};
  const std::string_view name = std::string_view{path}.substr(path.rfind('/') + 1);
  return std::ranges::find(kTracers, name) != std::end(kTracers);
}

// Everything asked for: stopping anyhow at each call is cheaper without a filter.
bool wants_every_call(const Settings& settings) {
  const engine::TracerOptions& tracer = settings.tracer;
  if (settings.chosen_set && tracer.trace.contains(syscalls::Sys::kUnknown)) return true;
  return tracer.stacks_at && tracer.stacks_at->contains(syscalls::Sys::kUnknown);
}

}  // namespace

std::optional<engine::LaunchFilter> choose_filter(const std::string& program,
                                                  const Settings& settings, FilterWish wish,
                                                  base::Log& log) {
  if (!wish.allowed || wants_every_call(settings)) return std::nullopt;
  const bool tracer = is_tracer(program);
  if (tracer || gains_rights(program)) {
    log.say(base::LogLevel::kNormal,
            fmt::format("{} {}: every call stops, as with --no-seccomp", base::escape_text(program),
                        tracer ? "traces others itself" : "gains rights when executed"));
    return std::nullopt;
  }
  return settings.chosen_set || wish.all_traced_calls ? engine::filter_for(settings.tracer.trace)
                                                      : engine::diagnosis_filter();
}

}  // namespace stucktrace::cli
