#pragma once

#include <string>

#include "tracer/model/verdict.h"

namespace stucktrace::render {

// The wait-for graph in Graphviz's DOT language: a box a thread, processes as clusters, arrows to
// who could release it, the circle of a finding in red.
std::string dot_graph(const model::Report& report);

}  // namespace stucktrace::render
