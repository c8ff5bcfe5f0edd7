// The linear-time algorithms over process groups against their definitions, on random waits.
#include <algorithm>
#include <random>

#include "tests/unit/diagnose/fixtures.h"
#include "tracer/diagnose/closure.h"

namespace stucktrace::diagnose {
namespace {

SnapshotBuilder random_tree(unsigned seed) {
  std::mt19937 random(seed);
  const auto pick = [&](int count) {
    return static_cast<int>(random() % static_cast<unsigned>(count));
  };
  SnapshotBuilder tree;
  constexpr int kProcesses = 4;
  std::vector<int> tids;
  for (int p = 1; p <= kProcesses; ++p) {
    auto process = tree.process(p * 100, "p");
    tids.push_back(p * 100);
    for (int t = 1; t <= pick(3); ++t) {
      process.thread(p * 100 + t);
      tids.push_back(p * 100 + t);
    }
    for (int fd = 3; fd < 6; ++fd) {
      process.pipe(static_cast<std::uint64_t>(pick(4)), fd,
                   pick(2) == 0 ? FdMode::kRead : FdMode::kWrite);
    }
  }
  for (std::uint64_t pipe = 0; pipe < 4; ++pipe) tree.full_pipe(pipe);
  for (const int tid : tids) {
    auto thread = tree.thread(tid);
    switch (pick(9)) {
      case 0:
        thread.accepts();
        break;
      case 1:
      case 2:
        thread.reads_pipe(static_cast<std::uint64_t>(pick(4)), 3);
        break;
      case 3:
        thread.writes_pipe(static_cast<std::uint64_t>(pick(4)), 4);
        break;
      case 4:
        thread.waits_for_child((1 + pick(kProcesses)) * 100);
        break;
      case 5:
      case 6:
        thread.joins(tids[static_cast<std::size_t>(pick(static_cast<int>(tids.size())))]);
        break;
      case 7:
        thread.sleeps(1s);
        break;
      default:
        thread.waits_on_condition();
    }
  }
  return tree;
}

bool free_alone(const Node& node, Ignore ignore) {
  return node.moves() || !node.outside.empty() || !node.opaque.empty() ||
         (node.timer && ignore == Ignore::kNothing) ||
         (!node.unknown.empty() && ignore != Ignore::kTimersAndUnknown);
}

NodeSet stuck_by_definition(const Graph& graph, Ignore ignore) {
  NodeSet stuck(graph.size(), true);
  for (bool changed = true; changed;) {
    changed = false;
    for (NodeIndex i = 0; i < graph.size(); ++i) {
      bool free = free_alone(graph[i], ignore);
      graph.for_each_releaser(i, [&](NodeIndex releaser) { free = free || !stuck[releaser]; });
      if (free && stuck[i]) {
        stuck[i] = false;
        changed = true;
      }
    }
  }
  return stuck;
}

// reach[i][j]: j is waited for by i over one or more steps, inner ones in `allowed`.
std::vector<NodeSet> reach_by_definition(const Graph& graph, const NodeSet& allowed) {
  std::vector<NodeSet> reach(graph.size(), NodeSet(graph.size(), false));
  for (NodeIndex i = 0; i < graph.size(); ++i) {
    graph.for_each_releaser(i, [&](NodeIndex releaser) { reach[i][releaser] = true; });
  }
  for (NodeIndex via = 0; via < graph.size(); ++via) {
    if (!allowed[via]) continue;
    for (NodeIndex i = 0; i < graph.size(); ++i) {
      for (NodeIndex j = 0; j < graph.size() && reach[i][via]; ++j) {
        if (reach[via][j]) reach[i][j] = true;
      }
    }
  }
  return reach;
}

class RandomWaits : public testing::TestWithParam<unsigned> {};

TEST_P(RandomWaits, AlgorithmsMatchTheirDefinitions) {
  for (unsigned seed = GetParam() * 100; seed < GetParam() * 100 + 100; ++seed) {
    SCOPED_TRACE(seed);
    const auto samples = random_tree(seed).samples();
    const Graph graph(Samples{samples.before, samples.now, nullptr});
    for (const Ignore ignore : {Ignore::kNothing, Ignore::kTimers, Ignore::kTimersAndUnknown}) {
      EXPECT_EQ(stuck_set(graph, ignore), stuck_by_definition(graph, ignore));
    }
    const NodeSet stuck = stuck_set(graph, Ignore::kTimersAndUnknown);
    const auto reach = reach_by_definition(graph, stuck);
    std::vector<bool> in_knot(graph.size(), false);
    for (const auto& knot : knots(graph, stuck)) {
      for (const NodeIndex i : knot) {
        in_knot[i] = true;
        for (const NodeIndex j : knot) {
          const bool circle = reach[i][j] || (i == j && graph[i].waits_for_itself);
          EXPECT_TRUE(circle) << i << " " << j;
        }
      }
    }
    for (NodeIndex i = 0; i < graph.size(); ++i) {
      if (!stuck[i]) continue;
      EXPECT_EQ(in_knot[i], reach[i][i] || graph[i].waits_for_itself) << i;
      for (const NodeIndex j : reachable(graph, i, stuck)) {
        EXPECT_TRUE(reach[i][j] || (i == j && graph[i].waits_for_itself)) << i << " " << j;
      }
      const NodeSet behind = reaching(graph, {i}, stuck);
      for (NodeIndex j = 0; j < graph.size(); ++j) {
        if (!stuck[j]) continue;
        EXPECT_EQ(behind[j], reach[j][i] || (i == j && graph[i].waits_for_itself)) << j << " " << i;
      }
      const auto cycle = shortest_cycle(graph, i, stuck);
      EXPECT_EQ(!cycle.empty(), in_knot[i]);
      if (cycle.size() < 2) continue;
      EXPECT_EQ(cycle.front(), i);
      for (std::size_t step = 0; step < cycle.size(); ++step) {
        EXPECT_NE(graph.release(cycle[step], cycle[(step + 1) % cycle.size()]), nullptr);
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomWaits, testing::Range(0U, 8U));

// What `proven` promises, whatever the waits: nobody on a proven circle has a way out.
TEST_P(RandomWaits, ProvenFindingsHaveNoWayOut) {
  for (unsigned seed = GetParam() * 100; seed < GetParam() * 100 + 100; ++seed) {
    SCOPED_TRACE(seed);
    const auto samples = random_tree(seed).samples();
    const Graph graph(Samples{samples.before, samples.now, nullptr});
    const NodeSet stuck = stuck_by_definition(graph, Ignore::kNothing);
    for (const auto& finding : diagnose(samples.before, samples.now, nullptr, {}).findings) {
      if (finding.certainty != Certainty::kProven) continue;
      EXPECT_TRUE(stuck[graph.find(finding.tid).value()]) << finding.headline;
      for (const base::Tid tid : finding.cycle) {
        EXPECT_TRUE(stuck[graph.find(tid).value()]) << finding.headline;
      }
      EXPECT_FALSE(finding.resolves_in);
      EXPECT_FALSE(finding.headline.empty());
      EXPECT_FALSE(finding.remedy.empty());
    }
  }
}

}  // namespace
}  // namespace stucktrace::diagnose
