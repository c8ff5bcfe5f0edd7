#include "tracer/compare/thread_lines.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

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
    // That output had to wait for room is timing.
    if (!output_name_.empty() && step == fmt::format("{}{} write", kWaits, output_name_)) return;
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
      add(fmt::format("writes {} \"{}\"", output_name_, (*normalise_)(text)));
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

void ThreadLines::add(Step step) {
  if (step.kind != Kind::kWait) waited_.clear();
  if (steps_.size() < kMaxSteps) steps_.push_back(std::move(step));
}

void ThreadLines::milestone(std::string line) {
  add({Kind::kMilestone, std::move(line), {}, {}, 0, false, false});
}

void ThreadLines::program(std::string line) {
  add({Kind::kProgram, std::move(line), {}, {}, 0, false, false});
}

void ThreadLines::wait(std::string step) {
  if (!waited_.insert(step).second) return;
  add({Kind::kWait, std::move(step), {}, {}, 0, false, false});
}

void ThreadLines::wait_any(std::vector<std::string> steps) {
  if (steps.empty()) return;
  if (steps.size() == 1) return wait(std::move(steps.front()));
  if (!steps_.empty() && steps_.back().items == steps) return;
  add({Kind::kWaitAny, {}, std::move(steps), {}, 0, false, false});
}

void ThreadLines::wait_set(std::string step) {
  if (!steps_.empty() && steps_.back().items == std::vector{step}) return;
  add({Kind::kWaitAny, {}, {std::move(step)}, {}, 0, false, false});
}

void ThreadLines::output(const std::string& name, const Output& written) {
  if (steps_.empty() || steps_.back().kind != Kind::kOutput || steps_.back().text != name) {
    add({Kind::kOutput, name, {}, {}, 0, false, false});
  }
  if (steps_.back().kind != Kind::kOutput) return;  // full
  Step& step = steps_.back();
  step.size += written.size;
  step.cut = step.cut || written.cut;
  step.block = step.block || written.block;
  // A cut step has no text in the end.
  if (step.cut) {
    step.bytes = std::string{};
  } else {
    step.bytes += written.text;
  }
}

std::unordered_set<std::string> ThreadLines::opaque_names(std::size_t first,
                                                          std::size_t last) const {
  struct Sum {
    std::uint64_t size = 0;
    bool cut = false;
    bool block = false;
  };
  std::map<std::string_view, Sum> sums;
  for (std::size_t index = first; index < last; ++index) {
    const Step& step = steps_[index];
    if (step.kind != Kind::kOutput) continue;
    Sum& sum = sums[step.text];
    sum.size += step.size;
    sum.cut = sum.cut || step.cut;
    sum.block = sum.block || step.block;
  }
  std::unordered_set<std::string> opaque;
  for (const auto& [name, sum] : sums) {
    if (sum.cut || (sum.block && sum.size > kMaxBlocks)) opaque.emplace(name);
  }
  return opaque;
}

std::vector<std::string> ThreadLines::take(const Normaliser& normalise) const {
  Assembly assembly{normalise};
  for (std::size_t first = 0; first < steps_.size();) {
    std::size_t last = first + 1;
    while (last < steps_.size() && steps_[last].kind != Kind::kProgram) ++last;
    const auto opaque = opaque_names(first, last);
    for (; first < last; ++first) {
      const Step& step = steps_[first];
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
          if (opaque.contains(step.text)) {
            assembly.wait(fmt::format("writes {} (not line by line)", step.text));
          } else {
            assembly.output(step.text, step.bytes);
          }
          break;
      }
    }
  }
  return assembly.take();
}

}  // namespace stucktrace::compare
