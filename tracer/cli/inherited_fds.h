#pragma once

namespace stucktrace::cli {

// Descriptors that the tool was started with are the launched command's: were they open here as
// well, a reader of a pipe would not see its end, nor a lock be free, when the command closes them.

// Before the tool opens any of its own. A descriptor that an argument names (/dev/fd/N,
// /proc/self/fd/N) is the tool's as well.
void note_inherited_fds(int argc, const char* const* argv);

// Once the command has its copies: closes those noted above stderr, and puts /dev/null in the place
// of stdin, and of stdout if the tool does not `need_stdout`, unless that is a terminal. For what
// the tool itself says stderr stays.
void leave_inherited_fds(bool need_stdout);

}  // namespace stucktrace::cli
