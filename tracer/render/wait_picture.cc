#include "tracer/render/wait_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "tracer/base/text.h"
#include "tracer/render/finding_scope.h"
#include "tracer/render/thread_groups.h"
#include "tracer/render/wait_text.h"

namespace stucktrace::render {
namespace {

using base::Tid;

class Drawer {
 public:
  Drawer(const model::Report& report, std::size_t most) : report_(report), most_(most) {}

  WaitPicture draw() {
    choose();
    std::map<base::Pid, std::vector<PictureNode>> by_process;
    for (const Tid tid : chosen_) {
      PictureNode each = node(tid);
      by_process[each.pid].push_back(std::move(each));
    }
    for (auto& [pid, nodes] : by_process) {
      PictureProcess process{pid, name_of(pid), {}};
      for (PictureNode& each : nodes) {
        process.threads.push_back(each.tid);
        picture_.nodes.push_back(std::move(each));
      }
      picture_.processes.push_back(std::move(process));
    }
    connect();
    return std::move(picture_);
  }

 private:
  // The findings' chains first, then who is behind them, then who else could release them.
  void choose() {
    const std::vector<Told> findings = told_findings(report_);
    for (const Told& told : findings) {
      for (const model::ChainLink& link : told.finding->chain) {
        links_.try_emplace(link.tid, &link);
        add(link.tid);
      }
      add(told.finding->tid);
      const auto& cycle = told.finding->cycle;
      for (std::size_t i = 0; i < cycle.size(); ++i) {
        circle_.insert({cycle[i], cycle[(i + 1) % cycle.size()]});
        in_cycle_.insert(cycle[i]);
      }
    }
    for (const Told& told : findings) {
      for (const Tid tid : told.finding->also_blocked) add(tid);
    }
    const std::set<Tid> stuck = chosen_;
    for (const model::Edge& edge : report_.diagnosis.edges) {
      if (!stuck.contains(edge.from)) continue;
      for (const Tid tid : edge.to) add(tid);
    }
    for (const model::ThreadAssessment& each : report_.diagnosis.threads) {
      if (each.verdict == model::ThreadVerdict::kStuck) stuck_.insert(each.tid);
    }
  }

  void add(Tid tid) {
    if (!tid || chosen_.contains(tid)) return;
    if (chosen_.size() < most_) {
      chosen_.insert(tid);
    } else {
      left_out_.insert(tid);
      picture_.left_out = left_out_.size();
    }
  }

  PictureNode node(Tid tid) const {
    PictureNode out;
    out.tid = tid;
    const auto link = links_.find(tid);
    Member member;
    member.thread =
        report_.snapshot ? report_.snapshot->find_thread(tid, &member.process) : nullptr;
    if (member.thread != nullptr) {
      out.pid = member.process->pid;
      out.name = thread_label(member);
    } else {
      out.pid = link != links_.end() ? link->second->pid : base::Pid{tid.value()};
      out.name = fmt::format("thread {}", tid);
    }
    if (link != links_.end()) {
      out.what = link->second->what;
      if (!link->second->on.empty()) out.what += " on " + link->second->on;
    } else if (member.thread != nullptr) {
      out.what = wait_text(*member.thread);
    }
    out.in_cycle = in_cycle_.contains(tid);
    out.stuck = stuck_.contains(tid) || link != links_.end();
    return out;
  }

  std::string name_of(base::Pid pid) const {
    const model::Process* process = report_.snapshot ? report_.snapshot->find(pid) : nullptr;
    return process != nullptr ? process_label(*process) : fmt::format("process {}", pid);
  }

  void connect() {
    std::map<std::pair<Tid, Tid>, std::string> edges;
    for (const model::Edge& edge : report_.diagnosis.edges) {
      if (!chosen_.contains(edge.from)) continue;
      for (const Tid to : edge.to) {
        if (chosen_.contains(to)) edges.try_emplace({edge.from, to}, edge.why);
      }
      if (edge.timer) {
        picture_.exits.push_back({edge.from, "time-out in " + base::human_duration(*edge.timer)});
      }
      if (edge.outside) picture_.exits.push_back({edge.from, "outside"});
    }
    // A finding that is over has no edges any more; its circle is known all the same.
    for (const auto& step : circle_) {
      if (chosen_.contains(step.first) && chosen_.contains(step.second)) edges.try_emplace(step);
    }
    for (const auto& [ends, why] : edges) {
      picture_.edges.push_back({ends.first, ends.second, why, circle_.contains(ends)});
    }
    std::ranges::stable_sort(picture_.exits, {}, &PictureExit::from);
  }

  const model::Report& report_;
  std::size_t most_;
  WaitPicture picture_;
  std::set<Tid> chosen_;
  std::set<Tid> left_out_;
  std::set<Tid> in_cycle_;
  std::set<Tid> stuck_;
  std::set<std::pair<Tid, Tid>> circle_;
  std::map<Tid, const model::ChainLink*> links_;
};

}  // namespace

WaitPicture wait_picture(const model::Report& report, std::size_t most) {
  return Drawer(report, most).draw();
}

}  // namespace stucktrace::render
