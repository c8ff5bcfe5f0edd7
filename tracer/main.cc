#include "tracer/cli/cli.h"

int main(int argc, char** argv) {
  return stucktrace::cli::run(argc, argv);
}
