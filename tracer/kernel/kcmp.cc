#include "tracer/kernel/kcmp.h"

#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace stucktrace::kernel {
namespace {

base::Result<bool> compare(base::Tid a, base::Tid b, int type, int index_a, int index_b) {
  const long order = ::syscall(SYS_kcmp, a.value(), b.value(), type, index_a, index_b);
  if (order < 0) return base::system_error("kcmp", base::Errno::last(), a);
  return order == 0;
}

}  // namespace

base::Result<bool> same_memory(base::Tid a, base::Tid b) {
  return compare(a, b, KCMP_VM, 0, 0);
}

base::Result<bool> same_fd_table(base::Tid a, base::Tid b) {
  return compare(a, b, KCMP_FILES, 0, 0);
}

base::Result<bool> same_open_file(base::Tid a, int fd_a, base::Tid b, int fd_b) {
  return compare(a, b, KCMP_FILE, fd_a, fd_b);
}

}  // namespace stucktrace::kernel
