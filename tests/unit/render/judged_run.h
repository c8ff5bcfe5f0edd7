#pragma once

#include <chrono>

#include "tracer/model/comparison.h"

namespace stucktrace::test {

// Two differences in one process, one that has come, an assertion that holds and one that does not.
inline model::Comparison comparison() {
  model::Comparison out;
  out.baseline = "/src/golden/build.golden";
  out.recording = "run.rec";
  model::Difference sort;
  sort.role = "P3";
  sort.title = "sort";
  sort.line = 27;
  sort.expected = {"writes a pipe to P4", "exits 0"};
  sort.got = {"killed by SIGPIPE"};
  model::Difference again = sort;
  again.line = 31;
  again.before = {"reads <a>"};
  again.got.clear();
  model::Difference added;
  added.role = "P5";
  added.title = "cat";
  added.got = {"exits 0"};
  added.section_added = true;
  out.differences = {sort, again, added};
  model::AssertionCheck holds;
  holds.text = "never connect";
  model::AssertionCheck fails;
  fails.text = "opens <= 2";
  fails.line = 9;
  fails.holds = false;
  fails.seen = "3 of them";
  fails.place = {std::chrono::milliseconds{12}, "P1", "openat(\"x\")"};
  fails.show = "open,openat";
  out.assertions = {holds, fails};
  return out;
}

}  // namespace stucktrace::test
