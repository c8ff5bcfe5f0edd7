#include "tracer/compare/thread_lines.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "tracer/compare/path_text.h"

namespace stucktrace::compare {
namespace {

// Beyond these a trace is no text for people; both runs are cut at the same place.
constexpr std::size_t kMaxSteps = 400'000;
constexpr std::size_t kMaxLines = 100'000;
constexpr std::size_t kMaxOutputLines = 1'000;
constexpr std::size_t kMaxRun = 1'000;
// What is written in blocks and is larger than this has no text.
constexpr std::uint64_t kMaxBlocks = 4'096;

constexpr std::string_view kWaits = "waits ";

std::string without_text(std::string_view name) {
  return fmt::format("writes {} (not line by line)", name);
}

// Steps in, lines out.
class Assembly {
 public:
  explicit Assembly(const Normaliser& normalise) : normalise_(&normalise) {}

  void milestone(std::string line) {
    end_run();
    end_output();
    add(std::move(line));
  }

  void wait(const std::string& step) {
    end_output();
    if (!any_.empty()) {
      if (after_.size() < kMaxRun) after_.insert(step);
    } else if (plain_.size() < kMaxRun && std::ranges::find(plain_, step) == plain_.end()) {
      plain_.push_back(step);
    }
  }

  void wait_any(const std::vector<std::string>& steps) {
    end_output();
    if (any_.size() < kMaxRun) any_.insert(steps.begin(), steps.end());
  }

  void output(const std::string& name, std::string_view text) {
    if (output_name_ != name) {
      end_output();
      end_run();
      output_name_ = name;
    }
    output_text_ += text;
    std::size_t start = 0;
    for (std::size_t end = 0; (end = output_text_.find('\n', start)) != std::string::npos;
         start = end + 1) {
      output_line(std::string_view{output_text_}.substr(start, end + 1 - start));
    }
    output_text_.erase(0, start);
  }

  std::vector<std::string> take() {
    end_run();
    end_output();
    return std::move(lines_);
  }

 private:
  void add(std::string line) {
    if (lines_.size() < kMaxLines) {
      lines_.push_back(std::move(line));
    } else if (lines_.size() == kMaxLines) {
      lines_.emplace_back("...");
    }
  }

  void end_run() {
    for (std::string& step : plain_) add(std::move(step));
    plain_.clear();
    if (any_.size() == 1) {
      add(*any_.begin());
    } else if (!any_.empty()) {
      std::vector<std::string_view> names;
      for (const std::string& step : any_) {
        names.push_back(
            std::string_view{step}.substr(step.starts_with(kWaits) ? kWaits.size() : 0));
      }
      add(fmt::format("waits any of {}", fmt::join(names, ", ")));
    }
    for (const std::string& step : after_) {
      if (!any_.contains(step)) add(step);
    }
    any_.clear();
    after_.clear();
  }

  void output_line(std::string_view text) {
    std::size_t& count = output_lines_[output_name_];
    if (++count <= kMaxOutputLines) {
      add(fmt::format("writes {} {}", output_name_, quoted((*normalise_)(text))));
    } else if (count == kMaxOutputLines + 1) {
      add(fmt::format("writes {} more", output_name_));
    }
  }

  void end_output() {
    if (!output_text_.empty()) output_line(output_text_);
    output_name_.clear();
    output_text_.clear();
  }

  const Normaliser* normalise_;
  std::vector<std::string> lines_;

  // The run of waits since the last milestone.
  std::vector<std::string> plain_;  // in order, up to the first wait for any of several
  std::set<std::string> any_;       // what those wait for, together
  std::set<std::string> after_;     // waits from then on

  std::string output_name_;  // "" none pending
  std::string output_text_;  // the unfinished line
  std::map<std::string, std::size_t> output_lines_;
};

}  // namespace

// Equal turns of a loop are folded as they come: how many there were is timing, and must not decide
// where two runs are cut.
void ThreadLines::add(Step step) {
  if (step.kind == Kind::kWaitAny) {
    if (any_.empty()) waited_.clear();
    any_.insert(step.items.begin(), step.items.end());
  } else if (step.kind != Kind::kWait) {
    waited_.clear();
    any_.clear();
  }
  if (steps_.size() < kMaxSteps) steps_.push_back(std::move(step));
}

void ThreadLines::milestone(std::string line) {
  add({Kind::kMilestone, std::move(line), {}, {}});
}

void ThreadLines::program(std::string line) {
  add({Kind::kProgram, std::move(line), {}, {}});
  first_ = steps_.size();
  for (const auto& [name, sum] : sums_) lines_before_[name] += sum.lines;
  sums_.clear();
  opaque_.clear();
}

void ThreadLines::wait(std::string step) {
  // That output had to wait for room is timing.
  if (!steps_.empty() && steps_.back().kind == Kind::kOutput &&
      step == fmt::format("{}{} write", kWaits, steps_.back().text)) {
    return;
  }
  if (!waited_.insert(step).second) return;
  add({Kind::kWait, std::move(step), {}, {}});
}

void ThreadLines::wait_any(std::vector<std::string> steps) {
  if (steps.empty()) return;
  if (steps.size() == 1) return wait(std::move(steps.front()));
  add_any(std::move(steps));
}

void ThreadLines::wait_set(std::string step) {
  add_any({std::move(step)});
}

void ThreadLines::add_any(std::vector<std::string> steps) {
  if (std::ranges::all_of(steps, [&](const auto& step) { return any_.contains(step); })) return;
  add({Kind::kWaitAny, {}, std::move(steps), {}});
}

void ThreadLines::output(const std::string& name, const Output& written) {
  if (!opaque_.contains(name)) {
    Sum& sum = sums_[name];
    sum.size += written.size;
    sum.cut = sum.cut || written.cut;
    sum.block = sum.block || written.block;
    if (!sum.cut && (!sum.block || sum.size <= kMaxBlocks)) {
      // Lines beyond those that are shown need no text.
      const bool shown = lines_before_[name] + sum.lines <= kMaxOutputLines;
      const std::string_view text = shown ? written.text : std::string_view{};
      if (add_output(name, text)) {
        sum.lines += static_cast<std::size_t>(std::ranges::count(text, '\n'));
      }
      return;
    }
    // Neither has what this program wrote there before.
    opaque_.insert(name);
    sum.lines = 0;
    fold_again();
  }
  wait(without_text(name));
}

bool ThreadLines::add_output(const std::string& name, std::string_view bytes) {
  if (steps_.empty() || steps_.back().kind != Kind::kOutput || steps_.back().text != name) {
    add({Kind::kOutput, name, {}, {}});
  }
  if (steps_.back().kind != Kind::kOutput || steps_.back().text != name) return false;  // full
  steps_.back().bytes += bytes;
  return true;
}

void ThreadLines::fold_again() {
  const auto start = steps_.begin() + static_cast<std::ptrdiff_t>(std::min(first_, steps_.size()));
  std::vector<Step> steps{std::make_move_iterator(start), std::make_move_iterator(steps_.end())};
  steps_.erase(start, steps_.end());
  waited_.clear();
  any_.clear();
  for (Step& step : steps) {
    switch (step.kind) {
      case Kind::kMilestone:
      case Kind::kProgram:
        add(std::move(step));
        break;
      case Kind::kWait:
        wait(std::move(step.text));
        break;
      case Kind::kWaitAny:
        add_any(std::move(step.items));
        break;
      case Kind::kOutput:
        if (opaque_.contains(step.text)) {
          wait(without_text(step.text));
        } else {
          add_output(step.text, step.bytes);
        }
        break;
    }
  }
}

std::vector<std::string> ThreadLines::take(const Normaliser& normalise) const {
  Assembly assembly{normalise};
  for (const Step& step : steps_) {
    switch (step.kind) {
      case Kind::kMilestone:
      case Kind::kProgram:
        assembly.milestone(step.text);
        break;
      case Kind::kWait:
        assembly.wait(step.text);
        break;
      case Kind::kWaitAny:
        assembly.wait_any(step.items);
        break;
      case Kind::kOutput:
        assembly.output(step.text, step.bytes);
        break;
    }
  }
  return assembly.take();
}

}  // namespace stucktrace::compare
