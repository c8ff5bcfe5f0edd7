#include "tracer/kernel/sysv_ipc.h"

#include <sys/msg.h>
#include <sys/sem.h>

namespace stucktrace::kernel {

base::Result<SemaphoreState> semaphore_state(int set, int number) {
  const int value = ::semctl(set, number, GETVAL);
  if (value < 0) return base::system_error("semctl GETVAL", base::Errno::last());
  const int waiting = ::semctl(set, number, GETNCNT);
  if (waiting < 0) return base::system_error("semctl GETNCNT", base::Errno::last());
  const int last = ::semctl(set, number, GETPID);
  if (last < 0) return base::system_error("semctl GETPID", base::Errno::last());
  return SemaphoreState{value, waiting, base::Pid{last}};
}

base::Result<QueueState> queue_state(int queue) {
  msqid_ds info{};
  if (::msgctl(queue, IPC_STAT, &info) != 0) {
    return base::system_error("msgctl IPC_STAT", base::Errno::last());
  }
  return QueueState{info.msg_qnum, info.msg_qbytes, base::Pid{info.msg_lspid},
                    base::Pid{info.msg_lrpid}};
}

}  // namespace stucktrace::kernel
