// libFuzzer entry: any tree of any waits through the whole diagnosis, with frames and motion, torn
// and contradictory as a look at a living machine may be. Two bytes make a step.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/snapshot_builder.h"
#include "tracer/diagnose/diagnose.h"

namespace {

using namespace std::chrono_literals;
using namespace stucktrace;
using model::FdMode;
using test::on_pipe;

constexpr int kMaxThreads = 40;

void make_wait(test::ThreadBuilder thread, unsigned kind, int other, std::uint64_t pipe) {
  const bool write = (other & 1) != 0;
  switch (kind % 22) {
    case 0:
      thread.reads_pipe(pipe, 3);
      break;
    case 1:
      thread.writes_pipe(pipe, 4);
      break;
    case 2:
      thread.waits_for_child(other);
      break;
    case 3:
      thread.waits_for_children({other, other + 1});
      break;
    case 4:
      thread.joins(other);
      break;
    case 5:
      thread.waits_for_lock(0x10U + pipe, other, write);
      break;
    case 6:
      thread.waits_on_condition(0x100 + pipe);
      break;
    case 7:
      thread.waits_on_shared_futex(pipe, {other, other + 1});
      break;
    case 8:
      thread.waits_for_file_lock(pipe, other);
      break;
    case 9:
      thread.waits_for_vfork(other);
      break;
    case 10:
      thread.opens_fifo(pipe, write ? FdMode::kWrite : FdMode::kRead);
      break;
    case 11:
      thread.sleeps(1s);
      break;
    case 12:
      thread.accepts();
      break;
    case 13:
      thread.reads_unix(pipe, 5);
      break;
    case 14:
      thread.writes_unix(pipe, 5);
      break;
    case 15:
      thread.connects(pipe, 5);
      break;
    case 16:
      thread.sends_to_queue(test::queue_id(pipe), 6);
      break;
    case 17:
      thread.reads_eventfd(pipe, 7);
      break;
    case 18:
      thread.runs();
      break;
    case 19:
      thread.is_stopped();
      break;
    case 20:
      thread.waits_for_unknown("torn");
      break;
    default:
      thread.polls({on_pipe(pipe, 3, FdMode::kRead), on_pipe(pipe + 1, 4, FdMode::kWrite)});
  }
}

void add_detail(test::ThreadBuilder thread, unsigned kind) {
  switch (kind % 8) {
    case 0:
      thread.timeout(500ms);
      break;
    case 1:
      thread.remaining(2s);
      break;
    case 2:
      thread.polling("again and again");
      break;
    case 3:
      thread.moved(1);
      break;
    case 4:
      thread.python("wait", "threading.py").python("_exit_function", "multiprocessing/util.py");
      break;
    case 5:
      thread.native("pthread_cond_wait").native("__run_exit_handlers");
      break;
    case 6:
      thread.since(5s);
      break;
    default:
      thread.native("__lll_lock_wait").native("pthread_mutex_lock");
  }
}

void check(const model::Snapshot& now, const model::Diagnosis& diagnosis) {
  for (const model::Finding& finding : diagnosis.findings) {
    const model::Thread* lead = now.find_thread(finding.tid);
    if (lead == nullptr || finding.headline.empty() || finding.remedy.empty()) std::abort();
    if (finding.certainty != model::Certainty::kProven) continue;
    for (const base::Tid tid : finding.cycle) {
      const model::Thread* thread = now.find_thread(tid);
      if (thread == nullptr || thread->state == 'R' || thread->wait.timeout) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  test::SnapshotBuilder tree;
  std::vector<int> tids{100};
  std::vector<int> pids{100};
  tree.process(100, "p");
  for (std::size_t at = 0; at + 1 < size; at += 2) {
    const unsigned what = data[at];
    const unsigned how = data[at + 1];
    const int tid = tids[how % tids.size()];
    const int pid = pids[how % pids.size()];
    const std::uint64_t pipe = how % 5;
    const int fd = static_cast<int>(how % 8);
    switch (what % 8) {
      case 0:
        if (tids.size() < kMaxThreads) {
          tids.push_back(100 + static_cast<int>(tids.size()));
          pids.push_back(tids.back());
          auto process = tree.process(tids.back(), "p").child_of(pid);
          if ((how & 1U) != 0) process.catches({15, 17});
        }
        break;
      case 1:
        if (tids.size() < kMaxThreads) {
          // Threads of a process come in a row, as the builder keeps them sorted.
          tids.push_back(100 + static_cast<int>(tids.size()));
          test::ProcessBuilder(tree, base::Pid{pids.back()}).thread(tids.back());
        }
        break;
      case 2: {
        test::ProcessBuilder process(tree, base::Pid{pid});
        process.pipe(pipe, fd, (how & 64U) != 0 ? FdMode::kRead : FdMode::kWrite);
        if ((how & 128U) != 0) process.holds(test::eventfd_id(pipe), 7, FdMode::kBoth);
        break;
      }
      case 3: {
        test::ProcessBuilder process(tree, base::Pid{pid});
        if ((how & 128U) != 0) {
          process.unaccepted(pipe, 5, pipe + 50, pid);
        } else {
          process.unix_socket(pipe, 5, (pipe + 1) % 5);
        }
        break;
      }
      case 4:
        add_detail(tree.thread(tid), how / 16);
        break;
      case 5:
        if ((how & 1U) != 0) {
          tree.full_pipe(pipe);
        } else {
          tree.incomplete(pipe, "hidden");
        }
        break;
      default:
        make_wait(tree.thread(tid), what / 8, tids[(how / 8) % tids.size()], pipe);
    }
  }
  const auto [before, now] = tree.samples();
  check(now, diagnose::diagnose(before, now, nullptr, {}));
  check(now, diagnose::diagnose(now, now, nullptr, {}));
  return 0;
}
