#pragma once

#include "tests/unit/render/birth_case.h"

namespace stucktrace::test {

// What a program may call itself, or print, to break out of a format.
inline constexpr const char* kHostile =
    "a\n::error::x\x01\x1b[31m\xff\xef\xbf\xbe]]></failure></script></details>\n```\n<b>&\"'`|*%0A "
    "https://evil.example/ www.evil.example a@evil.example";

// The birth case with hostile text wherever a tracee has a say.
inline model::Report hostile_report() {
  model::Report report = birth_report();
  auto snapshot = std::make_shared<model::Snapshot>(*report.snapshot);
  for (model::Process& process : snapshot->processes) {
    process.comm = kHostile;
    process.argv = {kHostile, kHostile};
    for (model::Thread& thread : process.threads) {
      thread.comm = kHostile;
      thread.name = kHostile;
      thread.python = {{kHostile, "/src/" + std::string(kHostile), 7}};
    }
  }
  report.snapshot = snapshot;
  model::Finding& finding = report.diagnosis.findings.front();
  finding.rule = kHostile;
  finding.headline = kHostile;
  finding.remedy = kHostile;
  finding.explanation = {kHostile};
  for (model::ChainLink& link : finding.chain) {
    link.who = kHostile;
    link.what = kHostile;
    link.on = kHostile;
    link.frames = {kHostile};
  }
  for (model::Edge& edge : report.diagnosis.edges) edge.why = kHostile;
  report.could_not_see = {kHostile};
  report.history.clear();
  return report;
}

}  // namespace stucktrace::test
