#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tracer/model/verdict.h"

namespace stucktrace::render {

// The wait-for graph as it is drawn: the threads of the findings and who could release them. Raw
// text, escape before printing.

struct PictureNode {
  base::Pid pid;
  base::Tid tid;
  std::string name;  // "main thread", "thread 4714 (feeder)"
  std::string what;  // what it waits for; "" where that is not known
  bool in_cycle = false;
  bool stuck = false;
};

struct PictureEdge {
  base::Tid from;  // waits for ...
  base::Tid to;
  std::string why;  // "holds the read end (fd 3) of pipe:25725"
  bool in_cycle = false;
};

struct PictureProcess {
  base::Pid pid;
  std::string name;  // "P2 python3 (4712)"
  std::vector<base::Tid> threads;
};

// What else could release a thread: a timer, something outside.
struct PictureExit {
  base::Tid from;
  std::string text;  // "time-out in 3.7 s", "outside"
};

struct WaitPicture {
  std::vector<PictureProcess> processes;  // those with nodes, by pid
  std::vector<PictureNode> nodes;         // by process, then tid
  std::vector<PictureEdge> edges;         // by from, then to
  std::vector<PictureExit> exits;         // by from
  std::size_t left_out = 0;               // threads beyond `most`
};

WaitPicture wait_picture(const model::Report& report, std::size_t most = 150);

}  // namespace stucktrace::render
