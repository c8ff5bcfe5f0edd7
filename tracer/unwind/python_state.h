#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/unwind/python_image.h"
#include "tracer/unwind/python_layout.h"
#include "tracer/unwind/python_objects.h"
#include "tracer/unwind/python_version.h"

namespace stucktrace::unwind {

// Which interpreter it is and how its structures lie.
struct PythonBuild {
  PythonVersion version;
  PythonLayout layout;
};
// kUnsupported: a version or build whose layout is not known; the message names it. kDenied: the
// memory cannot be read.
base::Result<PythonBuild> identify_python(const syscalls::RemoteMemory& memory,
                                          std::span<const PythonImage> images);

// One PyThreadState.
struct PythonThreadState {
  std::uint64_t address = 0;
  std::uint64_t ident = 0;      // pthread_self()
  std::uint64_t native_id = 0;  // in the process's own pid namespace; 0 = not kept
  bool holds_gil = false;
};

// Addresses of the interpreters, main one included; empty: none is initialised (yet or any more).
// Where nothing names the list (2.7 and 3.6), the variables of the image are searched for a pointer
// into the heap that proves to be an interpreter.
std::vector<std::uint64_t> find_interpreters(const PythonObjects& objects,
                                             const PythonMappings& mappings);

// The threads of one interpreter, newest first. A list that is cyclic or leads to something that
// is no thread state ends there.
std::vector<PythonThreadState> list_python_threads(const PythonObjects& objects,
                                                   std::span<const PythonImage> images,
                                                   std::uint64_t interpreter);

// nullopt: the version does not record it, or the file does not name where.
std::optional<bool> is_finalizing(const PythonObjects& objects,
                                  std::span<const PythonImage> images);

// The thread state that has the lock of `interpreter`; 0 = none has; nullopt: cannot be read.
std::optional<std::uint64_t> python_gil_holder(const PythonObjects& objects,
                                               std::span<const PythonImage> images,
                                               std::uint64_t interpreter);

// The namespace (a dict) of an imported module; 0 = not imported.
std::uint64_t python_module(const PythonObjects& objects, std::uint64_t interpreter,
                            std::string_view name);

// threading.Thread.name by pthread_self(), from threading._active.
std::map<std::uint64_t, std::string> python_thread_names(const PythonObjects& objects,
                                                         std::uint64_t interpreter);

// Kernel thread ids of the thread states, in order; 0 = none known. `live`: the process's threads,
// by their number in its own pid namespace. Versions that keep no native id are matched through
// the C library's thread descriptor at pthread_self(), which holds the tid. nullopt for a state
// whose thread is gone (left over by fork, or just ended) while others could be matched.
std::vector<std::optional<base::Tid>> match_python_threads(
    const syscalls::RemoteMemory& memory, std::span<const PythonThreadState> threads,
    const std::map<std::int32_t, base::Tid>& live);

}  // namespace stucktrace::unwind
