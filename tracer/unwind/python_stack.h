#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "tracer/model/snapshot.h"
#include "tracer/unwind/python_objects.h"

namespace stucktrace::unwind {

// One link of a thread's frame chain as it lies in memory.
struct PythonLink {
  std::uint64_t frame = 0;
  std::uint64_t code = 0;
  std::int64_t offset = -1;  // of the current instruction in the code, bytes; negative: none yet
  bool entry = false;        // model::PythonFrame::entry
  bool operator==(const PythonLink&) const = default;
};

// Walks and names the frames of one interpreter's threads.
class PythonStacks {
 public:
  explicit PythonStacks(const PythonObjects& objects);

  // Innermost first; frames that are the interpreter's own (entry trampolines) are left out.
  // nullopt: something in the chain is no frame, i.e. the read was torn or the pointer is wrong.
  std::optional<std::vector<PythonLink>> chain(std::uint64_t thread_state) const;

  // The same from a frame that no thread runs in now, to where C code called Python: what stood
  // below on the stack of C is gone from there.
  std::optional<std::vector<PythonLink>> suspended(std::uint64_t frame) const;

  // nullopt: a name or a line table cannot be read, so nothing of the stack is to be trusted.
  std::optional<std::vector<model::PythonFrame>> describe(std::span<const PythonLink> chain);

  // The same of one frame that need not be on any thread's chain: that of a coroutine at rest.
  std::optional<PythonLink> at_rest(std::uint64_t frame) const;

  // The object in a frame's local variable; 0: it has no such variable, or nothing is in it yet.
  std::uint64_t local(const PythonLink& link, std::string_view variable);

  // Code objects are read anew from here on. One that no sleeping thread has held since it was read
  // may be gone, with another in its place.
  void forget() { codes_.clear(); }

  // The deadline kept by the innermost standard-library function that waits until a point in time:
  // seconds on the clock that the version's time-outs use (time.time() for 2.x, time.monotonic()).
  std::optional<double> deadline(std::span<const PythonLink> chain);

 private:
  struct Code {
    std::string name;
    std::string file;
    int first_line = 0;
    std::uint64_t size = 0;  // of the instructions, bytes
    std::vector<std::byte> lines;
    std::uint64_t variables = 0;
  };

  enum class Entry : std::uint8_t { kLeaveOut, kEnd };  // at an entry frame
  std::optional<std::vector<PythonLink>> walk(std::uint64_t frame, Entry at_entry) const;
  int last_frame_field() const;
  std::optional<PythonLink> link(const RemoteRecord& frame, std::uint64_t address) const;
  const Code* code(std::uint64_t address);
  std::optional<Code> read_code(std::uint64_t address) const;

  const PythonObjects& objects_;
  const PythonLayout& layout_;
  // By address, since forget().
  std::unordered_map<std::uint64_t, Code> codes_;
};

}  // namespace stucktrace::unwind
