#pragma once

#include <concepts>
#include <tuple>
#include <type_traits>

#include "tracer/model/event.h"
#include "tracer/model/snapshot.h"

// Every member of every recorded struct, as a tuple. A structured binding must name all members: a
// member added to the model does not compile here until it is listed, and once listed it is filled
// and compared by the round-trip test, which fails until the recording keeps it.
namespace stucktrace::record {

#define STUCKTRACE_MEMBERS(Type, ...)                   \
  template <class T>                                    \
    requires std::same_as<std::remove_const_t<T>, Type> \
  auto members(T& value) {                              \
    auto& [__VA_ARGS__] = value;                        \
    return std::tie(__VA_ARGS__);                       \
  }

STUCKTRACE_MEMBERS(model::TraceHeader, a, b, c, d, e, f, g, h, i, j, k, l)
STUCKTRACE_MEMBERS(model::TracedCalls, a, b, c, d)
STUCKTRACE_MEMBERS(model::Event, a, b, c, d, e)
STUCKTRACE_MEMBERS(model::TaskSeen, a, b, c, d, e, f, g, h, i)
STUCKTRACE_MEMBERS(model::NewTask, a, b, c)
STUCKTRACE_MEMBERS(model::SyscallEnter, a, b, c, d, e, f)
STUCKTRACE_MEMBERS(model::SyscallExit, a, b, c, d, e, f)
STUCKTRACE_MEMBERS(model::CallTimes, a, b)
STUCKTRACE_MEMBERS(model::FdsSeen, a)
STUCKTRACE_MEMBERS(model::StackSeen, a, b, c)
STUCKTRACE_MEMBERS(model::SignalStop, a, b, c, d)
STUCKTRACE_MEMBERS(model::GroupStop, a)
STUCKTRACE_MEMBERS(model::Exec, a, b, c, d)
STUCKTRACE_MEMBERS(model::TaskExit, a, b, c)
STUCKTRACE_MEMBERS(model::Detached, a)
STUCKTRACE_MEMBERS(model::Lost, a, b)
STUCKTRACE_MEMBERS(model::Sample, a, b)
STUCKTRACE_MEMBERS(model::Note, a)
STUCKTRACE_MEMBERS(syscalls::RawCall, a, b, c)
STUCKTRACE_MEMBERS(syscalls::RawResult, a, b)
STUCKTRACE_MEMBERS(model::ResourceId, a, b, c, d)
STUCKTRACE_MEMBERS(model::FdEntry, a, b, c, d, e, f)
STUCKTRACE_MEMBERS(model::Holder, a, b, c)
STUCKTRACE_MEMBERS(model::Resource, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q)
STUCKTRACE_MEMBERS(model::OnFd, a, b, c)
STUCKTRACE_MEMBERS(model::OnChildren, a, b, c, d)
STUCKTRACE_MEMBERS(model::OnFutex, a, b, c, d, e, f, g, h)
STUCKTRACE_MEMBERS(model::OnTask, a)
STUCKTRACE_MEMBERS(model::OnLock, a, b, c, d)
STUCKTRACE_MEMBERS(model::OnOutside, a)
STUCKTRACE_MEMBERS(model::OnUnknown, a)
STUCKTRACE_MEMBERS(model::Wait, a, b, c, d, e, f, g)
STUCKTRACE_MEMBERS(model::SyscallLine, a, b, c)
STUCKTRACE_MEMBERS(model::Counters, a, b, c)
STUCKTRACE_MEMBERS(model::NativeFrame, a, b, c, d, e, f)
STUCKTRACE_MEMBERS(model::PythonFrame, a, b, c, d)
STUCKTRACE_MEMBERS(model::AwaitedEnd, a, b, c, d)
STUCKTRACE_MEMBERS(model::PythonTask, a, b, c, d, e, f, g)
STUCKTRACE_MEMBERS(model::Interpreter, a, b, c, d, e, f)
STUCKTRACE_MEMBERS(model::Thread, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
STUCKTRACE_MEMBERS(model::OutputTail, a, b, c)
STUCKTRACE_MEMBERS(model::Process, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v,
                   w, x)
STUCKTRACE_MEMBERS(model::Snapshot, a, b, c, d, e, f, g)

#undef STUCKTRACE_MEMBERS

// Structs without members.
template <class T>
  requires std::is_empty_v<T>
std::tuple<> members(T& /*value*/) {
  return {};
}

}  // namespace stucktrace::record
