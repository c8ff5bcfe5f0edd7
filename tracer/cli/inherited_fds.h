#pragma once

namespace stucktrace::cli {

// Descriptors that the tool was started with are the launched command's: were they open here as
// well, a reader of a pipe would not see its end, nor a lock be free, when the command closes them.

// Before the tool opens any of its own. A descriptor that an argument names (/dev/fd/N,
// /proc/self/fd/N) is the tool's as well.
void note_inherited_fds(int argc, const char* const* argv);

// Once the command has its copies: closes those noted above stderr, and puts /dev/null in the place
// of stdin unless that is a terminal. For the tool's own output stdout and stderr stay.
void leave_inherited_fds();

}  // namespace stucktrace::cli
