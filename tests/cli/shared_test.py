"""What the tool shares with the command it starts (a process group, a terminal, descriptors, an
alarm) is the command's: nothing of it ends, stops or reaches the tool's user in another way."""
import os
import select
import signal
import subprocess
import sys

from harness import PATIENCE, STUCKTRACE, Case, main

# Starts what its words say as one that has some things set that execve(2) passes on.
STARTER = """
import ctypes, os, signal, sys
for signo in (signal.SIGCHLD, signal.SIGRTMIN + 5, signal.SIGPIPE):
    signal.signal(signo, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCONT])
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
os.execv(sys.argv[1], sys.argv[1:])
"""

# What a command finds of it; its end is known to whoever waits for it.
INHERITED = """
import ctypes, os, signal
with open("/proc/self/status") as status:
    print([line.split()[1] for line in status if line.startswith("SigIgn:")][0])
value = ctypes.c_int()
ctypes.CDLL(None).prctl(37, ctypes.byref(value), 0, 0, 0)  # PR_GET_CHILD_SUBREAPER
print("subreaper", value.value)
print("pending", len(signal.sigpending()))
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
child = os.fork()
if not child:
    os._exit(3)
print("status", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(5)
"""

MODES = ([], ["-e", "trace=all"])

COUNTER = """
import os, signal, sys
count = 0
def handler(*_):
    global count
    count += 1
signo = int(sys.argv[1])
signal.signal(signo, handler)
for _ in range(2):
    before = count
    os.killpg(0, signo)
    while count == before:
        pass
print("handled", count)
sys.exit(7)
"""

# The child stops its parent and continues it, as a shell does with a job.
STOPPED = """
import os, signal, sys, time
parent = os.getpid()
signal.signal(signal.SIGTSTP, signal.SIG_DFL)
child = os.fork()
if child == 0:
    os.kill(parent, signal.SIGTSTP)
    while open("/proc/%d/stat" % parent).read().rpartition(")")[2].split()[0] not in "Tt":
        pass
    time.sleep(0.5)  # of which the tool makes something, or nothing
    os.kill(parent, signal.SIGCONT)
    os._exit(0)
while True:
    try:
        os.waitpid(child, 0)
        break
    except InterruptedError:
        pass
print("done")
"""


class Shared(Case):
    def run_in_own_group(self, words, **options):
        """As a shell starts a job: in a group of its own, of the same session."""
        return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, encoding="utf-8",
                              preexec_fn=lambda: os.setpgid(0, 0), timeout=PATIENCE, **options)

    def test_a_signal_to_its_own_group_is_the_commands_alone(self):
        for signo in (signal.SIGUSR2, signal.SIGALRM, signal.SIGRTMIN, signal.SIGTERM,
                      signal.SIGHUP, signal.SIGINT):
            words = [sys.executable, "-c", COUNTER, str(int(signo))]
            for mode in MODES:
                with self.subTest(signo=signo, mode=mode):
                    result = self.run_in_own_group([STUCKTRACE, "run", "-q"] + mode + ["--"]
                                                   + words)
                    self.assertEqual(result.stdout, "handled 2\n", result.stderr)
                    self.assertEqual(result.returncode, 7)

    def test_an_alarm_from_before_is_the_commands(self):
        script = "import signal; print(signal.alarm(0) > 0)"
        starter = ("import os, signal, sys; signal.alarm(%d); os.execv(sys.argv[1], sys.argv[1:])"
                   % (4 * PATIENCE))
        for mode in MODES:
            result = self.run_in_own_group(
                [sys.executable, "-c", starter, STUCKTRACE, "run", "-q"] + mode
                + ["--", sys.executable, "-c", script])
            self.assertEqual(result.stdout, "True\n", result.stderr)

    def test_who_stops_the_command_can_continue_it(self):
        for mode in MODES:
            result = self.run_in_own_group([STUCKTRACE, "run", "-q"] + mode
                                           + ["--", sys.executable, "-c", STOPPED])
            self.assertEqual((result.stdout, result.returncode), ("done\n", 0), result.stderr)

    def test_what_the_command_closes_is_closed(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                reading, writing = os.pipe()
                in_reading, in_writing = os.pipe()
                hold_reading, hold_writing = os.pipe()
                script = ("import os, sys; os.close(%d); os.close(0); "
                          "os.read(%d, 1); print('read')" % (writing, hold_reading))
                tool = subprocess.Popen(
                    [STUCKTRACE, "run", "-q"] + mode + ["--", sys.executable, "-c", script],
                    stdin=in_reading, stdout=subprocess.PIPE, encoding="utf-8",
                    pass_fds=(writing, hold_reading))
                os.close(writing)
                os.close(in_reading)
                try:
                    # Its end of the one pipe is gone, and of the other, while it still runs.
                    self.assertEqual(select.select([reading], [], [], PATIENCE)[0], [reading])
                    self.assertEqual(os.read(reading, 1), b"")
                    gone = select.poll()
                    gone.register(in_writing, 0)
                    self.assertEqual(gone.poll(PATIENCE * 1000), [(in_writing, select.POLLERR)])
                    self.assertIsNone(tool.poll())
                    os.write(hold_writing, b"x")
                    self.assertEqual(tool.communicate(timeout=PATIENCE)[0], "read\n")
                    self.assertEqual(tool.returncode, 0)
                finally:
                    for fd in (reading, in_writing, hold_reading, hold_writing):
                        os.close(fd)
                    tool.kill()
                    tool.wait()

    def test_a_stdout_that_the_command_closes_is_closed(self):
        for more, ends in (([], True), (["--json"], False)):
            with self.subTest(more=more):
                hold_reading, hold_writing = os.pipe()
                script = "import os; os.close(1); os.write(2, b'closed'); os.read(%d, 1)"
                tool = subprocess.Popen(
                    [STUCKTRACE, "run", "-q"] + more + ["--", sys.executable, "-c",
                                                        script % hold_reading],
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(hold_reading,))
                try:
                    self.assertEqual(tool.stderr.read(6), b"closed")
                    if ends:
                        self.assertEqual(select.select([tool.stdout], [], [], PATIENCE)[0],
                                         [tool.stdout])
                        self.assertEqual(os.read(tool.stdout.fileno(), 1), b"")
                    self.assertIsNone(tool.poll())
                    os.write(hold_writing, b"x")
                    rest = tool.communicate(timeout=PATIENCE)[0]
                    self.assertEqual(rest[:1], b"" if ends else b"{")
                    self.assertEqual(tool.returncode, 0)
                finally:
                    os.close(hold_reading)
                    os.close(hold_writing)
                    tool.kill()
                    tool.wait()

    def test_what_execve_passes_on_is_the_commands(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                native = self.run_in_own_group([sys.executable, "-c", STARTER, sys.executable,
                                                "-c", INHERITED])
                self.assertEqual(native.stdout.splitlines()[1:],
                                 ["subreaper 1", "pending 0", "status 3"], native.stderr)
                traced = self.run_in_own_group([sys.executable, "-c", STARTER, STUCKTRACE, "run",
                                                "-q"] + mode + ["--", sys.executable, "-c",
                                                                INHERITED])
                self.assertEqual(traced.stdout, native.stdout, traced.stderr)
                self.assertEqual((traced.returncode, native.returncode), (5, 5))


if __name__ == "__main__":
    main()
