#include "tracer/compare/thread_lines.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace stucktrace::compare {
namespace {

// Beyond these a trace is no text for people; both runs are cut at the same place.
constexpr std::size_t kMaxLines = 100'000;
constexpr std::size_t kMaxOutputLines = 1'000;
constexpr std::size_t kMaxUnfinished = 4'096;
constexpr std::size_t kMaxRun = 1'000;

constexpr std::string_view kWaits = "waits ";

}  // namespace

void ThreadLines::line(std::string text) {
  if (lines_.size() < kMaxLines) {
    lines_.push_back(std::move(text));
  } else if (lines_.size() == kMaxLines) {
    lines_.emplace_back("...");
  }
}

void ThreadLines::milestone(std::string text) {
  end_output();
  end_run();
  line(std::move(text));
}

void ThreadLines::wait(std::string step) {
  // That output had to wait for room is timing.
  if (!output_name_.empty() && step == fmt::format("{}{} write", kWaits, output_name_)) return;
  end_output();
  if (!any_.empty()) {
    if (after_.size() < kMaxRun) after_.insert(std::move(step));
  } else if (plain_.size() < kMaxRun && std::ranges::find(plain_, step) == plain_.end()) {
    plain_.push_back(std::move(step));
  }
}

void ThreadLines::wait_any(const std::vector<std::string>& steps) {
  if (steps.empty()) return;
  if (steps.size() == 1) return wait(steps.front());
  end_output();
  if (any_.size() < kMaxRun) any_.insert(steps.begin(), steps.end());
}

void ThreadLines::wait_set(const std::string& step) {
  end_output();
  any_.insert(step);
}

void ThreadLines::end_run() {
  for (std::string& step : plain_) line(std::move(step));
  plain_.clear();
  if (any_.size() == 1) {
    line(*any_.begin());
  } else if (!any_.empty()) {
    std::vector<std::string_view> names;
    for (const std::string& step : any_) {
      names.push_back(std::string_view{step}.substr(step.starts_with(kWaits) ? kWaits.size() : 0));
    }
    line(fmt::format("waits any of {}", fmt::join(names, ", ")));
  }
  for (const std::string& step : after_) {
    if (!any_.contains(step)) line(step);
  }
  any_.clear();
  after_.clear();
}

void ThreadLines::output_line(std::string_view text) {
  std::size_t& count = output_lines_[output_name_];
  if (++count <= kMaxOutputLines) {
    line(fmt::format("writes {} \"{}\"", output_name_, (*normalise_)(text)));
  } else if (count == kMaxOutputLines + 1) {
    line(fmt::format("writes {} more", output_name_));
  }
}

void ThreadLines::output(const std::string& name, std::string_view text, bool cut) {
  if (output_name_ != name) {
    end_output();
    end_run();
    output_name_ = name;
  }
  if (output_cut_) return;
  output_text_ += text;
  std::size_t start = 0;
  for (std::size_t end = 0; (end = output_text_.find('\n', start)) != std::string::npos;
       start = end + 1) {
    output_line(std::string_view{output_text_}.substr(start, end + 1 - start));
  }
  output_text_.erase(0, start);
  if (cut || output_text_.size() > kMaxUnfinished) {
    // How far the kept bytes reach depends on how the writes were split.
    output_text_.clear();
    output_cut_ = true;
    line(fmt::format("writes {} (more than is kept)", name));
  }
}

void ThreadLines::end_output() {
  if (!output_text_.empty()) output_line(output_text_);
  output_name_.clear();
  output_text_.clear();
  output_cut_ = false;
}

std::vector<std::string> ThreadLines::take() {
  end_output();
  end_run();
  return std::exchange(lines_, {});
}

}  // namespace stucktrace::compare
