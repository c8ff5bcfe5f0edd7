#pragma once

#include <vector>

#include "tracer/diagnose/rule.h"

namespace stucktrace::diagnose::rules {

// One function per rule, each in the file of its name.
std::vector<Draft> pipe_full_after_announce(const RuleContext& context);
std::vector<Draft> unread_output(const RuleContext& context);
std::vector<Draft> pipe_full(const RuleContext& context);
std::vector<Draft> queue_full(const RuleContext& context);
std::vector<Draft> socket_full(const RuleContext& context);
std::vector<Draft> self_deadlock(const RuleContext& context);
std::vector<Draft> backlog_full(const RuleContext& context);
std::vector<Draft> fork_lost_lock(const RuleContext& context);
std::vector<Draft> lock_owner_gone(const RuleContext& context);
std::vector<Draft> inherited_lock(const RuleContext& context);
std::vector<Draft> lock_cycle(const RuleContext& context);
std::vector<Draft> file_lock(const RuleContext& context);
std::vector<Draft> vfork_stuck(const RuleContext& context);
std::vector<Draft> self_held_write_end(const RuleContext& context);
std::vector<Draft> deadlock(const RuleContext& context);
std::vector<Draft> timed_deadlock(const RuleContext& context);
std::vector<Draft> leaked_write_end(const RuleContext& context);
std::vector<Draft> exit_held_open(const RuleContext& context);
std::vector<Draft> tty_background(const RuleContext& context);
std::vector<Draft> stopped_process(const RuleContext& context);
std::vector<Draft> fifo_no_peer(const RuleContext& context);
std::vector<Draft> lock_owner_blocked(const RuleContext& context);
std::vector<Draft> no_waker(const RuleContext& context);

}  // namespace stucktrace::diagnose::rules
