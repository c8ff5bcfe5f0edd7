#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "tracer/compare/normalise.h"
#include "tracer/compare/roles.h"
#include "tracer/compare/things.h"
#include "tracer/compare/thread_lines.h"
#include "tracer/model/timeline.h"

namespace stucktrace::compare {

// Turns system calls into the lines of one thread.
class Steps {
 public:
  // All three must outlive this.
  Steps(const Roles& roles, Things& things, const Normaliser& normalise)
      : roles_(&roles), things_(&things), normalise_(&normalise) {}

  // The call begins: what it waits for. Waiting or not is the same; so is ever coming back.
  void enter(const model::Call& call, ThreadLines& out);
  // The call came back: what it did. `fresh` are the things it made.
  void exit(const model::Call& call, const std::vector<Thing*>& fresh, ThreadLines& out);

 private:
  void move_data(const model::Call& call, ThreadLines& out);
  void poll(const model::Call& call, ThreadLines& out);
  void wait_for_child(const model::Call& call, ThreadLines& out);
  void lock(const model::Call& call, ThreadLines& out);
  void make(const model::Call& call, const std::vector<Thing*>& fresh, ThreadLines& out);
  void plumb(const model::Call& call, ThreadLines& out);
  void write_output(const model::Call& call, ThreadLines& out);
  void name_socket(const model::Call& call, ThreadLines& out);
  void send_signal(const model::Call& call, ThreadLines& out);

  // "waits P1:pipe#1 read"; "" where nobody could be waited for.
  std::string wait_step(base::Pid pid, int fd, bool read) const;
  // All of a write's bytes that were kept, if it writes output and any were.
  bool has_output_text(const model::Call& call) const;
  std::string child(std::int32_t pid) const;

  const Roles* roles_;
  Things* things_;
  const Normaliser* normalise_;
};

}  // namespace stucktrace::compare
