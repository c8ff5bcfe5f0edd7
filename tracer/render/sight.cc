#include "tracer/render/sight.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <variant>

#include "tracer/base/text.h"

namespace stucktrace::render {
namespace {

using model::Report;

// A sentence about one process, taken apart: "... before " "12 (name)" " was read".
struct Sentence {
  std::string before;
  std::string subject;  // "" it is about no process
  std::string after;
};

Sentence parse(const std::string& text) {
  constexpr std::string_view kWord = "process ";
  const std::size_t word = text.find(kWord);
  if (word == text.npos) return {text, "", ""};
  const std::size_t begin = word + kWord.size();
  std::size_t end = text.find_first_not_of("0123456789", begin);
  if (end == text.npos) end = text.size();
  if (end == begin) return {text, "", ""};
  if (text.compare(end, 2, " (") == 0) {
    // A name may hold brackets of its own; a wrong guess only splits a group.
    const std::size_t close = std::min(text.find(") ", end), text.find("):", end));
    if (close == text.npos) return {text, "", ""};
    end = close + 1;
  }
  return {text.substr(0, word), text.substr(begin, end - begin), text.substr(end)};
}

std::string subjects_text(const std::vector<std::string>& subjects) {
  constexpr std::size_t kShown = 4;
  if (subjects.size() == 1) return "process " + subjects.front();
  std::string text = fmt::format("each of {} processes (", subjects.size());
  for (std::size_t i = 0; i < std::min(kShown, subjects.size()); ++i) {
    text += (i == 0 ? "" : ", ") + subjects[i];
  }
  if (subjects.size() > kShown) text += fmt::format(" and {} more", subjects.size() - kShown);
  return text + ")";
}

std::string subject_of(const model::Process& process) {
  return fmt::format("{} ({})", process.pid, base::escape_text(process.comm, 64));
}

// What single facts of the snapshot say about themselves: "unknown, because".
class Gaps {
 public:
  explicit Gaps(const model::Snapshot& snapshot) : snapshot_(snapshot) {}

  std::vector<std::string> sentences() {
    for (const model::Process& process : snapshot_.processes) {
      for (const model::Thread& thread : process.threads) add_thread(process, thread);
    }
    std::vector<std::string> lines;
    for (const auto& [because, gap] : calls_) {
      lines.push_back(fmt::format("the system calls of {} thread{} of {} could not be read: {}",
                                  gap.threads, gap.threads == 1 ? "" : "s",
                                  subjects_of(gap.subjects), because));
    }
    for (const auto& [because, ids] : states_) {
      std::vector<std::string> names;
      for (const model::ResourceId& id : ids) names.push_back(to_string(id));
      lines.push_back(fmt::format("whether {} {} full or readable: {}", list(names),
                                  names.size() == 1 ? "is" : "are", because));
    }
    return lines;
  }

 private:
  struct Calls {
    std::size_t threads = 0;
    std::vector<std::string> subjects;
  };

  static std::string list(const std::vector<std::string>& names) {
    constexpr std::size_t kShown = 4;
    std::string text;
    for (std::size_t i = 0; i < std::min(kShown, names.size()); ++i) {
      text += (i == 0 ? "" : ", ") + names[i];
    }
    if (names.size() > kShown) text += fmt::format(" and {} more", names.size() - kShown);
    return text;
  }

  static std::string subjects_of(const std::vector<std::string>& subjects) {
    return fmt::format("process{} {}", subjects.size() == 1 ? "" : "es", list(subjects));
  }

  void add_thread(const model::Process& process, const model::Thread& thread) {
    const bool ended = thread.state == 'Z' || thread.state == 'X' || thread.state == 'x';
    const bool moves = thread.wait.kind == model::WaitKind::kRunning;
    // A process whose descriptors were refused has its own sentence, which covers this.
    if (process.fds && !ended && !moves && !thread.syscall) {
      Calls& gap = calls_[thread.syscall.error().because];
      ++gap.threads;
      std::string subject = subject_of(process);
      if (gap.subjects.empty() || gap.subjects.back() != subject) {
        gap.subjects.push_back(std::move(subject));
      }
    }
    if (!process.in_tree) return;
    for (const model::WaitOn& on : thread.wait.on) {
      if (const auto* end = std::get_if<model::OnFd>(&on)) add_end(*end);
    }
  }

  // Of a pipe written to it matters whether it is full, of one read whether there is something.
  void add_end(const model::OnFd& on) {
    const bool pipe = on.resource.kind == model::ResourceKind::kPipe ||
                      on.resource.kind == model::ResourceKind::kFifo;
    const auto found = snapshot_.resources.find(on.resource);
    if (!pipe || found == snapshot_.resources.end()) return;
    const auto& fact =
        on.direction == model::FdMode::kWrite ? found->second.full : found->second.readable;
    if (!fact) states_[fact.error().because].insert(on.resource);
  }

  const model::Snapshot& snapshot_;
  std::map<std::string, Calls> calls_;
  std::map<std::string, std::set<model::ResourceId>> states_;
};

}  // namespace

std::vector<std::string> unseen_sentences(const Report& report) {
  std::vector<std::string> all = report.could_not_see;
  if (report.snapshot) {
    const auto& more = report.snapshot->could_not_see;
    all.insert(all.end(), more.begin(), more.end());
    const std::vector<std::string> gaps = Gaps(*report.snapshot).sentences();
    all.insert(all.end(), gaps.begin(), gaps.end());
  }
  using Shape = std::pair<std::string, std::string>;  // before and after the process
  std::vector<std::pair<Shape, std::vector<std::string>>> groups;
  std::map<Shape, std::size_t> index;
  std::set<std::string> told;
  for (const std::string& each : all) {
    if (!told.insert(each).second) continue;
    Sentence sentence = parse(each);
    Shape shape{std::move(sentence.before), std::move(sentence.after)};
    const auto [at, fresh] = index.try_emplace(shape, groups.size());
    if (fresh) groups.emplace_back(std::move(shape), std::vector<std::string>{});
    if (!sentence.subject.empty()) {
      groups[at->second].second.push_back(std::move(sentence.subject));
    }
  }
  std::vector<std::string> lines;
  for (const auto& [shape, subjects] : groups) {
    lines.push_back(shape.first + (subjects.empty() ? "" : subjects_text(subjects)) + shape.second);
  }
  return lines;
}

}  // namespace stucktrace::render
