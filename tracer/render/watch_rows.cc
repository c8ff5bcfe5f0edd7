#include "tracer/render/watch_rows.h"

#include <algorithm>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

WatchRow row_of(const WatchThread& thread) {
  WatchRow row;
  row.thread = &thread;
  row.wait = thread.wait;
  row.mood = thread.mood;
  row.since = thread.since;
  row.at_least = thread.at_least;
  return row;
}

void keep_longest(WatchRow& row, const WatchThread& thread) {
  if (!thread.since || (row.since && *row.since >= *thread.since)) return;
  row.since = thread.since;
  row.at_least = thread.at_least;
}

// A process with its threads; `children` are indexes into the forest.
struct Node {
  std::span<const WatchThread> threads;  // main thread first, unless it is unknown
  std::vector<std::size_t> children;
  bool is_child = false;
};

class Forest {
 public:
  Forest(const std::vector<WatchThread>& threads, const WatchFolding& folding) : folding_(folding) {
    std::map<base::Pid, std::size_t> index;
    for (std::size_t begin = 0; begin < threads.size();) {
      std::size_t end = begin + 1;
      while (end < threads.size() && threads[end].pid == threads[begin].pid) ++end;
      index.emplace(threads[begin].pid, nodes_.size());
      nodes_.push_back({std::span(threads).subspan(begin, end - begin), {}, false});
      begin = end;
    }
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const auto parent = index.find(nodes_[i].threads[0].parent);
      if (parent == index.end() || parent->second == i) continue;
      nodes_[parent->second].children.push_back(i);
      nodes_[i].is_child = true;
    }
    const auto age = [this](std::size_t i) {
      return std::pair{nodes_[i].threads[0].started, nodes_[i].threads[0].pid};
    };
    for (Node& node : nodes_) std::ranges::sort(node.children, {}, age);
  }

  std::vector<WatchRow> tree() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (!nodes_[i].is_child) add_tree(i);
    }
    // A pid that was given anew while we looked could close a circle of parents; nobody is lost.
    for (std::size_t i = 0; i < nodes_.size(); ++i) add_tree(i);
    return std::move(rows_);
  }

  // The same rows without the tree's order. Folding hides threads only: nothing is below a row.
  std::vector<WatchRow> flat() {
    for (const Node& node : nodes_) {
      rows_.push_back(head(node));
      if (folding_.processes.contains(node.threads[0].pid)) {
        hide(node, rows_.back());
        continue;
      }
      std::ranges::move(further(node), std::back_inserter(rows_));
    }
    return std::move(rows_);
  }

 private:
  static WatchRow head(const Node& node) { return row_of(node.threads[0]); }

  // The rows of a process's further threads, folded where they wait alike: for the same thing, or
  // each for a thing of its own but of the same kind.
  std::vector<WatchRow> further(const Node& node) const {
    const auto own = node.threads.subspan(1);
    const auto foldable = [this](const WatchThread& thread) {
      return folding_.equal_waits && thread.mood != WatchMood::kGone;
    };
    using Alike = std::tuple<WatchMood, std::string>;
    std::map<Alike, std::size_t> together;
    for (const WatchThread& thread : own) {
      if (foldable(thread)) ++together[{thread.mood, thread.wait}];
    }
    std::map<Alike, std::size_t> groups;
    std::vector<WatchRow> rows;
    for (const WatchThread& thread : own) {
      if (foldable(thread)) {
        // What is stuck is never lumped together with what is stuck otherwise.
        const bool same =
            thread.mood == WatchMood::kStuck || together[{thread.mood, thread.wait}] > 1;
        const std::string what = same ? thread.wait : thread.word + ", each its own";
        const auto [at, fresh] = groups.try_emplace({thread.mood, what}, rows.size());
        if (!fresh) {
          WatchRow& row = rows[at->second];
          ++row.alike;
          row.wait = what;
          keep_longest(row, thread);
          continue;
        }
      }
      rows.push_back(row_of(thread));
    }
    return rows;
  }

  static void hide(const Node& node, WatchRow& row) {
    row.folded = true;
    for (const WatchThread& thread : node.threads.subspan(1)) {
      ++row.hidden_threads;
      row.mood = std::min(row.mood, thread.mood);
    }
  }

  // Without recursion: a hostile chain of children is as deep as the limit of processes.
  void hide_below(std::size_t index, WatchRow& row) {
    for (std::vector<std::size_t> open{index}; !open.empty();) {
      const std::size_t at = open.back();
      open.pop_back();
      for (const std::size_t child : nodes_[at].children) {
        if (!visited_.insert(child).second) continue;
        ++row.hidden_processes;
        ++row.hidden_threads;  // its main thread
        row.mood = std::min(row.mood, nodes_[child].threads[0].mood);
        hide(nodes_[child], row);
        open.push_back(child);
      }
    }
  }

  void add_tree(std::size_t root) {
    // `lead` stands before the process's own row, `below` before all under it.
    struct Step {
      std::size_t index;
      std::string lead;
      std::string below;
    };
    constexpr std::size_t kDeepest = 64;  // columns are cut long before
    for (std::vector<Step> steps{{root, "", ""}}; !steps.empty();) {
      const Step step = std::move(steps.back());
      steps.pop_back();
      if (!visited_.insert(step.index).second) continue;
      const Node& node = nodes_[step.index];
      rows_.push_back(head(node));
      rows_.back().branch = step.lead;
      if (folding_.processes.contains(node.threads[0].pid)) {
        hide(node, rows_.back());
        hide_below(step.index, rows_.back());
        continue;
      }
      std::vector<WatchRow> threads = further(node);
      const std::size_t under = threads.size() + node.children.size();
      std::size_t place = 0;
      for (WatchRow& row : threads) {
        row.branch = step.below + (++place == under ? "└─" : "├─");
        rows_.push_back(std::move(row));
      }
      const bool deep = columns(step.below) >= 2 * kDeepest;
      for (std::size_t i = node.children.size(); i-- > 0;) {
        const bool last = i + 1 == node.children.size();
        const std::string more = deep ? "" : last ? "  " : "│ ";
        steps.push_back({node.children[i], step.below + (last ? "└─" : "├─"), step.below + more});
      }
    }
  }

  const WatchFolding& folding_;
  std::vector<Node> nodes_;
  std::set<std::size_t> visited_;
  std::vector<WatchRow> rows_;
};

}  // namespace

std::string_view to_string(WatchSort sort) {
  switch (sort) {
    case WatchSort::kTree:
      return "tree";
    case WatchSort::kStuckFirst:
      return "stuck first";
    case WatchSort::kLongestWait:
      return "longest wait";
  }
  return "tree";
}

std::vector<WatchRow> watch_rows(const std::vector<WatchThread>& threads, WatchSort sort,
                                 const WatchFolding& folding) {
  Forest forest(threads, folding);
  if (sort == WatchSort::kTree) return forest.tree();
  std::vector<WatchRow> rows = forest.flat();
  const auto waited = [](const WatchRow& row) {
    return -row.since.value_or(base::Nanoseconds{-1});
  };
  if (sort == WatchSort::kStuckFirst) {
    std::ranges::stable_sort(rows, {},
                             [&](const WatchRow& row) { return std::pair{row.mood, waited(row)}; });
  } else {
    std::ranges::stable_sort(rows, {}, waited);
  }
  return rows;
}

}  // namespace stucktrace::render
