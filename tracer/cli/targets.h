#pragma once

#include <string>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"

namespace stucktrace::cli {

// Numbers from the command line. Each error names the word that is none.
base::Result<std::vector<base::Pid>> parse_pids(const std::vector<std::string>& words);

// Whether the process can be traced, before anything is touched: one cause and one way out.
base::Result<void> may_trace(base::Pid pid);
// Likewise for a passive look.
base::Result<void> may_look(base::Pid pid);
// The kernel refused although the checks passed, or the process has changed meanwhile: says why.
base::Error explain_attach_failure(base::Pid pid, const base::Error& error);

// The process and its descendants, parents first.
std::vector<base::Pid> tree_of(base::Pid root);

// The outermost process of the session that `pid` belongs to, and of which it is a descendant: the
// command line, job or service it is part of. The process itself where it leads its session.
base::Pid tree_root(base::Pid pid);

// The roots of everything on the machine but kernel threads.
std::vector<base::Pid> machine_roots();

}  // namespace stucktrace::cli
