#pragma once

#include <string>

#include "tracer/model/snapshot.h"

namespace stucktrace::render {

// What a thread waits for, as the snapshot has it: "reads pipe:25725 (fd 3)", "waits for child 12",
// "futex 0x7f.. held by thread 14, at most 2 s". Safe for a terminal.
std::string wait_text(const model::Thread& thread);
// The same in one or two words, for many threads at once: "futex", "pipe-read".
std::string wait_word(const model::Thread& thread);
// "queues.py:205 _feed"
std::string frame_text(const model::PythonFrame& frame);
// "__futex_wait+0x1c (libc.so.6)"
std::string frame_text(const model::NativeFrame& frame);

}  // namespace stucktrace::render
