#include "tracer/render/stack_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tracer/render/escape.h"
#include "tracer/render/merged_stack.h"
#include "tracer/render/thread_groups.h"
#include "tracer/render/wait_text.h"

namespace stucktrace::render {
namespace {

// The same places in the code; where a frame stands in memory does not matter.
std::vector<std::string> frame_lines(const model::Thread& thread, NativeFrames native) {
  std::vector<std::string> lines = stack_lines(thread, native);
  if (!thread.stack_note.empty()) {
    lines.push_back("(" + terminal_text(thread.stack_note, 200) + ")");
  }
  return lines;
}

// "P2 python3 (12), thread 14 (feeder)", "P2 python3 (12), 3 threads 12, 14, 19", and of several
// processes "300 processes python3 (12, 13, …)".
std::string who(const std::vector<Member>& members) {
  const model::Process& first = *members.front().process;
  if (members.size() == 1) return process_label(first) + ", " + thread_label(members.front());
  constexpr std::size_t kShown = 6;
  std::vector<std::int32_t> pids;
  std::string tids;
  for (const Member& member : members) {
    const std::int32_t pid = member.process->pid.value();
    if (pids.empty() || pids.back() != pid) pids.push_back(pid);
  }
  const bool several = pids.size() > 1;
  const std::size_t count = several ? pids.size() : members.size();
  for (std::size_t i = 0; i < std::min(kShown, count); ++i) {
    tids +=
        fmt::format("{}{}", i == 0 ? "" : ", ", several ? pids[i] : members[i].thread->tid.value());
  }
  if (count > kShown) tids += ", …";
  if (!several) return fmt::format("{}, {} threads {}", process_label(first), count, tids);
  std::string text =
      fmt::format("{} processes {} ({})", count, terminal_text(first.comm, 20), tids);
  if (members.size() > count) text += fmt::format(", {} threads", members.size());
  return text;
}

std::string what(const std::vector<Member>& members, base::Instant now) {
  constexpr std::size_t kMost = 3;
  const auto groups = group_threads(members, now, kMost);
  if (members.size() == 1) return wait_text(*members.front().thread);
  std::string text;
  for (std::size_t i = 0; i < std::min(kMost, groups.size()); ++i) {
    text += (i == 0 ? "" : "; ") + wait_thing_text(*groups[i].members.front().thread);
  }
  return groups.size() > kMost ? text + "; …" : text;
}

}  // namespace

void write_stacks(const model::Snapshot& snapshot, Page& page) {
  const NativeFrames native = page.options().native ? NativeFrames::kAll : NativeFrames::kMerged;
  using Key = std::pair<std::string, std::vector<std::string>>;  // program, frames
  std::vector<std::pair<std::vector<std::string>, std::vector<Member>>> stacks;
  std::map<Key, std::size_t> index;
  for (const Member& member : members_of(snapshot, false)) {
    auto lines = frame_lines(*member.thread, native);
    Key key{member.process->comm, lines};
    // Without a stack only the wait tells threads apart.
    if (lines.empty()) key.second.push_back(wait_thing_text(*member.thread));
    const auto [at, fresh] = index.try_emplace(std::move(key), stacks.size());
    if (fresh) stacks.emplace_back(std::move(lines), std::vector<Member>{});
    stacks[at->second].second.push_back(member);
  }
  page.line("");
  page.line("Stacks");
  constexpr std::size_t kMostLines = 2000;
  for (std::size_t i = 0; i < stacks.size(); ++i) {
    if (page.lines() > kMostLines && !page.options().verbose) {
      page.line(fmt::format("  … and {} more stacks (-v)", stacks.size() - i));
      return;
    }
    const auto& [lines, members] = stacks[i];
    page.paragraph(fmt::format("{}: {}", who(members), what(members, snapshot.taken_at)), "  ",
                   "    ");
    for (const std::string& line : lines) page.line("      " + line, Style::kDim);
  }
}

}  // namespace stucktrace::render
