#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/engine/process_reader.h"
#include "tracer/engine/resource_reader.h"
#include "tracer/engine/snapshotter.h"

namespace stucktrace::engine {

// The work of one snapshot, in steps that the Snapshotter calls in this order.
class Collection {
 public:
  Collection(const kernel::Procfs& procfs, const base::Clock& clock, const KernelProbes& probes,
             const SnapshotOptions& options, SampleBook& book);

  // False when no root could be read.
  bool read_tree();
  // Waits of everything read so far, and of the processes that may end one of them, and so on.
  void read_waits();
  void read_resources();
  void read_output();
  // Threads that have moved while other things were read (stacks), which are then not of the wait
  // that was. A wait without a limit is none any more.
  std::vector<base::Tid> drop_waits_of_the_past(model::Process& process) const;
  // Says which threads of this process still stand where their waits were read. Not to be kept
  // longer than is needed.
  std::function<std::vector<char>(std::span<const base::Tid>)> standing(
      const model::Process& process);
  // True when the time limit has passed.
  bool is_late() const;
  // Moves everything out, sorted and with roles.
  model::Snapshot finish();

  std::vector<model::Process*> processes();
  void could_not_see(std::string sentence) { missing_.insert(std::move(sentence)); }

 private:
  ProcessDraft* take_in(base::Pid pid, int distance);
  std::vector<base::Pid> children_of(const ProcessDraft& draft);
  const std::vector<base::Pid>& children_by_parent(base::Pid parent);
  void share_address_space(ProcessDraft& draft, bool look_for_parent);
  void take_in_roommates();
  void read_process_waits(ProcessDraft& draft);
  model::Thread read_thread(const ProcessDraft& draft, base::Tid tid, const ThreadSample& sample);
  void read_again(const ProcessDraft& draft, const kernel::Procfs& near, model::Thread& thread);
  void widen(const ProcessDraft& draft, const model::Thread& thread);
  Surroundings surroundings();
  void find_fifo_openers();
  void take_in_openers(const model::Wait& wait);
  std::string describe_unreadable(const ProcessDraft& draft) const;
  void assign_roles(model::Snapshot& snapshot) const;

  const kernel::Procfs& procfs_;
  const base::Clock& clock_;
  const KernelProbes& probes_;
  const SnapshotOptions& options_;
  SampleBook& book_;
  base::Instant started_;
  base::Nanoseconds started_wall_;
  SocketCatalog sockets_;
  HolderScan scan_;
  ResourceNotes notes_;
  ProcessCache cache_;
  ResourceReader resources_;
  std::map<base::Pid, std::unique_ptr<ProcessDraft>> drafts_;
  std::map<base::Tid, Pulse> pulses_;  // what each wait held for
  std::set<base::Tid> stood_;          // those that stood there when their stacks were read
  std::deque<base::Pid> unread_;       // drafts whose waits are still to be read
  std::map<base::Pid, std::vector<base::Pid>> by_parent_;
  bool by_parent_read_ = false;
  bool fifo_openers_found_ = false;
  std::multimap<model::ResourceId, base::Pid> fifo_openers_;
  std::size_t taken_in_ = 0;
  std::set<std::string> missing_;
};

}  // namespace stucktrace::engine
