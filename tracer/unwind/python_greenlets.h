#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "tracer/model/snapshot.h"
#include "tracer/unwind/python_objects.h"
#include "tracer/unwind/python_stack.h"

namespace stucktrace::unwind {

// A suspended greenlet as it lies in memory.
struct PythonGreenletState {
  std::uint64_t address = 0;
  model::PythonTask task;  // all but `tid`
  bool operator==(const PythonGreenletState&) const = default;
};

// Finds the greenlets that are suspended (3.9+), the main ones of threads included. The extension
// module names nothing that leads to them, but the collector of garbage knows every one. Each keeps
// the frame object that it was suspended in, in a structure that has no published form: a word near
// its beginning is taken for that if it points to an object of type frame. One that runs, has ended
// or has not begun keeps none.
class PythonGreenlets {
 public:
  // Both must outlive this.
  PythonGreenlets(const PythonObjects& objects, PythonStacks& stacks, std::uint64_t interpreter);

  struct All {
    std::vector<PythonGreenletState> greenlets;
    std::size_t more = 0;  // suspended as well, and not read
    bool complete = true;  // false: not all objects of the process were looked at
  };
  // Nothing where the module is not imported; it costs a read for each object of the process else.
  All read();
  // The greenlet at this address; nullopt: it is not suspended, or cannot be read.
  std::optional<PythonGreenletState> read_at(std::uint64_t address);

 private:
  bool is_greenlet_type(std::uint64_t type);
  // Heads of the lists of objects. Where in the collector's data they are differs from one release
  // to the next, of one version as well; both neighbours of a head point to it, and to nothing else
  // there.
  std::vector<std::uint64_t> list_heads() const;
  // Objects of one of the collector's lists until `visit` answers false; false: not all of them.
  bool each_tracked(std::uint64_t head, std::size_t& left,
                    const std::function<bool(std::uint64_t object, std::uint64_t type)>& visit);
  // The frame object of a suspended greenlet; 0 none.
  std::uint64_t frame_object(std::uint64_t greenlet) const;

  const PythonObjects& objects_;
  PythonStacks& stacks_;
  const PythonLayout& layout_;
  std::uint64_t interpreter_;
  std::uint64_t type_ = 0;  // greenlet.greenlet
  std::uint64_t size_ = 0;  // of its objects
  std::unordered_map<std::uint64_t, bool> types_;
};

}  // namespace stucktrace::unwind
