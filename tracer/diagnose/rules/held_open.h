#pragma once

#include <vector>

#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {

// A reader that waits for end of file of a pipe whose write end is held by orphans alone: processes
// left over from what it once started, which have nothing to do with it any more and are idle.
struct HeldOpen {
  NodeIndex reader = 0;
  std::vector<const model::Process*> holders;  // by pid
  // They have it as their standard output, and the leader of their process group is gone: the main
  // process of a job has ended, what it left behind keeps the job's output open.
  bool is_job_output = false;
};

std::vector<HeldOpen> held_open_pipes(const RuleContext& context);

// Everything but headline and remedy.
Draft held_open_draft(const RuleContext& context, std::string_view rule, const HeldOpen& held);

}  // namespace stucktrace::diagnose::rules
