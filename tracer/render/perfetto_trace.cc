#include "tracer/render/perfetto_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <protozero/pbf_writer.hpp>

#include "syscalls/decode.h"
#include "tracer/render/call_text.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/merged_stack.h"

namespace stucktrace::render {
namespace {

using model::Call;
using model::Event;
using protozero::pbf_tag_type;
using protozero::pbf_writer;

// Field numbers of perfetto's protos/perfetto/trace/ (trace.proto, trace_packet.proto,
// clock_snapshot.proto, track_event/*.proto).
namespace tag {
constexpr pbf_tag_type kPacket = 1;  // Trace
constexpr pbf_tag_type kClockSnapshot = 6;
constexpr pbf_tag_type kTimestamp = 8;
constexpr pbf_tag_type kSequence = 10;
constexpr pbf_tag_type kTrackEvent = 11;
constexpr pbf_tag_type kTrackDescriptor = 60;
constexpr pbf_tag_type kClock = 1;  // ClockSnapshot
constexpr pbf_tag_type kClockId = 1;
constexpr pbf_tag_type kClockTime = 2;
constexpr pbf_tag_type kUuid = 1;  // TrackDescriptor
constexpr pbf_tag_type kProcess = 3;
constexpr pbf_tag_type kThread = 4;
constexpr pbf_tag_type kParentUuid = 5;
constexpr pbf_tag_type kPid = 1;  // ProcessDescriptor, ThreadDescriptor
constexpr pbf_tag_type kTid = 2;
constexpr pbf_tag_type kCommandLine = 2;
constexpr pbf_tag_type kProcessName = 6;
constexpr pbf_tag_type kThreadName = 5;
constexpr pbf_tag_type kAnnotation = 4;  // TrackEvent
constexpr pbf_tag_type kType = 9;
constexpr pbf_tag_type kTrack = 11;
constexpr pbf_tag_type kCategory = 22;
constexpr pbf_tag_type kName = 23;
constexpr pbf_tag_type kFlow = 47;
constexpr pbf_tag_type kFlowEnd = 48;
constexpr pbf_tag_type kText = 6;  // DebugAnnotation
constexpr pbf_tag_type kKey = 10;
}  // namespace tag

enum class Type : std::int32_t { kBegin = 1, kEnd = 2, kInstant = 3 };

constexpr std::uint32_t kSequenceId = 1;
constexpr std::size_t kTextLimit = 256;
// Uuids of threads count tasks from 1; those of processes lie beyond.
constexpr std::uint64_t kProcessUuids = std::uint64_t{1} << 32U;

std::uint64_t nanoseconds(base::Nanoseconds time) {
  return time.count() < 0 ? 0 : static_cast<std::uint64_t>(time.count());
}

// Builds one packet and hands it out, with the frame that makes the file one Trace message.
template <class Body>
void packet(const ByteSink& sink, Body body) {
  std::string bytes;
  pbf_writer whole(bytes);
  {
    pbf_writer content(whole, tag::kPacket);
    body(content);
    content.add_uint32(tag::kSequence, kSequenceId);
  }
  sink(bytes);
}

template <class Body>
void track_event(const ByteSink& sink, base::Instant at, std::uint64_t track, Type type,
                 Body body) {
  packet(sink, [&](pbf_writer& content) {
    content.add_uint64(tag::kTimestamp, nanoseconds(at.since_boot));
    pbf_writer event(content, tag::kTrackEvent);
    event.add_enum(tag::kType, static_cast<std::int32_t>(type));
    event.add_uint64(tag::kTrack, track);
    body(event);
  });
}

// Protobuf strings are UTF-8.
std::string utf8(std::string_view raw) {
  return terminal_text(raw, kTextLimit);
}

void annotate(pbf_writer& event, std::string_view key, std::string_view text) {
  pbf_writer annotation(event, tag::kAnnotation);
  annotation.add_string(tag::kText, terminal_text(text, kSentenceLimit));
  annotation.add_string(tag::kKey, utf8(key));
}

void annotate_stack(pbf_writer& event, const model::StackSeen& stack) {
  std::size_t index = 0;
  for (const std::string& line : stack_lines(stack.frames, stack.python, NativeFrames::kMerged)) {
    annotate(event, fmt::format("frame {}", index++), line);
  }
  if (!stack.note.empty()) annotate(event, "stack", stack.note);
}

}  // namespace

PerfettoTrace::PerfettoTrace(const model::TraceHeader& header, ByteSink sink)
    : sink_(std::move(sink)), last_(header.started) {
  constexpr std::uint32_t kRealtime = 1;
  constexpr std::uint32_t kBoottime = 6;  // what packets are in unless they say otherwise
  packet(sink_, [&](pbf_writer& content) {
    pbf_writer snapshot(content, tag::kClockSnapshot);
    const auto clock = [&](std::uint32_t id, base::Nanoseconds time) {
      pbf_writer one(snapshot, tag::kClock);
      one.add_uint32(tag::kClockId, id);
      one.add_uint64(tag::kClockTime, nanoseconds(time));
    };
    clock(kBoottime, header.started.since_boot);
    // Not CLOCK_MONOTONIC: it stood still while the machine slept.
    clock(kRealtime, header.started_wall);
  });
}

std::uint64_t PerfettoTrace::track(base::Tid tid, bool renamed) {
  const model::TaskTree::Task* task = tasks_.find(tid);
  if (task == nullptr) return 0;
  const std::uint64_t thread = task->index + 1;
  const std::uint64_t process = kProcessUuids + static_cast<std::uint64_t>(task->process_number);
  // Who has ended was described while it lived.
  const bool fresh = !task->ended && described_.insert(thread).second;
  if (!fresh && !renamed) return thread;
  const model::TaskTree::Task* main = tasks_.find(base::main_thread(task->pid));
  const auto [at, first] = processes_.try_emplace(process);
  if (first || task->thread_number == 1) {
    const model::TaskTree::Task& named = main != nullptr ? *main : *task;
    at->second = {task->pid, tasks_.process_role(task->pid) + " " + utf8(named.comm), named.argv};
  }
  packet(sink_, [&](pbf_writer& content) {
    pbf_writer descriptor(content, tag::kTrackDescriptor);
    descriptor.add_uint64(tag::kUuid, thread);
    descriptor.add_uint64(tag::kParentUuid, process);
    pbf_writer about(descriptor, tag::kThread);
    about.add_int32(tag::kPid, task->pid.value());
    about.add_int32(tag::kTid, tid.value());
    about.add_string(tag::kThreadName, tasks_.role(tid) + " " + utf8(task->comm));
  });
  return thread;
}

// Once, when the name is final: the first one told stays (SetProcessNameIfUnset of the trace
// processor), and that would be the name before the exec.
void PerfettoTrace::describe(std::uint64_t uuid, const ProcessTrack& process) {
  packet(sink_, [&](pbf_writer& content) {
    pbf_writer descriptor(content, tag::kTrackDescriptor);
    descriptor.add_uint64(tag::kUuid, uuid);
    pbf_writer about(descriptor, tag::kProcess);
    about.add_int32(tag::kPid, process.pid.value());
    for (const std::string& word : process.argv) about.add_string(tag::kCommandLine, utf8(word));
    about.add_string(tag::kProcessName, process.name);
  });
}

// Of a task that has ended nothing is kept.
void PerfettoTrace::ended(const Event& event, const model::TaskExit& exit) {
  const model::TaskTree::Task* task = tasks_.find(event.tid);
  if (task == nullptr) return;
  const std::uint64_t thread = task->index + 1;
  if (!described_.contains(thread)) track(event.tid, true);
  instant(event.at, event.tid, "life", exit_words(exit));
  described_.erase(thread);
  last_ends_.erase(thread);
  if (event.tid != base::main_thread(event.pid)) return;
  const auto process =
      processes_.find(kProcessUuids + static_cast<std::uint64_t>(task->process_number));
  if (process == processes_.end()) return;
  describe(process->first, process->second);
  processes_.erase(process);
}

void PerfettoTrace::begin(const Call& call) {
  const std::uint64_t on = track(call.tid);
  const auto decoded = syscalls::decode(call.raw, std::nullopt, call.memory);
  open_[call.tid] = on;
  // A call that is only known since it ended, or by a look, may seem to begin inside of another.
  const auto last = last_ends_.find(on);
  const base::Instant from =
      last == last_ends_.end() ? call.start : std::max(call.start, last->second);
  track_event(sink_, from, on, Type::kBegin, [&](pbf_writer& event) {
    event.add_string(tag::kCategory, "syscall");
    event.add_string(tag::kName, decoded.name);
    for (const syscalls::Argument& argument : decoded.args) {
      annotate(event, argument.name, syscalls::to_text(argument.value, kTextLimit));
    }
  });
}

void PerfettoTrace::end(const Call& call) {
  const auto at = open_.find(call.tid);
  if (at == open_.end()) begin(call);  // its enter was lost
  const std::uint64_t on = open_[call.tid];
  open_.erase(call.tid);
  if (const auto release = releases_.of(call, fds_)) {
    const std::string by = tasks_.role(release->by);
    ++flows_;
    instant(release->at, release->by, "release", "releases " + tasks_.role(call.tid), flows_);
    instant(*call.end, call.tid, "release", "released by " + by, flows_, true);
  }
  const auto before = last_ends_.find(on);
  const base::Instant until = call.end.value_or(last_);
  const base::Instant to = before == last_ends_.end() ? until : std::max(until, before->second);
  last_ends_[on] = to;
  track_event(sink_, to, on, Type::kEnd, [&](pbf_writer& event) {
    if (call.stack) annotate_stack(event, *call.stack);
    if (!call.result) return;
    annotate(event, "result",
             call.result->is_error ? syscalls::error_name(call.result->value)
                                   : fmt::format("{}", call.result->value));
  });
}

void PerfettoTrace::instant(base::Instant at, base::Tid tid, std::string_view category,
                            std::string_view name, std::uint64_t flow, bool flow_ends) {
  track_event(sink_, at, track(tid), Type::kInstant, [&](pbf_writer& event) {
    event.add_string(tag::kCategory, std::string(category));
    event.add_string(tag::kName, utf8(name));
    if (flow != 0) event.add_fixed64(flow_ends ? tag::kFlowEnd : tag::kFlow, flow);
  });
}

// An exec ends the calls of the other threads without a word, and its own goes on under the
// leader's tid: on the track where it began.
void PerfettoTrace::executed(const Event& event, const model::Exec& exec) {
  std::optional<std::uint64_t> own;
  if (exec.former_tid && exec.former_tid != event.tid) {
    if (const auto at = open_.find(exec.former_tid); at != open_.end()) {
      own = at->second;
      open_.erase(at);
    }
    end_slice(event.tid, event.at);
  }
  std::vector<base::Tid> orphans;
  for (const auto& [tid, track] : open_) {
    if (calls_.open_call(tid) == nullptr) orphans.push_back(tid);
  }
  std::ranges::sort(orphans);
  for (const base::Tid tid : orphans) {
    const std::uint64_t gone = open_.at(tid);
    end_slice(tid, event.at);
    described_.erase(gone);
    last_ends_.erase(gone);
  }
  if (own) open_[event.tid] = *own;
  track(event.tid, true);
  instant(event.at, event.tid, "life", "runs " + command_text(exec.argv, kTextLimit));
}

void PerfettoTrace::end_slice(base::Tid tid, base::Instant at) {
  const auto open = open_.find(tid);
  if (open == open_.end()) return;
  last_ends_[open->second] = at;
  track_event(sink_, at, open->second, Type::kEnd, [](pbf_writer&) {});
  open_.erase(open);
}

void PerfettoTrace::on_event(const Event& event) {
  last_ = event.at;
  tasks_.observe(event);
  releases_.observe(event, fds_);
  if (const auto call = calls_.observe(event)) end(*call);
  if (std::holds_alternative<model::SyscallEnter>(event.data)) {
    if (const Call* call = calls_.open_call(event.tid)) begin(*call);
  } else if (const auto* stop = std::get_if<model::SignalStop>(&event.data)) {
    instant(event.at, event.tid, "signal", syscalls::signal_name(stop->signo));
  } else if (const auto* exec = std::get_if<model::Exec>(&event.data)) {
    executed(event, *exec);
  } else if (std::holds_alternative<model::TaskSeen>(event.data)) {
    track(event.tid, true);
  } else if (const auto* exit = std::get_if<model::TaskExit>(&event.data)) {
    ended(event, *exit);
  }
  fds_.observe(event);
}

void PerfettoTrace::finding(const model::FindingRecord& record) {
  const model::Finding& finding = record.finding;
  const base::Instant at = record.resolved_at.value_or(std::max(record.first_reported, last_));
  const std::string name =
      record.resolved_at
          ? fmt::format("was stuck: {}", finding.rule)
          : fmt::format("STUCK ({}): {}", to_string(finding.certainty), finding.rule);
  track_event(sink_, at, track(finding.tid), Type::kInstant, [&](pbf_writer& event) {
    event.add_string(tag::kCategory, "finding");
    event.add_string(tag::kName, utf8(name));
    annotate(event, "headline", finding.headline);
    for (std::size_t i = 0; i < finding.chain.size(); ++i) {
      annotate(event, fmt::format("chain {}", i + 1), link_sentence(finding.chain[i]));
    }
    if (!finding.remedy.empty()) annotate(event, "remedy", finding.remedy);
    if (!record.resolved_by.empty()) annotate(event, "resolved by", record.resolved_by);
  });
}

void PerfettoTrace::close() {
  for (const Call& call : calls_.close()) end(call);
  for (const auto& [uuid, process] : processes_) describe(uuid, process);
  processes_.clear();
}

}  // namespace stucktrace::render
