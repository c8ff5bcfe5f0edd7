#pragma once

#include <string>

#include "tracer/model/snapshot.h"

namespace stucktrace::render {

// What a thread waits for, as the report has it (report.schema.json): an object, to the end of
// `text`.
void write_wait(const model::Thread& thread, std::string& text);

}  // namespace stucktrace::render
