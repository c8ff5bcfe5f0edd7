#include "tracer/kernel/seccomp_filter.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

#include "tracer/base/unique_fd.h"

namespace stucktrace::kernel {
namespace {

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

base::Errno errno_of(int returned) {
  return base::Errno{-returned};
}

constexpr const char* kBuilding = "building a seccomp filter";

base::Result<void> add(const Context& context, const syscalls::SyscallRow& row,
                       const FilterRule& rule) {
  std::array<scmp_arg_cmp, 6> comparisons{};
  unsigned count = 0;
  for (const ArgCondition& condition : rule.conditions) {
    comparisons[count++] =
        condition.differs
            ? scmp_arg_cmp{condition.index, SCMP_CMP_NE, condition.value, 0}
            : scmp_arg_cmp{condition.index, SCMP_CMP_MASKED_EQ, condition.mask, condition.value};
  }
  const int added = seccomp_rule_add_array(context.get(), SCMP_ACT_TRACE(kFilterMark), row.number,
                                           count, comparisons.data());
  // EEXIST: two names of one call.
  if (added != 0 && added != -EEXIST) return base::system_error(kBuilding, errno_of(added));
  return {};
}

// The library hands a program out through a descriptor only.
base::Result<FilterProgram> exported(const Context& context) {
  const base::UniqueFd file{memfd_create("filter", MFD_CLOEXEC)};
  if (!file.valid()) return base::system_error(kBuilding, base::Errno::last());
  if (const int done = seccomp_export_bpf(context.get(), file.get()); done != 0) {
    return base::system_error(kBuilding, errno_of(done));
  }
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  if (size < 0) return base::system_error(kBuilding, base::Errno::last());
  FilterProgram program(static_cast<std::size_t>(size) / sizeof(sock_filter));
  if (::pread(file.get(), program.data(), static_cast<std::size_t>(size), 0) != size) {
    return base::system_error(kBuilding, base::Errno::last());
  }
  return program;
}

}  // namespace

base::Result<FilterProgram> build_filter(const std::vector<FilterRule>& rules) {
  const Context context{seccomp_init(SCMP_ACT_ALLOW)};
  if (!context) return base::system_error(kBuilding, base::Errno{ENOMEM});
  int set = seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_TRACE(kFilterMark));
  // no_new_privs is set by install_filter() where it must be.
  if (set == 0) set = seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_NNP, 0);
  constexpr std::uint32_t kBinaryTree = 2;
  if (set == 0) set = seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, kBinaryTree);
  if (set != 0) return base::system_error(kBuilding, errno_of(set));
  for (const FilterRule& rule : rules) {
    for (const syscalls::SyscallRow& row : syscalls::all_rows(syscalls::kNativeAbi)) {
      if (row.id != rule.id) continue;
      if (auto added = add(context, row, rule); !added) return base::Failure{added.error()};
    }
  }
  return exported(context);
}

int install_filter(const FilterProgram& program) {
  sock_fprog filter{static_cast<unsigned short>(program.size()),
                    const_cast<sock_filter*>(program.data())};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0) return 0;
  if (errno != EACCES) return errno;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0 ? 0 : errno;
}

}  // namespace stucktrace::kernel
