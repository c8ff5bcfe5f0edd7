#include "tracer/render/summary_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "tracer/base/text.h"
#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

using model::CallSummary;

std::string time_of(base::Nanoseconds time) {
  return base::human_duration(time);
}

std::string mean_of(base::Nanoseconds sum, std::uint64_t count) {
  return count == 0 ? "-" : time_of(sum / static_cast<std::int64_t>(count));
}

// The columns every table has: how often, how long, where the time went.
void numbers(std::string& out, const CallSummary::Totals& row) {
  const bool measured = row.measured > 0;
  fmt::format_to(
      std::back_inserter(out), "{:>9} {:>7}  {:>9} {:>9} {:>9}  {:>9} {:>9} {:>9}  {:>9}",
      row.calls, row.errors == 0 ? "" : std::to_string(row.errors), time_of(row.wall),
      mean_of(row.wall, row.calls), time_of(row.longest), measured ? time_of(row.system) : "-",
      mean_of(row.system, row.measured), measured ? time_of(row.longest_system) : "-",
      measured ? time_of(row.blocked) : "-");
}

void head(std::string& out, std::string_view what) {
  fmt::format_to(std::back_inserter(out),
                 "{:>9} {:>7}  {:^29}  {:^29}  {:>9}\n{:>9} {:>7}  {:>9} {:>9} {:>9}  {:>9} {:>9} "
                 "{:>9}  {:>9}  {}\n",
                 "", "", "wall time", "system time", "", "calls", "errors", "total", "mean", "max",
                 "total", "mean", "max", "blocked", what);
}

template <class Row, class Name>
void table(std::string& out, std::string_view what, const std::vector<Row>& rows, std::size_t most,
           Name name) {
  if (rows.empty()) return;
  if (!out.empty()) out += '\n';
  head(out, what);
  for (std::size_t i = 0; i < std::min(most, rows.size()); ++i) {
    numbers(out, rows[i]);
    out += "  " + name(rows[i]) + '\n';
  }
  if (rows.size() > most) out += fmt::format("{:>9} more\n", rows.size() - most);
}

}  // namespace

std::string summary_tables(const CallSummary& summary, std::size_t most) {
  constexpr std::size_t kNameLimit = 60;
  std::string out;
  table(out, "call", summary.by_call(), most,
        [](const CallSummary::ByCall& row) { return row.name; });
  if (out.empty()) return "no call was traced\n";
  numbers(out, summary.total());
  out += "  total\n";
  table(out, "process", summary.by_process(), most, [](const CallSummary::ByProcess& row) {
    return fmt::format("{} {} ({})", row.role, row.pid, terminal_text(row.comm, kNameLimit));
  });
  table(out, "descriptor", summary.by_descriptor(), most, [](const CallSummary::ByDescriptor& row) {
    std::string text = fmt::format("{} {}", row.role, row.fd);
    if (!row.what.empty()) text += fmt::format("<{}>", terminal_text(row.what, kNameLimit));
    if (row.bytes_in > 0) text += fmt::format("  in {}", base::human_bytes(row.bytes_in));
    if (row.bytes_out > 0) text += fmt::format("  out {}", base::human_bytes(row.bytes_out));
    return text;
  });
  return out;
}

}  // namespace stucktrace::render
