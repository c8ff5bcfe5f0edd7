#include "tracer/render/event_lines.h"

#include <nlohmann/json.hpp>

#include "syscalls/decode.h"
#include "tracer/render/finding_json.h"
#include "tracer/render/frame_json.h"
#include "tracer/render/wall_time.h"

namespace stucktrace::render {
namespace {

using Json = nlohmann::ordered_json;
using model::Event;

// Buffers are cut here, as in a log; the recording has them whole.
constexpr std::size_t kTextLimit = 256;

std::string line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json arguments(const syscalls::DecodedCall& decoded) {
  Json list = Json::array();
  for (const syscalls::Argument& argument : decoded.args) {
    list.push_back({{"name", argument.name}, {"value", to_text(argument.value, kTextLimit)}});
  }
  return list;
}

Json descriptors(const std::vector<model::FdEntry>& fds) {
  Json list = Json::array();
  for (const model::FdEntry& entry : fds) {
    list.push_back({{"fd", entry.fd},
                    {"resource", to_string(entry.resource)},
                    {"read", model::reads(entry.mode)},
                    {"write", model::writes(entry.mode)},
                    {"label", entry.label}});
  }
  return list;
}

std::string_view kind(model::NewTaskKind kind) {
  switch (kind) {
    case model::NewTaskKind::kFork:
      return "fork";
    case model::NewTaskKind::kVfork:
      return "vfork";
    case model::NewTaskKind::kThread:
      return "thread";
    case model::NewTaskKind::kCloneProcess:
      return "clone";
  }
  return "clone";
}

// What an event tells besides its time and task; the type comes first.
struct EventJson {
  Json operator()(const model::TaskSeen& seen) const {
    return {{"type", "task"},
            {"ppid", seen.parent.value()},
            {"comm", seen.comm},
            {"exe", seen.exe},
            {"argv", seen.argv},
            {"at_attach", seen.at_attach},
            {"fds", descriptors(seen.fds)}};
  }
  Json operator()(const model::NewTask& made) const {
    return {{"type", "new-task"},
            {"child", made.child.value()},
            {"kind", kind(made.kind)},
            {"shares_fds", made.shares_fds}};
  }
  Json operator()(const model::SyscallEnter& enter) const {
    const auto decoded = syscalls::decode(enter.call, std::nullopt, enter.memory);
    return {{"type", "enter"},
            {"call", decoded.name},
            {"args", arguments(decoded)},
            {"open_at_attach", enter.open_at_attach},
            {"looked_up", enter.looked_up},
            {"age_ns", enter.age.count()}};
  }
  Json operator()(const model::SyscallExit& exit) const {
    const auto decoded = syscalls::decode(exit.call, exit.result, exit.memory);
    Json out = {{"type", "exit"}, {"call", decoded.name}, {"looked_up", exit.looked_up}};
    out["result"] = exit.looked_up ? Json(nullptr) : Json(exit.result.value);
    const bool failed = !exit.looked_up && exit.result.is_error;
    out["error"] = failed ? Json(syscalls::error_name(exit.result.value)) : Json(nullptr);
    out["made_fds"] = descriptors(exit.made_fds);
    return out;
  }
  Json operator()(const model::FdsSeen& seen) const {
    return {{"type", "fds"}, {"fds", descriptors(seen.fds)}};
  }
  Json operator()(const model::SignalStop& stop) const {
    return {{"type", "signal"},
            {"signal", syscalls::signal_name(stop.signo)},
            {"code", stop.code},
            {"sender", stop.sender ? Json(stop.sender.value()) : Json(nullptr)}};
  }
  Json operator()(const model::GroupStop& stop) const {
    return {{"type", "group-stop"}, {"signal", syscalls::signal_name(stop.signo)}};
  }
  Json operator()(const model::Continued&) const { return {{"type", "continued"}}; }
  Json operator()(const model::Exec& exec) const {
    return {{"type", "exec"},
            {"exe", exec.exe},
            {"argv", exec.argv},
            {"former_tid", exec.former_tid ? Json(exec.former_tid.value()) : Json(nullptr)},
            {"fds", descriptors(exec.fds)}};
  }
  Json operator()(const model::TaskExit& exit) const {
    return {{"type", "task-exit"},
            {"status", exit.signaled ? Json(nullptr) : Json(exit.code)},
            {"signal", exit.signaled ? Json(syscalls::signal_name(exit.code)) : Json(nullptr)},
            {"core_dumped", exit.core_dumped}};
  }
  Json operator()(const model::Detached& gone) const {
    return {{"type", "detached"}, {"because", gone.because}};
  }
  Json operator()(const model::Lost& lost) const {
    return {{"type", "lost"}, {"count", lost.count}, {"what", lost.what}};
  }
  Json operator()(const model::Sample& sample) const {
    std::size_t threads = 0;
    std::size_t processes = 0;
    if (sample.now) {
      processes = sample.now->processes.size();
      for (const model::Process& process : sample.now->processes) {
        threads += process.threads.size();
      }
    }
    return {{"type", "sample"}, {"processes", processes}, {"threads", threads}};
  }
  Json operator()(const model::StackSeen& seen) const {
    return {{"type", "stack"},
            {"stack", frames_json(seen.frames)},
            {"python", frames_json(seen.python)},
            {"note", seen.note.empty() ? Json(nullptr) : Json(seen.note)}};
  }
  Json operator()(const model::Note& note) const { return {{"type", "note"}, {"text", note.text}}; }
};

}  // namespace

EventLines::EventLines(const model::TraceHeader& header, ByteSink sink)
    : zero_(header.started), last_(header.started), sink_(std::move(sink)) {
  Json roots = Json::array();
  for (const base::Pid root : header.roots) roots.push_back(root.value());
  sink_(line({{"type", "trace"},
              {"schema", "stucktrace.events/1"},
              {"tool_version", header.tool_version},
              {"mode", header.mode},
              {"command", header.command},
              {"started", iso_time(header.started_wall)},
              {"host", header.host},
              {"roots", roots}}));
}

void EventLines::on_event(const Event& event) {
  tasks_.observe(event);
  last_ = event.at;
  ++events_;
  Json out = std::visit(EventJson{}, event.data);
  Json whole = {
      {"type", out["type"]}, {"at_ns", (event.at - zero_).count()}, {"sequence", event.sequence}};
  if (event.pid) {
    whole["pid"] = event.pid.value();
    whole["tid"] = event.tid.value();
    whole["role"] = tasks_.role(event.tid);
  }
  out.erase("type");
  whole.update(out);
  sink_(line(whole));
}

void EventLines::finding(const model::FindingRecord& record) {
  const model::Finding& finding = record.finding;
  Json chain = Json::array();
  for (const model::ChainLink& link : finding.chain) chain.push_back(link_json(link));
  Json cycle = Json::array();
  for (const base::Tid tid : finding.cycle) cycle.push_back(tid.value());
  sink_(line({{"type", "finding"},
              {"at_ns", (record.resolved_at.value_or(last_) - zero_).count()},
              {"pid", finding.pid.value()},
              {"tid", finding.tid.value()},
              {"role", tasks_.role(finding.tid)},
              {"rule", finding.rule},
              {"certainty", to_string(finding.certainty)},
              {"headline", finding.headline},
              {"chain", chain},
              {"cycle", cycle},
              {"remedy", finding.remedy},
              {"stalled_since_ns", (record.stalled_since - zero_).count()},
              {"resolved", record.resolved_at.has_value()},
              {"resolved_by", record.resolved_by}}));
}

void EventLines::close() {
  sink_(line({{"type", "end"}, {"at_ns", (last_ - zero_).count()}, {"events", events_}}));
}

}  // namespace stucktrace::render
