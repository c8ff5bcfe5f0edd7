#pragma once

#include <string>

#include "tracer/model/snapshot.h"

namespace stucktrace::render {

// What a thread waits for, as the snapshot has it: "reads pipe:25725 (fd 3)", "waits for child 12",
// "futex 0x7f.. held by thread 14, at most 2 s". Safe for a terminal.
std::string wait_text(const model::Thread& thread);
// The same in parts: on what, without times ("reads pipe:25725 (fd 3)"), and what is said about a
// polling loop (", asking again and again: wait4 + sleep"; "" for another wait).
std::string wait_thing_text(const model::Thread& thread);
std::string polling_text(const model::Thread& thread);
// The kind in one or two words, as the JSON report has it: "futex", "pipe-read".
std::string wait_word(const model::Thread& thread);
// What kind of wait it is, for many threads at once: "reads from a pipe", "waits to be woken
// (futex)".
std::string wait_kind_text(const model::Thread& thread);
// "queues.py:205 _feed"
std::string frame_text(const model::PythonFrame& frame);
// "__futex_wait+0x1c (libc.so.6)"
std::string frame_text(const model::NativeFrame& frame);

}  // namespace stucktrace::render
