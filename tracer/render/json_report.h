#pragma once

#include <string>

#include "tracer/model/verdict.h"

namespace stucktrace::render {

// The report by the schema "stucktrace.report/1" (report.schema.json), one line without a newline,
// keys in the schema's order. Invalid UTF-8 is replaced; text is otherwise raw, not escaped for
// terminals.
std::string json_report(const model::Report& report);

}  // namespace stucktrace::render
