#include "tracer/diagnose/closure.h"

#include <csignal>

#include "tests/unit/diagnose/fixtures.h"

namespace stucktrace::diagnose {
namespace {

using testing::ElementsAre;

struct Built {
  SnapshotBuilder::Samples samples;
  Graph graph;
  explicit Built(const SnapshotBuilder& tree)
      : samples(tree.samples()), graph(Samples{samples.before, samples.now, nullptr}) {}
};

std::vector<std::int32_t> tids(const Graph& graph, const std::vector<NodeIndex>& nodes) {
  std::vector<std::int32_t> result;
  for (const NodeIndex index : nodes) result.push_back(graph[index].tid().value());
  return result;
}

std::vector<std::int32_t> stuck_tids(const Graph& graph, Ignore ignore) {
  const NodeSet stuck = stuck_set(graph, ignore);
  std::vector<std::int32_t> result;
  for (NodeIndex i = 0; i < graph.size(); ++i) {
    if (stuck[i]) result.push_back(graph[i].tid().value());
  }
  return result;
}

TEST(Closure, TimersCountUnlessIgnored) {
  const Built built(birth_case());
  EXPECT_THAT(stuck_tids(built.graph, Ignore::kNothing), ElementsAre());
  EXPECT_THAT(stuck_tids(built.graph, Ignore::kTimers), ElementsAre(4711, 4712, 4713));
}

TEST(Closure, OneFreeReleaserIsEnough) {
  SnapshotBuilder tree = birth_case();
  tree.process(4720, "other").pipe(kQueue, 3, FdMode::kRead);
  tree.thread(4720).accepts();
  const Built built(tree);
  EXPECT_THAT(stuck_tids(built.graph, Ignore::kTimersAndUnknown), ElementsAre());
}

TEST(Closure, AWriterNeverReleasesItself) {
  SnapshotBuilder tree;
  tree.process(10, "app").pipe(1, 3, FdMode::kRead).pipe(1, 4, FdMode::kWrite);
  tree.full_pipe(1);
  tree.thread(10).writes_pipe(1, 4);
  const Built built(tree);
  EXPECT_THAT(stuck_tids(built.graph, Ignore::kNothing), ElementsAre(10));
  EXPECT_TRUE(knots(built.graph, NodeSet(built.graph.size(), true)).empty());
}

TEST(Closure, AJoinThatTheFirstLookSawAsAFutexHasNotMoved) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11);
  tree.thread(10).joins(11);
  tree.thread(11).joins(10);
  Built built(tree);
  for (model::Thread& thread : built.samples.before.processes[0].threads) {
    thread.wait.kind = model::WaitKind::kFutex;
  }
  const Graph graph{Samples{built.samples.before, built.samples.now, nullptr}};
  EXPECT_THAT(stuck_tids(graph, Ignore::kNothing), ElementsAre(10, 11));
}

TEST(Closure, KnotsAndShortestCycles) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11).thread(12).thread(13).thread(14);
  tree.thread(10).joins(11);
  tree.thread(11).waits_for_lock(0x1, 12);
  tree.thread(12).waits_for_lock(0x2, 13);
  tree.thread(13).waits_for_lock(0x3, 11);
  tree.thread(14).waits_for_lock(0x4, 14);
  const Built built(tree);
  const NodeSet all(built.graph.size(), true);
  const auto found = knots(built.graph, all);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_THAT(tids(built.graph, found[0]), ElementsAre(11, 12, 13));
  EXPECT_THAT(tids(built.graph, found[1]), ElementsAre(14));
  EXPECT_THAT(tids(built.graph, shortest_cycle(built.graph, 2, all)), ElementsAre(12, 13, 11));
  EXPECT_THAT(shortest_cycle(built.graph, 0, all), ElementsAre());
  EXPECT_THAT(tids(built.graph, reachable(built.graph, 0, all)), ElementsAre(11, 12, 13));
}

TEST(Closure, ThousandsOfIdleThreadsAreCheap) {
  SnapshotBuilder tree;
  auto app = tree.process(10, "app").catches({SIGTERM});
  model::Process& process = app.get();
  model::Thread thread = process.threads[0];
  constexpr int kThreads = 8000;
  for (int i = 1; i < kThreads; ++i) {
    thread.tid = base::Tid{10 + i};
    process.threads.push_back(thread);
  }
  const Built built(tree);
  const auto found = knots(built.graph, NodeSet(built.graph.size(), true));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].size(), static_cast<std::size_t>(kThreads));
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Graph, AReusedThreadIdIsAnotherThread) {
  SnapshotBuilder tree = birth_case();
  auto samples = tree.samples();
  for (model::Thread& thread : samples.now.processes[1].threads) thread.start_time = 200;
  EXPECT_EQ(rules_of(diagnose(samples.before, samples.now, nullptr, {})), "");
}

TEST(Graph, EdgesSayWhy) {
  const model::Diagnosis diagnosis = diagnose_tree(birth_case());
  const auto edge = std::ranges::find(diagnosis.edges, base::Tid{4713}, &model::Edge::from);
  ASSERT_NE(edge, diagnosis.edges.end());
  EXPECT_EQ(edge->to, std::vector{base::Tid{4711}});
  EXPECT_EQ(edge->why, "holds the read end (fd 3)");
  EXPECT_EQ(edge->resource, test::pipe_id(kQueue));
}

}  // namespace
}  // namespace stucktrace::diagnose
