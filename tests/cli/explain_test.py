"""The report of explain for a person: it fits a screen, says what it lacks, and is safe to print."""
import json
import os
import pwd
import shutil
import subprocess
import sys

from harness import (EXIT_STUCK, STUCKTRACE, Background, Case, children, main, report_of,
                     status_field, stucktrace, task_states, wait_until)

# N children that all write more than fits into one pipe, which their parent reads only after wait().
CROWD = """
import os
read_end, write_end = os.pipe()
for _ in range(%d):
    if os.fork() == 0:
        os.write(write_end, b"x" * 200000)
        os._exit(0)
os.wait()
"""

SLEEPERS = """
import os, time
for _ in range(%d):
    if os.fork() == 0:
        time.sleep(1000)
time.sleep(1000)
"""

# Named with bytes that a terminal would obey.
HOSTILE = """
import os
with open("/proc/self/comm", "wb") as comm:
    comm.write(b"x\\n\\x1b[31m\\xff\\x9b)")
read_end, write_end = os.pipe()
os.write(write_end, b"x" * 200000)
"""

# Never all awake at the same time.
NAPPERS = """
import threading, time
def nap():
    while True:
        time.sleep(0.9)
for _ in range(7):
    threading.Thread(target=nap).start()
nap()
"""

ABSOLUTE_SLEEP = """
import ctypes, time
class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]
deadline = Timespec(int(time.monotonic()) + 900, 0)
ctypes.CDLL(None).clock_nanosleep(time.CLOCK_MONOTONIC, 1, ctypes.byref(deadline), None)
"""


def python(program):
    return Background([sys.executable, "-c", program])


def waits_in(pid, *names):
    """True once the kernel function the process sleeps in has one of the names in it."""
    try:
        with open("/proc/%d/wchan" % pid) as file:
            where = file.read()
    except OSError:
        return False
    return any(name in where for name in names)


def become(user):
    def change():
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    return change


class Crowds(Case):
    def test_a_crowd_is_counted(self):
        with python(CROWD % 120) as target:
            self.assertTrue(wait_until(lambda: len(children(target.pid)) == 120 and all(
                waits_in(pid, "pipe_write") for pid in children(target.pid))))
            result = stucktrace("explain", target.pid)
            self.assertEqual(result.returncode, EXIT_STUCK)
            self.assertLess(len(result.stdout.splitlines()), 60)
            self.assertIn("119 more threads are stuck behind this", result.stdout)
            self.assertIn("119 processes", result.stdout)
            report = report_of(stucktrace("explain", "--json", target.pid).stdout)
            behind = report["findings"][0]["behind"]
            self.assertEqual(sum(len(group["tids"]) for group in behind), 119)
            self.assertEqual(sum(len(group["pids"]) for group in behind), 119)

    def test_a_healthy_crowd_is_one_line(self):
        with python(SLEEPERS % 60) as target:
            self.assertTrue(wait_until(lambda: len(children(target.pid)) == 60 and all(
                waits_in(pid, "nanosleep") for pid in children(target.pid))))
            result = stucktrace("explain", target.pid)
            self.assertEqual(result.returncode, 0, result.stdout)
            lines = result.stdout.splitlines()
            self.assertLess(len(lines), 10, result.stdout)
            self.assertTrue(lines[0].startswith("Nothing is stuck: 61 processes"), lines[0])
            self.assertIn("+60 processes  idle: ", result.stdout)

    def test_equal_stacks_are_shown_once(self):
        program = ("import threading\nlock = threading.Lock()\nlock.acquire()\n"
                   "for _ in range(40): threading.Thread(target=lock.acquire).start()\n")
        with python(program) as target:
            self.assertTrue(wait_until(
                lambda: len(os.listdir("/proc/%d/task" % target.pid)) == 41
                and all(waits_in(int(tid), "futex")
                        for tid in os.listdir("/proc/%d/task" % target.pid))))
            text = stucktrace("explain", "--stacks", target.pid).stdout
            self.assertIn("40 threads", text.split("\nStacks\n")[1])
            self.assertLess(len(text.splitlines()), 120)


class Running(Case):
    def test_a_running_threads_stack_is_seen_where_it_may_be_stopped(self):
        with Background(["sh", "-c", "while :; do :; done"]) as target:
            def stack(*options):
                text = stucktrace("explain", "--stacks", *options, target.pid).stdout
                return text.split("\nStacks\n")[1]
            # Between two looks it may be caught on its way out of a page fault.
            self.assertTrue(wait_until(lambda: "main thread: running" in stack()))
            self.assertNotIn("at __libc_start_main", stack())
            self.assertTrue(wait_until(lambda: "at __libc_start_main" in stack("--allow-stop")))
            for state, tracer in task_states(target.pid).values():
                self.assertEqual(tracer, "0")
                self.assertNotIn(state, "Tt")


class Tree(Case):
    def test_the_whole_tree_from_any_of_its_processes(self):
        with python(SLEEPERS % 2) as target:
            self.assertTrue(wait_until(lambda: len(children(target.pid)) == 2))
            family = children(target.pid)

            def looked_at(*options):
                report = report_of(stucktrace("explain", "--json", *options).stdout)
                return {each["pid"] for each in report["processes"] if each["in_tree"]}
            self.assertEqual(looked_at(family[0]), {family[0]})
            # Two of one family are one tree.
            self.assertEqual(looked_at("--tree", *family), {target.pid, *family})


class Machine(Case):
    def test_all_ends_with_what_was_looked_at(self):
        with python(CROWD % 3) as target:
            self.assertTrue(wait_until(lambda: len(children(target.pid)) == 3 and all(
                waits_in(pid, "pipe_write") for pid in children(target.pid))))
            # The machine may be full of strangers: no word about how long that takes.
            result = stucktrace("explain", "--all", timeout=300)
            self.assertEqual(result.returncode, EXIT_STUCK)
            self.assertRegex(result.stdout.splitlines()[-1],
                             r"^Looked at \d+ process(es)?, \d+ threads? in .*: \d+ trees? (is|are) "
                             r"stuck, \d+ findings?\.$")
            report = report_of(stucktrace("explain", "--all", "--timeout", "60s", "--json",
                                          timeout=300).stdout)
            involved = {link["pid"] for each in report["findings"] for link in each["chain"]}
            self.assertIn(target.pid, involved)
            self.assertTrue(report["look"]["whole_machine"])
            order = [("proven", "until", "likely").index(each["certainty"])
                     for each in report["findings"]]
            self.assertEqual(order, sorted(order))


class Words(Case):
    def test_a_hostile_name(self):
        with python(HOSTILE) as target:
            self.assertTrue(wait_until(lambda: waits_in(target.pid, "pipe_write")))
            for words in ([], ["--stacks"], ["-v"]):
                raw = subprocess.run([STUCKTRACE, "explain", *words, str(target.pid)],
                                     stdout=subprocess.PIPE, timeout=60).stdout
                self.assertNotIn(b"\x1b", raw)
                raw.decode("utf-8")
                self.assertIn(b"P1 x\\n\\x1b[31m\\xff\\x9b)", raw)
            line = subprocess.run([STUCKTRACE, "explain", "--json", str(target.pid)],
                                  stdout=subprocess.PIPE, timeout=60).stdout
            self.assertEqual(line.count(b"\n"), 1)
            self.assertNotIn(b"\x1b", line)
            comm = json.loads(line.decode("utf-8"))["processes"][0]["comm"]
            self.assertTrue(comm.startswith("x\n\x1b[31m"), comm)

    def test_an_absolute_sleep_says_what_is_left(self):
        with python(ABSOLUTE_SLEEP) as target:
            self.assertTrue(wait_until(lambda: waits_in(target.pid, "nanosleep")))
            text = stucktrace("explain", target.pid).stdout
            self.assertRegex(text, r"sleeps.*, 1[45] min( \d+ s)? left")

    def test_a_restarted_call_has_its_name(self):
        poller = "import select; select.poll().poll(900000)"
        with python(poller) as target:
            self.assertTrue(wait_until(lambda: waits_in(target.pid, "poll")))
            # A stop and a continue, as any debugger's, leave it in restart_syscall(2).
            os.kill(target.pid, 19)
            self.assertTrue(wait_until(
                lambda: status_field(target.pid, "State").startswith("T")))
            os.kill(target.pid, 18)
            self.assertTrue(wait_until(lambda: waits_in(target.pid, "poll")))
            for words in (["explain"], ["explain", "--json"]):
                self.assertNotIn("restart_syscall", stucktrace(*words, target.pid).stdout)

    def test_a_longer_look_is_advised_and_works(self):
        with python(NAPPERS) as target:
            self.assertTrue(wait_until(lambda: waits_in(target.pid, "nanosleep")))
            text = " ".join(stucktrace("explain", target.pid).stdout.split())
            self.assertIn("stucktrace explain --settle 2s %d" % target.pid, text)
            longer = stucktrace("explain", "--settle", "2s", target.pid)
            self.assertEqual(longer.returncode, 0, longer.stderr)
            self.assertNotIn("--settle", longer.stdout)


class Sight(Case):
    def test_another_users_tree(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become somebody else")
        nobody = pwd.getpwnam("nobody")
        probe = subprocess.run([STUCKTRACE, "--version"], preexec_fn=become(nobody),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if probe.returncode != 0:
            self.skipTest("the build tree is not readable for other users")
        with python(SLEEPERS % 20) as target:
            self.assertTrue(wait_until(lambda: len(children(target.pid)) == 20))
            result = stucktrace("explain", target.pid, preexec_fn=become(nobody))
            self.assertEqual(result.returncode, 0, result.stderr)
            missing = result.stdout.split("\nCould not see\n")[1]
            self.assertIn("each of 21 processes (", missing)
            self.assertIn("sudo stucktrace explain %d" % target.pid, " ".join(missing.split()))
            self.assertLess(len(missing.splitlines()), 12, missing)
            report = report_of(stucktrace("explain", "--json", target.pid,
                                          preexec_fn=become(nobody)).stdout)
            self.assertTrue(report["could_not_see"])
            self.assertTrue(any("sudo" in way for way in report["ways_in"]), report["ways_in"])

    def test_inside_of_a_pid_namespace(self):
        unshare = shutil.which("unshare")
        inside = [unshare, "--pid", "--fork", "--mount-proc"]
        if not unshare or subprocess.run(inside + ["true"], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no pid namespace can be made here")
        result = subprocess.run(
            inside + ["sh", "-c", 'sleep 60 & "$0" explain $!; kill $!', STUCKTRACE],
            stdout=subprocess.PIPE, encoding="utf-8", timeout=60)
        text = " ".join(result.stdout.split())
        self.assertIn("processes outside of this pid namespace", text)
        self.assertIn("--pid=host", text)

    def test_everything_was_seen(self):
        if os.geteuid() != 0 or os.readlink("/proc/self/ns/pid") != "pid:[4026531836]":
            self.skipTest("needs root of the machine itself")
        with Background(["sleep", "60"]) as target:
            self.assertTrue(wait_until(lambda: waits_in(target.pid, "nanosleep")))
            report = report_of(stucktrace("explain", "--json", target.pid).stdout)
            self.assertEqual((report["could_not_see"], report["ways_in"]), ([], []))


if __name__ == "__main__":
    main()
