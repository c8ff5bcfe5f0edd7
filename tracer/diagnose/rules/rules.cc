#include "tracer/diagnose/rules/rules.h"

#include <array>

namespace stucktrace::diagnose {

std::span<const Rule> all_rules() {
  // Most specific first; the order decides which name a root cause gets.
  static constexpr std::array kRules{
      Rule{"pipe-full-after-announce", rules::pipe_full_after_announce},
      Rule{"unread-output", rules::unread_output},
      Rule{"pipe-full", rules::pipe_full},
      Rule{"queue-full", rules::queue_full},
      Rule{"socket-full", rules::socket_full},
      Rule{"self-deadlock", rules::self_deadlock},
      Rule{"backlog-full", rules::backlog_full},
      Rule{"fork-lost-lock", rules::fork_lost_lock},
      Rule{"lock-owner-gone", rules::lock_owner_gone},
      Rule{"file-lock", rules::file_lock},
      Rule{"lock-cycle", rules::lock_cycle},
      Rule{"vfork-stuck", rules::vfork_stuck},
      Rule{"self-held-write-end", rules::self_held_write_end},
      Rule{"deadlock", rules::deadlock},
      Rule{"timed-deadlock", rules::timed_deadlock},
      Rule{"leaked-write-end", rules::leaked_write_end},
      Rule{"exit-held-open", rules::exit_held_open},
      Rule{"tty-background", rules::tty_background},
      Rule{"stopped-process", rules::stopped_process},
      Rule{"fifo-no-peer", rules::fifo_no_peer},
      Rule{"inherited-lock", rules::inherited_lock},
      Rule{"lock-owner-blocked", rules::lock_owner_blocked},
      Rule{"no-waker", rules::no_waker},
  };
  return kRules;
}

}  // namespace stucktrace::diagnose
