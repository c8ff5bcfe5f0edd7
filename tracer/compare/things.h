#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tracer/compare/normalise.h"
#include "tracer/model/event.h"
#include "tracer/model/fd_tracker.h"
#include "tracer/model/timeline.h"

namespace stucktrace::compare {

// A pipe, socket, file ... as two runs agree to call it: by who made it and its number among what
// that thread made ("P1:pipe#2"), by its place for what was there before ("stdin", "P1:fd5"), by
// its path.
struct Thing {
  model::ResourceKind kind = model::ResourceKind::kUnknown;
  model::ResourceId real;
  std::string name;
  int standard = -1;            // 0, 1, 2: the tree's own stdin, stdout, stderr
  std::string target;           // pidfd: the role of its process
  std::string bound;            // sockets: the address given by bind(2), "" none
  std::size_t index = 0;        // in order of appearance
  bool outside = false;         // was there before anybody looked
  bool numbered = false;        // has its name of who made it
  std::string path;             // opened in the trace: as the program named it, raw bytes
  std::string label;            // named pipes: where the kernel says that it is
  bool plain = false;           // opened by its path, and no channel
  bool pinned = false;          // plain: somebody else means it by its index
  bool gone = false;            // named pipes: removed, its inode may be that of another one
  const Thing* peer = nullptr;  // socketpair(2): the other end
  std::size_t maker = kNobody;  // Roles' index of the thread that made it
  std::size_t order = 0;        // among what that thread made; gaps mean nothing
  static constexpr std::size_t kNobody = static_cast<std::size_t>(-1);

  // Something a thread can wait on for others; files and devices always answer.
  bool can_block() const;
};

// Follows which descriptor of which process is which thing. The numbers of the kernel (inodes, ids
// of eventfds) differ between runs and are used again, so descriptors are followed from what made
// them through dup, fork and exec.
class Things {
 public:
  // `normalise` must outlive this. `names` take the place of the names given here, by index.
  explicit Things(const Normaliser& normalise, std::map<std::size_t, std::string> names = {})
      : normalise_(&normalise), names_(std::move(names)) {}

  // `maker` is the role of the event's thread, `is_root` says that its process is a root. Returns
  // what the event made, in the order of its descriptors.
  std::vector<Thing*> observe(const model::Event& event, const std::string& maker, bool is_root);

  // A call that succeeded, of the thread `maker`: which names of named pipes it makes or takes
  // away. A named pipe is made by who named it, not by who opens it first: that is chance.
  void follow_paths(const model::Call& call, std::size_t maker = Thing::kNobody,
                    std::size_t order = 0);

  Thing* find(base::Pid pid, int fd);
  // The descriptor itself: its mode; its resource is not the kernel's.
  const model::FdEntry* entry(base::Pid pid, int fd) const { return fds_.find(pid, fd); }
  // By the kernel's identity: the latest thing that had it.
  const Thing* find(const model::ResourceId& real) const;
  // All of them, by index; null for a plain one that nothing leads to any more.
  const std::vector<std::unique_ptr<Thing>>& all() const { return things_; }
  // A write to it is output that people read.
  bool is_output(base::Pid pid, int fd);

 private:
  static constexpr std::size_t kFirstSweep = 4'096;

  std::size_t add(Thing thing);
  std::size_t inherited(const model::FdEntry& entry, base::Pid pid, const std::string& role,
                        bool is_root);
  std::size_t made(const model::FdEntry& entry, syscalls::Sys call, const std::string& maker);
  // What a call that duplicates a descriptor made another name of.
  std::optional<std::size_t> copied(const model::FdEntry& entry, const model::Event& event) const;
  void name_fifo(Thing& thing, const std::string& label) const;
  std::string numbered(const std::string& maker, model::ResourceKind kind);
  std::optional<std::size_t> same_as_before(const model::FdEntry& entry, base::Pid pid) const;
  std::vector<model::FdEntry> translated(const std::vector<model::FdEntry>& entries, base::Pid pid,
                                         const std::string& role, bool is_root);
  // Lets go of plain things that no descriptor shows and that are not the latest of their identity.
  void sweep();
  static model::ResourceId id_of(std::size_t index, model::ResourceKind kind);
  static std::optional<std::size_t> index_of(const model::FdEntry& entry);

  const Normaliser* normalise_;
  std::map<std::size_t, std::string> names_;
  model::FdTracker fds_;  // its resources are id_of(index into things_)
  std::vector<std::unique_ptr<Thing>> things_;
  std::map<model::ResourceId, std::vector<std::size_t>> by_real_;
  std::size_t kept_ = 0;  // of things_
  std::size_t sweep_at_ = kFirstSweep;
  std::unordered_set<base::Pid> pids_;  // that may have descriptors
  std::map<std::pair<std::string, model::ResourceKind>, int> counts_;
  struct MadeFifo {
    std::string path;
    std::size_t maker = Thing::kNobody;
    std::size_t order = 0;
  };
  std::vector<MadeFifo> made_fifos_;
  std::vector<std::size_t> opened_fifos_;  // things not gone yet
};

}  // namespace stucktrace::compare
