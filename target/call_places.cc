// usage: call_places [again]
//
// Writes to stdout from several places. Each line names the functions that lead to its write(2),
// innermost first: "inner middle outer main". One from another thread; one from each of two
// libraries, the second loaded when the first has been unloaded, so that its code may lie where the
// first one's was; at last the program executes itself (again), which writes one line more.

#include <dlfcn.h>

#include <string>
#include <thread>

#include "target/target.h"

// extern "C": the names are told as they stand in the symbol table.
extern "C" {

[[gnu::noinline]] long inner(const char* line) {
  // No call here may become a jump.
  volatile long written = ::write(STDOUT_FILENO, line, std::strlen(line));
  return written;
}

[[gnu::noinline]] long middle(const char* line) {
  volatile long written = inner(line);
  return written;
}

[[gnu::noinline]] long outer(const char* line) {
  volatile long written = middle(line);
  return written;
}

[[gnu::noinline]] long in_thread() {
  volatile long written = inner("inner in_thread\n");
  return written;
}

[[gnu::noinline]] long executed() {
  volatile long written = middle("inner middle executed main\n");
  return written;
}

}  // extern "C"

namespace {

[[gnu::noinline]] void write_from_library(const std::string& path, const char* function) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW);
  if (library == nullptr) target::fail(path.c_str());
  const auto write_line = reinterpret_cast<long (*)()>(::dlsym(library, function));
  if (write_line == nullptr || write_line() <= 0) target::fail(function);
  ::dlclose(library);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    executed();
    return 0;
  }
  target::announce_ready();
  target::wait_for_go();
  outer("inner middle outer main\n");
  std::thread([] { in_thread(); }).join();
  const std::string self = argv[0];
  const std::string directory = self.substr(0, self.rfind('/') + 1);
  write_from_library(directory + "call_places_first.so", "first_place");
  write_from_library(directory + "call_places_second.so", "second_place");
  ::execl(argv[0], argv[0], "again", static_cast<char*>(nullptr));
  target::fail("execl");
}
