// A library that call_places loads: one function, PLACE, that writes a line with its own name.

#include <cstring>

#include "target/target.h"

#define TEXT_OF(name) #name
#define LINE_OF(name) TEXT_OF(name) " main\n"

extern "C" [[gnu::noinline, gnu::visibility("default")]] long PLACE();

long PLACE() {
  constexpr const char* kLine = LINE_OF(PLACE);
  // No call here may become a jump.
  volatile long written = ::write(STDOUT_FILENO, kLine, std::strlen(kLine));
  return written;
}
