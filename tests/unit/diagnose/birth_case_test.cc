#include "tests/unit/diagnose/fixtures.h"

namespace stucktrace::diagnose {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

void in_exit_phase(SnapshotBuilder& tree) {
  tree.thread(4712)
      .python("_wait_for_tstate_lock", "/usr/lib/python3.11/threading.py", 1116)
      .python("join", "/usr/lib/python3.11/threading.py", 1096)
      .python("_finalize_join", "/usr/lib/python3.11/multiprocessing/queues.py", 199)
      .python("_exit_function", "/usr/lib/python3.11/multiprocessing/util.py", 357);
}

TEST(BirthCase, Python3TellsTheWholeStory) {
  SnapshotBuilder tree = birth_case();
  tree.process(1, "init");
  tree.thread(1).waits_for_signal();
  // Said into a log file; the pipe is not its stdout.
  auto [before, now] = tree.samples();
  for (auto& process : now.processes) {
    if (process.pid == base::Pid{4712}) {
      process.output_tails.push_back({1, "/tmp/log", "All done! Goodbye!"});
    }
  }
  const model::Diagnosis diagnosis = diagnose(before, now, nullptr, {});
  ASSERT_EQ(rules_of(diagnosis), "pipe-full-after-announce/until");
  const model::Finding& finding = diagnosis.findings[0];
  EXPECT_EQ(finding.pid, base::Pid{4712});
  EXPECT_EQ(finding.tid, base::Tid{4713});
  EXPECT_EQ(finding.resource, test::pipe_id(kQueue));
  EXPECT_THAT(finding.cycle, ElementsAre(base::Tid{4713}, base::Tid{4711}, base::Tid{4712}));
  EXPECT_EQ(finding.resolves_in, 800ms);
  ASSERT_TRUE(finding.announced);
  EXPECT_EQ(finding.announced->text, "All done! Goodbye!");
  EXPECT_EQ(finding.announced->evidence, "last line of /tmp/log (fd 1)");
  EXPECT_EQ(finding.headline,
            "P2 python3 (pid 4712) said \"All done! Goodbye!\" but cannot exit: its thread 4713 "
            "(QueueFeederThread) has been blocked for 4.2 s writing 200 009 bytes to a full pipe "
            "that only P1 python3 (pid 4711) could drain — and that one waits for P2 to exit "
            "(time-out in 800 ms)");
  ASSERT_EQ(finding.chain.size(), 3U);
  EXPECT_EQ(finding.chain[0].pid, base::Pid{4711});
  EXPECT_EQ(finding.chain[1].tid, base::Tid{4712});
  EXPECT_EQ(finding.chain[2].tid, base::Tid{4713});
  EXPECT_EQ(finding.chain[2].since, 4200ms);
  const std::string text = all_text(finding);
  EXPECT_THAT(text, HasSubstr("P2 itself also holds the read end (fd 3)"));
  EXPECT_THAT(text, HasSubstr("EPIPE"));
  EXPECT_THAT(text, HasSubstr("65 536 of 65 536 bytes unread"));
  EXPECT_THAT(text, HasSubstr("at least 134 473 bytes of them cannot be in the pipe yet"));
  EXPECT_THAT(text, HasSubstr("cancel_join_thread()"));
  EXPECT_THAT(text, HasSubstr("In P1, take everything out of the queue"));
}

TEST(BirthCase, TheRemedyNamesTheProgramsOwnLine) {
  SnapshotBuilder tree = birth_case();
  tree.thread(4711)
      .python("wait", "/usr/lib/python3.11/multiprocessing/connection.py", 930)
      .python("join", "/usr/lib/python3.11/multiprocessing/process.py", 149)
      .python("main", "/srv/app/hang.py", 78)
      .python("<module>", "/srv/app/hang.py", 91);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(diagnosis.findings.size(), 1U);
  EXPECT_THAT(diagnosis.findings[0].remedy,
              HasSubstr("In P1, take everything out of the queue (q.get()) before join() at main "
                        "(app/hang.py:78); or call"));
}

TEST(BirthCase, TheObjectInTheFrameIsEvidence) {
  SnapshotBuilder tree = birth_case();
  auto [before, now] = tree.samples();
  for (auto& process : now.processes) {
    if (process.pid != base::Pid{4712}) continue;
    process.threads[0].awaited_end =
        model::AwaitedEnd{base::Tid{4713},
                          {},
                          "QueueFeederThread",
                          {"join", "/usr/lib/python3.11/threading.py", 1096}};
  }
  const model::Diagnosis diagnosis = diagnose(before, now, nullptr, {});
  ASSERT_EQ(diagnosis.findings.size(), 1U);
  EXPECT_THAT(
      diagnosis.findings[0].evidence,
      testing::Contains("P2 python3 (pid 4712), main thread waits for the end of thread 4713 "
                        "(QueueFeederThread): the object \"QueueFeederThread\" in its frame "
                        "join (python3.11/threading.py:1096)"));
}

TEST(BirthCase, TheExitPhaseCountsAsAnnouncement) {
  SnapshotBuilder tree = birth_case();
  in_exit_phase(tree);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "pipe-full-after-announce/until");
  EXPECT_EQ(diagnosis.findings[0].announced->fd, -1);
  EXPECT_THAT(diagnosis.findings[0].headline, HasSubstr("is on its way out but cannot exit"));
}

TEST(BirthCase, WithoutAnAnnouncementItIsAFullPipe) {
  EXPECT_EQ(rules_of(diagnose_tree(birth_case())), "pipe-full/until");
}

TEST(BirthCase, WithoutATimeOutItIsProven) {
  SnapshotBuilder tree = birth_case_without_waits();
  in_exit_phase(tree);
  tree.thread(4711).waits_for_child(4712).since(4s);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  EXPECT_EQ(rules_of(diagnosis), "pipe-full-after-announce/proven");
  EXPECT_FALSE(diagnosis.findings[0].resolves_in);
}

TEST(BirthCase, TheExactRemainingTimeWins) {
  SnapshotBuilder tree = birth_case();
  tree.thread(4711).runtime_deadline(650ms);
  EXPECT_EQ(diagnose_tree(tree).findings.at(0).resolves_in, 650ms);
  tree.thread(4711).remaining(640ms);
  EXPECT_EQ(diagnose_tree(tree).findings.at(0).resolves_in, 640ms);
}

TEST(BirthCase, Python2WithFramesIsAPollingWait) {
  SnapshotBuilder tree = birth_case_without_waits();
  in_exit_phase(tree);
  tree.thread(4711)
      .polls({})
      .timeout(50ms)
      .moved(4)
      .python("wait", "/usr/lib/python2.7/multiprocessing/forking.py", 166)
      .python("join", "/usr/lib/python2.7/multiprocessing/process.py", 148);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "pipe-full-after-announce/until");
  const model::Finding& finding = diagnosis.findings[0];
  EXPECT_FALSE(finding.resolves_in);
  EXPECT_THAT(finding.headline, HasSubstr("its own deadline, if it has one, is not visible"));
  EXPECT_THAT(all_text(finding), HasSubstr("asks again and again whether child process 4712"));
  tree.thread(4711).runtime_deadline(700ms);
  EXPECT_EQ(diagnose_tree(tree).findings.at(0).resolves_in, 700ms);
}

TEST(BirthCase, Python2WithoutFramesIsInferredAndSaysSo) {
  SnapshotBuilder tree = birth_case_without_waits();
  tree.thread(4711).polls({}).timeout(50ms).moved(4);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "pipe-full/likely");
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("inferred: thread 4711 only naps"));
}

TEST(BirthCase, ANapSeenOnlyOnceInfersNothing) {
  SnapshotBuilder tree = birth_case_without_waits();
  tree.thread(4711).polls({}).timeout(900ms).moved(1);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(BirthCase, ALoopThatWorksInfersNothing) {
  SnapshotBuilder tree = birth_case_without_waits();
  tree.thread(4711).polls({}).timeout(50ms).moved(4, 10);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(BirthCase, OneSampleIsNeverMoreThanLikely) {
  SnapshotBuilder tree = birth_case_without_waits();
  tree.thread(4711).waits_for_child(4712);
  const auto samples = tree.samples();
  const model::Diagnosis diagnosis = diagnose(samples.now, samples.now, nullptr, {});
  ASSERT_EQ(rules_of(diagnosis), "pipe-full/likely");
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("only one sample was taken"));
}

TEST(BirthCase, AYoungTimedStallIsNotReported) {
  SnapshotBuilder tree = birth_case();
  tree.thread(4713).since(300ms);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(BirthCase, ProgressOfTheWriterIsSlowNotStuck) {
  SnapshotBuilder tree = birth_case();
  tree.thread(4713).moved(3);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  EXPECT_EQ(rules_of(diagnosis), "");
  for (const auto& thread : diagnosis.threads) {
    if (thread.tid == base::Tid{4713}) {
      EXPECT_EQ(thread.verdict, model::ThreadVerdict::kSlow);
    }
  }
}

TEST(BirthCase, ARunningReaderFreesEverybody) {
  SnapshotBuilder tree = birth_case();
  tree.thread(4711).runs();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(BirthCase, AnUnseenHolderOrAnUnaskedPipeMakesItLikely) {
  SnapshotBuilder tree = birth_case_without_waits();
  tree.thread(4711).waits_for_child(4712);
  SnapshotBuilder unseen = tree;
  unseen.incomplete(kQueue, "3 processes of other users could not be read");
  ASSERT_EQ(rules_of(diagnose_tree(unseen)), "pipe-full/likely");
  EXPECT_THAT(all_text(diagnose_tree(unseen).findings[0]),
              HasSubstr("3 processes of other users could not be read"));
  SnapshotBuilder unasked = tree;
  unasked.unasked_pipe(kQueue);
  ASSERT_EQ(rules_of(diagnose_tree(unasked)), "pipe-full/likely");
  EXPECT_THAT(all_text(diagnose_tree(unasked).findings[0]), HasSubstr("no ptrace permission"));
}

TEST(BirthCase, AReaderWhoseWaitCannotBeReadIsNoFinding) {
  SnapshotBuilder tree = birth_case_without_waits();
  tree.thread(4711).waits_for_unknown("no ptrace permission");
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(BirthCase, AnAcceptingThreadInTheParentLeavesItLikely) {
  SnapshotBuilder threaded = birth_case_without_waits();
  threaded.thread(4711).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(threaded)), "") << "no circle: nobody waits for the child";
  // A worker thread of the parent waits for the child.
  SnapshotBuilder server;
  server.process(10, "server").thread(11).pipe(7, 3, FdMode::kRead);
  server.process(20, "job").child_of(10).pipe(7, 1, FdMode::kWrite);
  server.full_pipe(7);
  server.thread(10).accepts();
  server.thread(11).waits_for_child(20);
  server.thread(20).writes_pipe(7, 1).since(3s);
  const model::Diagnosis diagnosis = diagnose_tree(server);
  ASSERT_EQ(rules_of(diagnosis), "unread-output/likely");
  EXPECT_THAT(all_text(diagnosis.findings[0]),
              HasSubstr("thread 10 of process 10 could act too; it waits for any client"));
  server.thread(10).runs();
  EXPECT_EQ(rules_of(diagnose_tree(server)), "");
}

TEST(BirthCase, TheFeederOfTheParentWithConsumersGone) {
  SnapshotBuilder tree;
  tree.process(10, "python3").thread(11).pipe(7, 3, FdMode::kRead).pipe(7, 4, FdMode::kWrite);
  tree.full_pipe(7);
  tree.thread(10).waits_on_condition().python("_exit_function",
                                              "/usr/lib/python3.11/multiprocessing/util.py");
  tree.thread(11).name("QueueFeederThread").writes_pipe(7, 4, 70'000);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "pipe-full-after-announce/proven");
  EXPECT_THAT(diagnosis.findings[0].headline, HasSubstr("nobody but itself could drain"));
}

TEST(BirthCase, TheEvidenceAndVerdictsAreDeterministic) {
  const SnapshotBuilder tree = birth_case();
  const model::Diagnosis first = diagnose_tree(tree);
  const model::Diagnosis second = diagnose_tree(tree);
  ASSERT_EQ(first.findings.size(), second.findings.size());
  EXPECT_EQ(all_text(first.findings[0]), all_text(second.findings[0]));
  EXPECT_EQ(first.edges.size(), second.edges.size());
}

}  // namespace
}  // namespace stucktrace::diagnose
