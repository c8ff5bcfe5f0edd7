#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/support/snapshot_builder.h"
#include "tracer/diagnose/diagnose.h"

namespace stucktrace::diagnose {

using namespace std::chrono_literals;
using model::Certainty;
using model::FdMode;
using test::on_pipe;
using test::SnapshotBuilder;

inline model::Diagnosis diagnose_tree(const SnapshotBuilder& tree, base::Nanoseconds gap = 200ms) {
  const auto [before, now] = tree.samples(gap);
  return diagnose(before, now, nullptr, {});
}

inline std::string rules_of(const model::Diagnosis& diagnosis) {
  std::string rules;
  for (const model::Finding& finding : diagnosis.findings) {
    if (!rules.empty()) rules += " ";
    rules += finding.rule + "/" + std::string(to_string(finding.certainty));
  }
  return rules;
}

inline std::string all_text(const model::Finding& finding) {
  std::string text = finding.headline + "\n";
  for (const auto& link : finding.chain) text += link.who + " " + link.what + " " + link.on + "\n";
  for (const auto& line : finding.explanation) text += line + "\n";
  for (const auto& line : finding.evidence) text += line + "\n";
  return text + finding.remedy + "\n";
}

// The case the tool was made for: P (4711) joins S (4712), S's main thread joins its feeder (4713),
// the feeder writes to a pipe that only P reads. S holds the read end too, and the sentinel's only
// write end.
constexpr std::uint64_t kQueue = 25725;
constexpr std::uint64_t kSentinel = 25800;

inline SnapshotBuilder birth_case_without_waits() {
  SnapshotBuilder tree;
  tree.process(4711, "python3")
      .role("P1")
      .pipe(kQueue, 3, FdMode::kRead)
      .pipe(kQueue, 4, FdMode::kWrite)
      .pipe(kSentinel, 5, FdMode::kRead);
  tree.process(4712, "python3")
      .role("P2")
      .child_of(4711)
      .thread(4713, "python3")
      .pipe(kQueue, 3, FdMode::kRead)
      .pipe(kQueue, 4, FdMode::kWrite)
      .pipe(kSentinel, 6, FdMode::kWrite);
  tree.full_pipe(kQueue);
  tree.thread(4712).waits_on_condition(0x2000).since(4200ms);
  tree.thread(4713).name("QueueFeederThread").writes_pipe(kQueue, 4, 200'009).since(4200ms);
  return tree;
}

inline SnapshotBuilder birth_case() {
  SnapshotBuilder tree = birth_case_without_waits();
  tree.thread(4711).polls({on_pipe(kSentinel, 5, FdMode::kRead)}).timeout(5s).since(4200ms);
  return tree;
}

}  // namespace stucktrace::diagnose
