#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "tracer/compare/normalise.h"

namespace stucktrace::compare {

// The canonical lines of one thread, built in its own order. Three kinds of steps:
//
// *Milestones* (a task or a pipe made, a program executed) are kept as they come.
//
// *Waits* depend on timing in number and, where several things are waited for at once, in order: a
// read comes in other pieces, a loop polls more often. Between two milestones each wait is kept
// once, where it came first. Once a thread waits for any of several things, that is one line with
// all of them, and what it does about each is no line of its own.
//
// *Output* is joined and split by lines, each of which is a milestone. A program that passes on
// blocks of bytes writes them as they happened to come, and not all of them are kept: what such a
// thread writes there is one wait without text.
class ThreadLines {
 public:
  void milestone(std::string line);
  // As milestone(); another program runs from here on.
  void program(std::string line);
  // "waits P1:pipe#1 read".
  void wait(std::string step);
  // "waits any of ..."; `steps` as for wait(). One is a plain wait, none is nothing.
  void wait_any(std::vector<std::string> steps);
  // Like wait_any, for an epoll set, whose members are not known.
  void wait_set(std::string step);

  struct Output {
    std::string_view text;   // what the call wrote, as far as it was kept
    std::uint64_t size = 0;  // how much it wrote
    bool cut = false;        // not all of what the call was given was kept
    bool block = false;      // what it was given is not one line
  };
  void output(const std::string& name, const Output& written);

  std::vector<std::string> take(const Normaliser& normalise) const;

 private:
  enum class Kind { kMilestone, kProgram, kWait, kWaitAny, kOutput };
  struct Step {
    Kind kind{};
    std::string text;                // the line, the wait, or the name written to
    std::vector<std::string> items;  // kWaitAny
    std::string bytes;               // kOutput: joined
  };
  struct Sum {
    std::uint64_t size = 0;
    bool cut = false;
    bool block = false;
    std::size_t lines = 0;  // whole ones, kept in steps
  };

  void add(Step step);
  void add_any(std::vector<std::string> steps);
  // True if there was room for them.
  bool add_output(const std::string& name, std::string_view bytes);
  void fold_again();

  std::vector<Step> steps_;
  // Of the programs before, by name written to: whole lines kept.
  std::map<std::string, std::size_t, std::less<>> lines_before_;
  // Of the run of waits since the last step of another kind:
  std::unordered_set<std::string> waited_;  // plain waits, since the first for any of several
  std::unordered_set<std::string> any_;     // what those wait for
  // Of the program that runs:
  std::size_t first_ = 0;  // step
  std::map<std::string, Sum, std::less<>> sums_;
  std::unordered_set<std::string> opaque_;  // has no text
};

}  // namespace stucktrace::compare
