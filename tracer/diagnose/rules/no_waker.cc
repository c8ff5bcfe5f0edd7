#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "tracer/diagnose/doubts.h"
#include "tracer/diagnose/phases.h"
#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {
namespace {

// Why threads that only wait to be woken, with nobody left to do it, are a fault and not an idle
// program. In the order of what they prove.
enum class Why : std::uint8_t {
  kLeaving,  // the process is on its way out and waits for them
  kLock,     // a lock: somebody took it and owes its release
  kJoin,     // the main thread waits for the end of one of them
  kResult,   // a frame says that a result is awaited
  kNobody,   // no other thread, no handler: nothing can ever wake it
};

struct Sleepers {
  Why why = Why::kNobody;
  NodeIndex lead = 0;
  NodeIndex worker = 0;        // whom the story is about: asleep; the lead if it is alone
  std::vector<NodeIndex> all;  // sorted, with the lead
  std::optional<ExitPhase> phase;
};

bool is_lock_without_owner(const Node& node) {
  if (futex_of(node) == nullptr || node.wait.on.size() != 1) return false;
  // Memory alone is no proof where it names no owner: the words of a condition variable may look
  // like a lock. Frames are.
  const FutexUse use = futex_use(*node.thread);
  return use == FutexUse::kMutex || use == FutexUse::kRwlock || use == FutexUse::kPythonLock;
}

// Conditions, barriers and locks of the C library must not be touched in a signal handler
// (signal-safety(7)); an interpreter runs its handlers between two instructions and may.
bool safe_from_handlers(const Node& node) {
  if (!node.thread->python.empty()) return false;
  switch (futex_use(*node.thread)) {
    case FutexUse::kMutex:
    case FutexUse::kCondition:
    case FutexUse::kBarrier:
    case FutexUse::kRwlock:
    case FutexUse::kOnce:
      return true;
    default:
      return false;
  }
}

class Search {
 public:
  Search(const RuleContext& context, const model::Process& process)
      : context_(context), process_(process), threads_(context.graph.threads_of(process.pid)) {}

  std::optional<Sleepers> run() const {
    if (threads_.empty()) return std::nullopt;
    if (const auto phase = exit_phase(process_)) {
      const auto leaving = context_.graph.find(phase->tid);
      if (leaving) {
        if (auto found = asleep(*leaving, Why::kLeaving)) {
          found->phase = phase;
          return found;
        }
      }
    }
    for (const NodeIndex index : threads_) {
      if (!is_lock_without_owner(context_.graph[index])) continue;
      if (auto found = asleep(index, Why::kLock)) return found;
    }
    const NodeIndex main = threads_.front();
    const Node& node = context_.graph[main];
    if (node.tid() != base::main_thread(process_.pid)) return std::nullopt;
    if (const auto why = reason_of_main(main)) {
      auto found = asleep(main, *why);
      if (found && !a_handler_may_wake(*found)) return found;
      if (*why == Why::kResult) return with_idle_workers(main);
    }
    return std::nullopt;
  }

 private:
  std::optional<Why> reason_of_main(NodeIndex main) const {
    const Demand demand = demand_of(context_.graph, main);
    if (demand == Demand::kCompletion) return Why::kJoin;
    if (demand != Demand::kWakeup) return std::nullopt;
    // An event loop may be a server that runs for ever.
    const ResultWait result = waits_for_result(*context_.graph[main].thread);
    if (result == ResultWait::kFuture || result == ResultWait::kPoolResult) return Why::kResult;
    return Why::kNobody;
  }

  bool a_handler_may_wake(const Sleepers& found) const {
    const bool unsafe = std::ranges::any_of(found.all, [&](NodeIndex index) {
      return demand_of(context_.graph, index) == Demand::kWakeup &&
             !safe_from_handlers(context_.graph[index]);
    });
    // An interpreter always has a handler for SIGINT: the way to end a program that only waits.
    const Interrupt interrupt =
        found.why == Why::kNobody ? Interrupt::kCounts : interrupt_of(process_);
    return unsafe && may_be_told(context_.samples.now, process_, interrupt);
  }

  // All whom the lead waits for, if they are threads of its own process that wait to be woken.
  std::optional<Sleepers> asleep(NodeIndex lead, Why why) const {
    const Graph& graph = context_.graph;
    if (!context_.cases.stuck[lead] || !sleeps_among_its_own(lead)) return std::nullopt;
    Sleepers found{why, lead, lead, reachable(graph, lead, context_.cases.stuck), std::nullopt};
    if (!std::ranges::binary_search(found.all, lead)) {
      found.all.insert(std::ranges::lower_bound(found.all, lead), lead);
    }
    if (!std::ranges::all_of(found.all, [&](NodeIndex i) { return sleeps_among_its_own(i); })) {
      return std::nullopt;
    }
    const auto worker = std::ranges::find_if(found.all, [&](NodeIndex index) {
      return index != lead && demand_of(graph, index) == Demand::kWakeup;
    });
    if (worker != found.all.end()) {
      found.worker = *worker;
    } else if (demand_of(graph, lead) != Demand::kWakeup) {
      return std::nullopt;  // nobody in it waits to be woken: a circle of ends and locks
    }
    const auto duration = waited(context_.samples, graph[lead]);
    if (duration && *duration < context_.stuck_after) return std::nullopt;
    return found;
  }

  // A result is awaited from other processes, and all of those wait for work: it died with a
  // worker. Who looks after the workers wakes by the clock, and did so meanwhile.
  std::optional<Sleepers> with_idle_workers(NodeIndex lead) const {
    const Graph& graph = context_.graph;
    if (!context_.cases.stuck[lead] || graph[lead].timer) return std::nullopt;
    Sleepers found{Why::kResult, lead, lead, reachable(graph, lead, context_.cases.stuck), {}};
    for (const NodeIndex index : found.all) {
      const Node& node = graph[index];
      const Demand demand = demand_of(graph, index);
      const bool napping = node.timer && node.motion != Motion::kHeartbeat;
      const bool busy = demand == Demand::kDelivery || demand == Demand::kRequest ||
                        (demand == Demand::kCompletion && node.pid() != process_.pid);
      if (napping || busy) return std::nullopt;
    }
    if (!std::ranges::binary_search(found.all, lead)) {
      found.all.insert(std::ranges::lower_bound(found.all, lead), lead);
    }
    return found;
  }

  bool sleeps_among_its_own(NodeIndex index) const {
    const Node& node = context_.graph[index];
    const Demand demand = demand_of(context_.graph, index);
    return node.pid() == process_.pid && !node.timer && !node.wait.inferred &&
           (demand == Demand::kWakeup || demand == Demand::kCompletion || demand == Demand::kLock);
  }

  const RuleContext& context_;
  const model::Process& process_;
  std::span<const NodeIndex> threads_;
};

// What is owed to others tells more than that its debtor sleeps.
bool is_in_a_case(const RuleContext& context, const std::vector<NodeIndex>& threads) {
  return std::ranges::any_of(context.cases.cases, [&](const Case& known) {
    return std::ranges::any_of(
        threads, [&](NodeIndex index) { return std::ranges::binary_search(known.closure, index); });
  });
}

std::string_view waits_for(const Node& node) {
  if (node.wait.kind == model::WaitKind::kEventFd) return "an event";
  switch (futex_use(*node.thread)) {
    case FutexUse::kCondition:
      return "a condition to be signalled";
    case FutexUse::kSemaphore:
      return "a semaphore to be posted";
    case FutexUse::kBarrier:
      return "others to come to its barrier";
    case FutexUse::kMutex:
    case FutexUse::kPythonLock:
    case FutexUse::kRwlock:
      return "a lock to be released";
    default:
      return "to be woken";
  }
}

std::string waiting_clause(const Node& node) {
  const std::string_view what = waits_for(node);
  return fmt::format("waits {}{}", what == "to be woken" ? "" : "for ", what);
}

std::string headline(const RuleContext& context, const Sleepers& found) {
  const Node& lead = context.graph[found.lead];
  const Node& worker = context.graph[found.worker];
  const std::string process = process_name(*lead.process);
  const std::string duration = for_how_long(context, found.lead);
  switch (found.why) {
    case Why::kLeaving:
      if (found.worker == found.lead) {
        return fmt::format(
            "{} is on its way out but cannot exit{}: it {} and no thread is left that would do it",
            process, duration, waiting_clause(lead));
      }
      return fmt::format(
          "{} is on its way out but cannot exit{}: its {} {} and nobody is left who would do it",
          process, duration, thread_name(worker), waiting_clause(worker));
    case Why::kJoin:
      return fmt::format(
          "{} waits{} for its {} to end, which {} — and every thread that could do it waits, too",
          process, duration, thread_name(worker), waiting_clause(worker));
    case Why::kResult:
      return fmt::format("{} waits{} for a result that no thread is left to deliver", process,
                         duration);
    case Why::kLock:
      return fmt::format("{} waits{} for a lock that no thread is left to release", who(lead),
                         duration);
    case Why::kNobody:
      break;
  }
  return fmt::format("{} {}{} and nobody is left who could do it", who(lead), waiting_clause(lead),
                     duration);
}

std::vector<std::string> explanation(const RuleContext& context, const Sleepers& found) {
  const Node& lead = context.graph[found.lead];
  std::vector<std::string> sentences;
  if (found.phase) {
    sentences.push_back(fmt::format("{} is in {}.", thread_name(lead), found.phase->frame));
  }
  constexpr std::size_t kTold = 4;
  std::string sleepers = fmt::format("{} {}", who(lead), what(context, found.lead));
  std::size_t told = 1;
  for (const NodeIndex index : found.all) {
    if (index == found.lead || told > kTold) continue;
    const Node& node = context.graph[index];
    sleepers += fmt::format("; {} {}", node.pid() == lead.pid() ? thread_name(node) : who(node),
                            what(context, index));
    ++told;
  }
  const std::size_t more = found.all.size() - told;
  if (more > 0) sleepers += fmt::format("; {} more likewise", more);
  sentences.push_back(sleepers + ".");
  const bool elsewhere = std::ranges::any_of(
      found.all, [&](NodeIndex index) { return context.graph[index].pid() != lead.pid(); });
  if (elsewhere) {
    sentences.push_back(
        "All of them wait for work or for each other: nobody is working on that result. It is lost "
        "if the worker that had it died.");
    return sentences;
  }
  sentences.push_back(found.all.size() == 1
                          ? "No other thread has this memory, and no time-out ends the wait."
                          : "All of them wait for each other or to be woken, none with a time-out; "
                            "nobody else has this memory.");
  const model::Process* parent = context.samples.now.find(lead.process->parent);
  if (found.why == Why::kLock && found.all.size() == 1 && parent != nullptr &&
      parent->threads.size() > 1) {
    sentences.push_back(fmt::format(
        "Its parent {} has other threads: one of them may have held the lock at the moment of the "
        "fork; the child got a copy of the locked lock but not of that thread.",
        process_name(*parent)));
  }
  return sentences;
}

std::string_view remedy(const Sleepers& found) {
  switch (found.why) {
    case Why::kLeaving:
    case Why::kJoin:
      return "Tell the worker threads to stop before waiting for them (a sentinel in their queue, "
             "a "
             "flag and notify_all(), shutdown()), or make them daemon threads.";
    case Why::kLock:
      return "Release the lock before taking it again, take locks in one order everywhere, and do "
             "not fork while another thread may hold a lock.";
    case Why::kResult:
      return "Do not wait for a result inside the pool that has to compute it; give the wait a "
             "time-out and look after workers that died.";
    case Why::kNobody:
      break;
  }
  return "Make sure that whoever sets the condition (posts, notifies, fulfils the promise) "
         "outlives "
         "the wait, or give the wait a time-out and handle it.";
}

}  // namespace

// Threads of one process that wait to be woken, by nobody who could still do it.
std::vector<Draft> no_waker(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const model::Process& process : context.samples.now.processes) {
    const auto sleepers = Search(context, process).run();
    if (!sleepers || is_in_a_case(context, sleepers->all)) continue;
    Case found;
    found.lead = sleepers->lead;
    found.core = sleepers->all;
    found.closure = sleepers->all;
    found.doubts = strength_of(context.graph, context.samples, found.core).doubts;
    found.doubts.push_back(
        "what the threads wait for has no owner that the kernel or memory names; that it will not "
        "come follows from nobody else being left, if no signal handler wakes them");
    Draft draft{start_finding(context, "no-waker", found), found.core};
    model::Finding& finding = draft.finding;
    if (sleepers->phase) {
      finding.announced = model::Announcement{
          sleepers->phase->frame, -1, std::nullopt,
          fmt::format("thread {} is in {}", sleepers->phase->tid, sleepers->phase->frame)};
    }
    finding.headline = headline(context, *sleepers);
    finding.explanation = explanation(context, *sleepers);
    finding.remedy = remedy(*sleepers);
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
