#include "tracer/render/text_timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tracer/base/text.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/timeline_impl.h"
#include "tracer/render/wrap.h"

namespace stucktrace::render {
namespace {

using base::Instant;
using base::Pid;
using base::Tid;
using model::Call;
using model::Event;
using syscalls::Sys;

constexpr std::size_t kFindingColumns = 96;

}  // namespace

std::string TextTimeline::Impl::seconds(Instant at) const {
  const double value = static_cast<double>((at - zero_).count()) / 1e9;
  return story() ? fmt::format("{:.3f}", value) : fmt::format("{:.6f}", value);
}

void TextTimeline::Impl::note(Instant at, std::string_view text) {
  line(at, Pid{}, Tid{}, "note: " + terminal_text(text, kNoteLimit), Style::kDim);
}

void TextTimeline::Impl::line(Instant at, Pid pid, Tid tid, std::string_view text, Style style) {
  const std::string time = fmt::format("{:>{}}", seconds(at), seconds_width());
  std::string who = "-";
  std::string ids;
  if (tid) {
    who = tree_.role(tid);
    ids = tid == base::main_thread(pid) ? fmt::format("{}", pid) : fmt::format("{}/{}", pid, tid);
  }
  sink_(fmt::format("{}  {}  {}  {}", paint_(Style::kDim, time),
                    paint_(Style::kName, fmt::format("{:<6}", who)),
                    paint_(Style::kDim, fmt::format("{:<11}", ids)), paint_(style, text)));
}

void TextTimeline::Impl::let_out(Instant now) {
  while (!due_.empty() && due_.begin()->first <= now) {
    const Tid tid = due_.begin()->second;
    Thread& thread = threads_[tid];
    emit(thread, thread.folder.release());
    schedule(tid, thread);
  }
  if (const auto due = speech_.due(); due && *due <= now) tell(speech_.take_due(now));
}

void TextTimeline::Impl::on_event(const Event& event) {
  let_out(event.at);
  last_ = std::max(last_, event.at);
  tree_.observe(event);
  remember_names(event);
  if (const auto* enter = std::get_if<model::SyscallEnter>(&event.data)) {
    entered(event, *enter);
    if (syscalls::sys_of(enter->call.abi, enter->call.number) == Sys::exit_group) {
      ending_.insert(event.pid);
    }
  }
  // While the descriptors are still what the call worked on.
  if (Call* call = pairer_.observe(event)) take(std::move(*call));
  if (std::holds_alternative<model::TaskExit>(event.data)) last_words(event);
  fds_.observe(event);
  lifeline(event);
}

// What is held back of a task that ended.
void TextTimeline::Impl::last_words(const Event& event) {
  if (const auto at = threads_.find(event.tid); at != threads_.end()) {
    emit(at->second, at->second.folder.flush());
    if (at->second.due) due_.erase({*at->second.due, event.tid});
    threads_.erase(at);
  }
  if (event.tid == base::main_thread(event.pid)) tell(speech_.end(event.pid));
}

// ---- findings -----------------------------------------------------------------------------------

void TextTimeline::Impl::finding(const model::FindingRecord& record) {
  const model::Finding& finding = record.finding;
  const auto say = [&](Instant at, Pid pid, Tid tid, std::string_view first, std::string_view rest,
                       std::string_view text, Style style) {
    // Sentences, not calls: wrapped, every line with its thread.
    std::string block = wrapped(text, first, rest, kFindingColumns);
    block.pop_back();
    for (const std::string_view part : base::split(block, '\n')) line(at, pid, tid, part, style);
  };
  const bool is_new = told_.insert({finding.rule, finding.tid, record.stalled_since}).second;
  if (record.resolved_at) {
    std::string text = resolved_words(record);
    if (is_new) text += ": " + terminal_text(finding.headline, kSentenceLimit);
    say(*record.resolved_at, finding.pid, finding.tid, "", "  ", text, Style::kGood);
    return;
  }
  const Instant at = std::max(record.first_reported, last_);
  say(at, finding.pid, finding.tid, "", "  ", verdict_sentence(finding), Style::kAlarm);
  if (!is_new) return;
  for (std::size_t i = 0; i < finding.chain.size(); ++i) {
    const model::ChainLink& link = finding.chain[i];
    say(at, link.pid, link.tid, i == 0 ? "  │ " : "  │ ↳ ", "  │   ", link_sentence(link),
        Style::kPlain);
  }
  if (!finding.cycle.empty()) {
    line(at, finding.pid, finding.tid, "  │ ↳ and so round again: a cycle");
  }
  if (!finding.remedy.empty()) {
    say(at, finding.pid, finding.tid, "  └ remedy: ", "    ",
        terminal_text(finding.remedy, kSentenceLimit), Style::kGood);
  }
}

void TextTimeline::Impl::close() {
  std::vector<Tid> tids;
  for (const auto& [tid, thread] : threads_) tids.push_back(tid);
  std::ranges::sort(tids);
  for (const Tid tid : tids) {
    Thread& thread = threads_[tid];
    emit(thread, thread.folder.flush(), true);
  }
  tell(speech_.flush());
  for (const Call& call : pairer_.close()) emit_call(threads_[call.tid], call);
}

// ---- the port -----------------------------------------------------------------------------------

TextTimeline::TextTimeline(TimelineOptions options, Instant zero, LineSink sink)
    : impl_(std::make_unique<Impl>(std::move(options), zero, std::move(sink))) {}
TextTimeline::TextTimeline(TextTimeline&&) noexcept = default;
TextTimeline& TextTimeline::operator=(TextTimeline&&) noexcept = default;
TextTimeline::~TextTimeline() = default;

void TextTimeline::on_event(const Event& event) {
  impl_->on_event(event);
}
void TextTimeline::finding(const model::FindingRecord& record) {
  impl_->finding(record);
}
void TextTimeline::note(Instant at, std::string_view text) {
  impl_->note(at, text);
}
void TextTimeline::tick(Instant now) {
  impl_->let_out(now);
}
void TextTimeline::close() {
  impl_->close();
}

}  // namespace stucktrace::render
