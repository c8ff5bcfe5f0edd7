#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "syscalls/memory.h"
#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/kernel/procfs.h"
#include "tracer/unwind/python_elf.h"

namespace stucktrace::unwind {

struct PythonRange {  // of addresses in the process
  std::uint64_t start = 0, size = 0;
};

// A mapped ELF file that holds a CPython interpreter, and where its data lies in the process.
// Addresses are 0 where the file does not name the thing.
struct PythonImage {
  std::string path;
  std::uint16_t machine = 0;
  std::uint64_t runtime = 0;          // _PyRuntime (3.7+)
  std::uint64_t current_thread = 0;   // _PyThreadState_Current (up to 3.6)
  std::uint64_t interpreters = 0;     // interp_head (up to 3.6), a local symbol
  std::uint64_t interpreters_fn = 0;  // PyInterpreterState_Head
  std::uint64_t finalizing = 0;       // _Py_Finalizing (3.6)
  std::uint64_t version = 0;          // Py_Version (3.11+)
  // What asyncio publishes about itself (3.14+), in whatever file it is: the same in every image.
  std::uint64_t asyncio = 0;
  std::size_t unicode_width = 4;      // 2.7: of a Py_UNICODE
  std::vector<PythonRange> writable;  // .data, .bss and what lies between

  bool is_interpreter() const { return runtime != 0 || current_thread != 0; }
};

struct PythonMappings {
  std::vector<PythonImage> images;
  std::vector<PythonRange> heap;  // private writable memory outside files
};

// The executable and every mapping of a "libpython" or "python" (which ld.so may have been told to
// run) that names interpreter state, executable first (a program may hold the one true copy of a
// library's variable, ld.so copy relocation). No image: not a CPython process. Errors: those of
// /proc/PID/maps.
base::Result<PythonMappings> find_python_images(const kernel::Procfs& procfs, base::Pid pid);

// The symbols of one file mapped with load bias `bias`. Separate for tests.
PythonImage read_python_image(const ElfFile& file, std::string path, std::uint64_t bias);

// The variable that PyInterpreterState_Head() returns the value of, read off its code: the way to
// the list in a stripped 2.7 or 3.6. 0: not code of that form.
std::uint64_t interpreters_from_code(const syscalls::RemoteMemory& memory, std::uint64_t function);

}  // namespace stucktrace::unwind
