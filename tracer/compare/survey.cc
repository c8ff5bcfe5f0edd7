#include "tracer/compare/survey.h"

#include <variant>

namespace stucktrace::compare {

void Survey::observe(const model::Event& event) {
  numbers.insert(event.pid.value());
  numbers.insert(event.tid.value());
  if (const auto* made = std::get_if<model::NewTask>(&event.data)) {
    numbers.insert(made->child.value());
  }
  tasks.observe(event);
}

}  // namespace stucktrace::compare
