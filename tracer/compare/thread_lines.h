#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/compare/normalise.h"

namespace stucktrace::compare {

// The canonical lines of one thread, built in its own order. Two kinds of steps:
//
// *Milestones* (a task or a pipe made, a program executed, a line of output) are kept as they come.
//
// *Waits* depend on timing in number and, where several things are waited for at once, in order: a
// read comes in other pieces, a loop polls more often. Between two milestones each wait is kept
// once, where it came first. Once a thread waits for any of several things, that is one line with
// all of them, and what it does about each is no line of its own.
class ThreadLines {
 public:
  // `normalise` must outlive this.
  explicit ThreadLines(const Normaliser& normalise) : normalise_(&normalise) {}

  void milestone(std::string line);
  // "waits P1:pipe#1 read".
  void wait(std::string step);
  // "waits any of ..."; `steps` as for wait(). One is a plain wait, none is nothing.
  void wait_any(const std::vector<std::string>& steps);
  // Like wait_any, for an epoll set, whose members are not known.
  void wait_set(const std::string& step);
  // `text` was written to `name`. `cut`: not all of it was kept, so that lines cannot be told.
  void output(const std::string& name, std::string_view text, bool cut);

  // Everything so far; ends what is pending.
  std::vector<std::string> take();

 private:
  void end_run();
  void end_output();
  void line(std::string text);
  void output_line(std::string_view text);

  const Normaliser* normalise_;
  std::vector<std::string> lines_;

  // The run of waits since the last milestone.
  std::vector<std::string> plain_;  // in order, up to the first wait for any of several
  std::set<std::string> any_;       // what those wait for, together
  std::set<std::string> after_;     // waits from then on

  std::string output_name_;  // "" none pending
  std::string output_text_;  // the unfinished line
  bool output_cut_ = false;
  std::map<std::string, std::size_t> output_lines_;  // per name
};

}  // namespace stucktrace::compare
