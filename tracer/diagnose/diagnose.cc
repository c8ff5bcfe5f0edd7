#include "tracer/diagnose/diagnose.h"

#include <algorithm>

#include "tracer/diagnose/rule.h"

namespace stucktrace::diagnose {
namespace {

using model::ThreadVerdict;

AnnouncePhrases phrases_of(const std::vector<std::string>& expressions) {
  std::vector<std::string> good;
  for (const std::string& expression : expressions) {
    if (AnnouncePhrases::compile({expression})) good.push_back(expression);
  }
  return AnnouncePhrases::compile(good).value_or(AnnouncePhrases());
}

bool overlap(const std::vector<NodeIndex>& a, const std::vector<NodeIndex>& b) {
  return std::ranges::any_of(a,
                             [&](NodeIndex index) { return std::ranges::binary_search(b, index); });
}

// Idle threads may well be in reach of a stall; they do not wait because of it.
bool blocked_by_it(const Graph& graph, NodeIndex index) {
  const Demand demand = demand_of(graph, index);
  return demand != Demand::kWakeup && demand != Demand::kNap && demand != Demand::kNone;
}

class Arbiter {
 public:
  explicit Arbiter(const RuleContext& context)
      : context_(context), concerned_(context.graph.size(), false) {
    // Counterparts are looked at for the sake of the tree. What is wrong with them alone is not the
    // question, unless something of the tree waits behind it.
    for (NodeIndex index = 0; index < context.graph.size(); ++index) {
      if (!context.graph[index].process->in_tree || concerned_[index]) continue;
      concerned_[index] = true;
      for (const NodeIndex other : reachable(context.graph, index, context.cases.stuck)) {
        concerned_[other] = true;
      }
    }
  }

  // One root cause, one finding: the first rule that explains a thread has it.
  void take(std::vector<Draft> drafts) {
    for (Draft& draft : drafts) {
      if (draft.finding.lasting) {  // explains no thread's wait, so takes it from nobody
        accepted_.push_back(std::move(draft));
        continue;
      }
      const bool concerns =
          std::ranges::any_of(draft.core, [&](NodeIndex index) { return concerned_[index]; });
      if (!concerns || claimed(draft)) continue;
      accepted_.push_back(std::move(draft));
    }
  }

  std::vector<Draft> finish() {
    for (Draft& draft : accepted_) {
      if (draft.finding.lasting) continue;
      const NodeSet behind = reaching(context_.graph, draft.core, context_.cases.stuck);
      for (NodeIndex index = 0; index < context_.graph.size(); ++index) {
        if (!behind[index] || !context_.cases.stuck[index]) continue;
        if (std::ranges::binary_search(draft.core, index)) continue;
        if (!blocked_by_it(context_.graph, index)) continue;
        draft.finding.also_blocked.push_back(context_.graph[index].tid());
      }
      std::ranges::sort(draft.finding.also_blocked);
    }
    // Stable: rules came most specific first, drafts by thread.
    std::ranges::stable_sort(accepted_, {},
                             [](const Draft& draft) { return draft.finding.certainty; });
    return std::move(accepted_);
  }

 private:
  bool claimed(const Draft& draft) const {
    return std::ranges::any_of(accepted_, [&](const Draft& known) {
      if (known.finding.lasting) return false;
      if (overlap(draft.core, known.core)) return true;
      // It waits behind a cause that has its finding already.
      const auto lead = context_.graph.find(draft.finding.tid);
      return lead && overlap(reachable(context_.graph, *lead, context_.cases.stuck), known.core);
    });
  }

  const RuleContext& context_;
  NodeSet concerned_;  // of the tree, or waited for by it
  std::vector<Draft> accepted_;
};

ThreadVerdict verdict_of(const Node& node) {
  switch (node.motion) {
    case Motion::kRunning:
      return ThreadVerdict::kRunning;
    case Motion::kMoved:
      return ThreadVerdict::kSlow;
    default:
      break;
  }
  return node.wait.kind == model::WaitKind::kStopped ? ThreadVerdict::kStopped
                                                     : ThreadVerdict::kWaiting;
}

std::vector<model::ThreadAssessment> assess(const Graph& graph, const std::vector<Draft>& drafts) {
  std::vector<model::ThreadAssessment> threads;
  for (NodeIndex index = 0; index < graph.size(); ++index) {
    const Node& node = graph[index];
    model::ThreadAssessment assessment{node.tid(), verdict_of(node)};
    for (const Draft& draft : drafts) {
      if (draft.finding.lasting) continue;
      const auto& blocked = draft.finding.also_blocked;
      const auto& cycle = draft.finding.cycle;
      const bool stuck =
          draft.finding.tid == node.tid() || std::ranges::find(cycle, node.tid()) != cycle.end() ||
          std::ranges::binary_search(blocked, node.tid()) ||
          (std::ranges::binary_search(draft.core, index) && blocked_by_it(graph, index));
      if (stuck) assessment.verdict = ThreadVerdict::kStuck;
    }
    threads.push_back(assessment);
  }
  std::ranges::sort(threads, {}, &model::ThreadAssessment::tid);
  return threads;
}

}  // namespace

model::Diagnosis diagnose(const model::Snapshot& before, const model::Snapshot& now,
                          const History* history, const Settings& settings) {
  const Samples samples{before, now, history};
  const Graph graph(samples);
  const Cases cases = find_cases(graph, samples, settings.stuck_after);
  const AnnouncePhrases phrases = phrases_of(settings.announce);
  const RuleContext context{graph, samples, cases, phrases, settings.stuck_after};
  Arbiter arbiter(context);
  for (const Rule& rule : all_rules()) arbiter.take(rule.find(context));
  std::vector<Draft> drafts = arbiter.finish();

  model::Diagnosis diagnosis;
  diagnosis.edges = graph.edges();
  diagnosis.threads = assess(graph, drafts);
  for (Draft& draft : drafts) diagnosis.findings.push_back(std::move(draft.finding));
  return diagnosis;
}

}  // namespace stucktrace::diagnose
