"""How run ends a tree: at a deadline, idle, on a finding, when told to, and what the command left behind."""
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys

from harness import (EXIT_FAILURE, EXIT_STUCK, PATIENCE, STUCKTRACE, Background, Case, main, report_of,
                     status_field, stucktrace, wait_until)

EXIT_DEADLINE = 124
POLL = 7  # the call's number on x86-64
SLEEP = "600"  # longer than any of this takes

# Tells its pid in a file, so that the test knows when it is there and can see that it has ended.
TELL = "import os, signal, sys, time\ndef tell(name):\n" \
       "    open(os.path.join(sys.argv[1], name), 'w').write(str(os.getpid()))\n"

# Everything that timeout(1) lets go: orphans with a session of their own, a process that ignores
# SIGTERM, one that is stopped, one that others wait for.
ZOO = TELL + """
def child(body):
    if os.fork() == 0:
        body()
        os._exit(0)
def daemon():
    os.setsid()
    if os.fork() == 0:
        tell('daemon')
        time.sleep(%s)
def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell('deaf')
    while True:
        time.sleep(%s)
def stopped():
    tell('stopped')
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(%s)
def shell():
    os.execvp('sh', ['sh', '-c', 'echo $$ > "$1/shell"; sleep %s; true', 'sh', sys.argv[1]])
def node():
    os.execvp('node', ['node', '-e', 'require("fs").writeFileSync(process.argv[1] + "/node", '
                       '"" + process.pid); setTimeout(() => {}, %s000)', sys.argv[1]])
child(daemon); child(deaf); child(stopped); child(shell)
if sys.argv[2] == 'node':
    child(node)
tell('main')
time.sleep(%s)
""" % ((SLEEP,) * 6)

# The parent waits for a line from its child, which waits for one from its parent.
DEADLOCK = TELL + """
child_reads, parent_writes = os.pipe()
parent_reads, child_writes = os.pipe()
if os.fork() == 0:
    os.close(parent_writes); os.close(parent_reads)
    os.read(child_reads, 1)
    os._exit(0)
os.close(child_reads); os.close(child_writes)
tell('main')
os.read(parent_reads, 1)
"""

# A process that has a tracer within the tree: stucktrace lets it go, and what it starts is untraced.
TRACED_BY_ITSELF = TELL + """
import ctypes
if os.fork() == 0:
    ctypes.CDLL(None).ptrace(0, 0, 0, 0)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            tell('untraced')
            time.sleep(%s)
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
tell('main')
time.sleep(%s)
""" % (SLEEP, SLEEP)

# The same, but what is not traced is all that is left; it lives on after SIGTERM.
LEAVES_UNTRACED = TELL + """
import ctypes
if os.fork() == 0:
    ctypes.CDLL(None).ptrace(0, 0, 0, 0)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, lambda *_: tell('asked'))
            tell('untraced')
            while True:
                time.sleep(%s)
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
while not os.path.exists(os.path.join(sys.argv[1], 'untraced')):
    time.sleep(0.01)
os._exit(3)
""" % SLEEP

# An orphan tells who has taken it in.
ORPHAN = TELL + """
if os.fork() == 0:
    middle = os.getpid()
    if os.fork() == 0:
        while os.getppid() == middle:
            time.sleep(0.01)
        print(os.getppid())
    os._exit(0)
os.wait()
"""


def alive(pid):
    return status_field(pid, "State")[:1] not in ("", "Z", "X")


class Limits(Case):
    def pid_of(self, name):
        with open(self.path(name)) as file:
            return int(file.read())

    def told(self, *names):
        return all(os.path.exists(self.path(name)) and os.path.getsize(self.path(name)) for name in names)

    def program(self, code, *words):
        return [sys.executable, "-S", "-c", code, self.directory, *words]

    def run_until_deadline(self, options, command, names, **more):
        """With a deadline late enough for the command to have got where it goes."""
        for seconds in (2, 6, 20):
            for name in names:
                if os.path.exists(self.path(name)):
                    os.unlink(self.path(name))
            result = stucktrace("run", "--deadline", "%ds" % seconds, *options, "--", *command, **more)
            if self.told(*names):
                return result
        self.fail("the command never got there: %s" % result.stderr)

    def assert_gone(self, *names):
        for name in names:
            self.assertFalse(alive(self.pid_of(name)), name)


class Deadline(Limits):
    def test_the_whole_tree_is_diagnosed_and_ended(self):
        names = ["daemon", "deaf", "stopped", "shell", "main"] + ["node"] * bool(shutil.which("node"))
        report, recording = self.path("report.json"), self.path("zoo.rec")
        result = self.run_until_deadline(
            ["-q", "--grace", "300ms", "--json=" + report, "-o", recording],
            self.program(ZOO, "node" if "node" in names else ""), names)
        self.assertEqual(result.returncode, EXIT_DEADLINE, result.stderr)
        self.assert_gone(*names)
        self.assertRegex(result.stderr, r"\AEnded by stucktrace: the deadline of \d+ s has passed")
        with open(report) as file:
            told = json.load(file)
        self.assertEqual(told["ended"]["because"], "deadline")
        seen = {process["pid"]: process for process in told["processes"]}
        for name in names:
            self.assertIn(self.pid_of(name), seen, name)
        ended = {process["pid"] for process in told["ended"]["processes"]}
        self.assertEqual({self.pid_of(name) for name in names} - ended, set())
        self.assertIn("%d processes are ended: " % len(ended), result.stderr)
        main_threads = seen[self.pid_of("main")]["threads"]
        self.assertTrue(main_threads[0]["stack"] or main_threads[0]["python"])
        # The recording holds the look from before the end, and the end.
        replayed = stucktrace("replay", "--json", recording)
        pids = [process["pid"] for process in report_of(replayed.stdout)["processes"]]
        self.assertIn(self.pid_of("daemon"), pids)
        self.assertRegex(stucktrace("replay", recording).stdout, r"the deadline of \d+ s has passed")

    def test_who_comes_after_the_report_is_told_too(self):
        script = 'trap "sleep 600 & echo \\$! > %s; wait" TERM; sleep 500 & echo $! > %s; wait; wait' % (
            self.path("late"), self.path("early"))
        result = self.run_until_deadline(["-q", "--grace", "500ms", "--json"], ["sh", "-c", script],
                                         ["early", "late"])
        self.assertEqual(result.returncode, EXIT_DEADLINE, result.stderr)
        self.assert_gone("early", "late")
        late = self.pid_of("late")
        self.assertRegex(result.stderr, r"(?m)^2 processes are ended: sh \(pid \d+\), sleep \(pid %d\)\.$"
                         % self.pid_of("early"))
        self.assertRegex(result.stderr, r"(?m)^stucktrace: ended as well, found only then: sleep \(pid %d\)$"
                         % late)
        self.assertIn(late, [each["pid"] for each in report_of(result.stdout)["ended"]["processes"]])

    def test_in_every_way_of_tracing(self):
        for options in (["--no-seccomp"], ["--attach-mode", "attach"],
                        ["--no-seccomp", "--attach-mode", "attach"]):
            with self.subTest(options):
                names = ["daemon", "deaf", "stopped", "shell", "main"]
                result = self.run_until_deadline(["-q", "--grace", "100ms", *options],
                                                 self.program(ZOO, ""), names)
                self.assertEqual(result.returncode, EXIT_DEADLINE, result.stderr)
                self.assert_gone(*names)

    def test_what_was_let_go_on_the_way_is_ended_too(self):
        result = self.run_until_deadline(["-q", "--no-seccomp"], self.program(TRACED_BY_ITSELF),
                                         ["untraced", "main"])
        self.assertEqual(result.returncode, EXIT_DEADLINE, result.stderr)
        self.assert_gone("untraced", "main")

    def test_a_finding_is_told_at_the_deadline(self):
        result = self.run_until_deadline(["-q", "--json", "--stuck-after", "100s"],
                                         self.program(DEADLOCK), ["main"])
        self.assertEqual(result.returncode, EXIT_DEADLINE, result.stderr)
        self.assertRegex(result.stderr, r"(?m)^DEADLOCK|^STUCK")
        report = report_of(result.stdout)
        self.assertEqual([(finding["rule"], finding["certainty"]) for finding in report["findings"]],
                         [("deadlock", "proven")])

    def test_a_command_that_ends_in_time_keeps_its_status(self):
        for command, status in ((["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137)):
            result = stucktrace("run", "-q", "--deadline", "100s", "--idle", "100s", "--fail-on", "stuck",
                                "--close-orphans", "--", *command)
            self.assertEqual((result.returncode, result.stderr), (status, ""))

    def test_what_is_cut_short_is_compared_with_nothing_and_says_so(self):
        result = stucktrace("run", "-q", "--close-orphans", "--stuck-after", "100ms", "--grace",
                            "100ms", "--assert", "execs <= 100", "--", "sh", "-c", "sleep 1000 &")
        self.assertEqual(result.returncode, EXIT_FAILURE, result.stderr)
        self.assertIn("compared with nothing", result.stderr)

    def test_also_when_what_it_left_behind_goes_on_till_then(self):
        code = TELL + "if os.fork() == 0:\n    tell('rest')\n    time.sleep(%s)\nos._exit(3)\n" % SLEEP
        result = self.run_until_deadline(["-q", "--grace", "5s"], self.program(code), ["rest"])
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("what it left behind", " ".join(result.stderr.split()))
        self.assert_gone("rest")

    def test_nobody_reads_the_output(self):
        # The command fills the pipe, and stucktrace has no room for its own words either.
        reader, writer = os.pipe()
        try:
            process = subprocess.Popen(
                [STUCKTRACE, "run", "--json", "--deadline", "2s", "--grace", "100ms", "--", "sh", "-c",
                 'echo $$ > "$0/main"; exec yes', self.directory],
                stdin=subprocess.DEVNULL, stdout=writer, stderr=writer)
            try:
                self.assertEqual(process.wait(PATIENCE), EXIT_DEADLINE)
            finally:
                process.kill()
                process.wait()
        finally:
            os.close(reader)
            os.close(writer)
        self.assert_gone("main")

    def test_nobody_who_does_not_read_our_words_holds_the_program_up(self):
        # The program ends with more lines on their way than wait between it and the timeline, so
        # that some were made by then, and more than are kept for a reader who may come.
        reader, writer = os.pipe()
        process = None
        try:
            fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
            with self.assertRaises(BlockingIOError):
                while True:
                    os.write(writer, b"." * 4096)
            fcntl.fcntl(writer, fcntl.F_SETFL, 0)
            process = subprocess.Popen(
                [STUCKTRACE, "run", "-e", "trace=all", "--deadline", "1h", "--",
                 *self.program(TELL + "for i in range(20000): os.access('/%d' % i + 'x' * 150, 0)\n"
                               "tell('over')\nos._exit(4)", "")],
                stdin=subprocess.DEVNULL, stderr=writer, start_new_session=True)
            os.close(writer)
            writer = None
            self.assertTrue(wait_until(lambda: self.told("over")))
            process.send_signal(signal.SIGUSR1)
            with open(reader, encoding="utf-8", closefd=False) as words:
                text = words.read().lstrip(".")
            self.assertEqual(process.wait(PATIENCE), 4)
        finally:
            if process:
                process.kill()
                process.wait()
            os.close(reader)
            if writer is not None:
                os.close(writer)
        lines = text.splitlines()
        self.assertRegex(lines[-1], r"^stucktrace: \d+ lines were left out in all, since stderr was "
                                    r"not read$")
        left_out = int(lines[-1].split()[1])
        kept = sum(1 for line in lines if "xxx" in line)
        self.assertGreater(kept, 1000)
        self.assertGreaterEqual(kept + left_out, 20000)

    def test_orphans_have_the_parent_they_have_without(self):
        native = subprocess.run(self.program(ORPHAN), stdout=subprocess.PIPE, encoding="utf-8", check=True)
        traced = stucktrace("run", "-q", "--deadline", "100s", "--close-orphans", "--stuck-after", "100s",
                            "--", *self.program(ORPHAN))
        self.assertEqual((traced.returncode, traced.stdout), (0, native.stdout), traced.stderr)

    def test_bad_limits(self):
        for options, words in ((["--deadline", "soon"], "--deadline: 'soon' is no duration"),
                               (["--idle", "1ms"], "--idle must be at least 500ms"),
                               (["--grace", "-1s"], "--grace: '-1s' is no duration"),
                               (["--fail-on", "luck"], "--fail-on")):
            result = stucktrace("run", *options, "--", "true")
            self.assert_one_line_error(result, EXIT_FAILURE, words)

    def test_no_time_is_no_limit(self):
        result = stucktrace("run", "-q", "--deadline", "0", "--idle", "0", "--", "sh", "-c", "exit 4")
        self.assertEqual(result.returncode, 4, result.stderr)


class Idle(Limits):
    def test_who_sleeps_is_idle(self):
        result = stucktrace("run", "-q", "--json", "--idle", "1s", "--", "sh", "-c",
                            "echo begun; sleep %s | sleep %s" % (SLEEP, SLEEP))
        self.assertEqual(result.returncode, EXIT_DEADLINE, result.stderr)
        self.assertIn("(--idle)", result.stderr)
        report = report_of(result.stdout)
        self.assertEqual((report["ended"]["because"], report["ended"]["limit_ms"]), ("idle", 1000))

    def test_who_writes_is_not(self):
        code = "import os, time\nfor _ in range(25):\n    os.write(1, b'.')\n    time.sleep(0.1)\n"
        result = stucktrace("run", "-q", "--idle", "2s", "--", *self.program(code))
        self.assertEqual((result.returncode, result.stdout), (0, "." * 25), result.stderr)


class FailOn(Limits):
    def test_a_deadlock_fails_the_run(self):
        for kind in ("stuck", "deadlock"):
            with self.subTest(kind):
                result = stucktrace("run", "-q", "--json", "--stuck-after", "300ms", "--fail-on", kind,
                                    "--", *self.program(DEADLOCK))
                self.assertEqual(result.returncode, EXIT_STUCK, result.stderr)
                report = report_of(result.stdout)
                self.assertEqual(report["ended"]["because"], "fail-on")
                self.assertEqual(report["history"][0]["finding"]["certainty"], "proven")
                self.assert_gone("main")

    def test_waiting_is_no_failure(self):
        result = stucktrace("run", "-q", "--stuck-after", "100ms", "--fail-on", "stuck", "--", "sh", "-c",
                            "sleep 1; exit 5")
        self.assertEqual(result.returncode, 5, result.stderr)


class Untraced(Limits):
    def leave(self, *limits):
        return [STUCKTRACE, "run", "-q", "--no-seccomp", *limits, "--",
                *self.program(LEAVES_UNTRACED)]

    def test_what_was_let_go_and_is_all_that_is_left_has_the_same_deadline(self):
        result = stucktrace(*self.leave("--deadline", "2s", "--grace", "100ms")[1:])
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("the command itself had ended", " ".join(result.stderr.split()))
        self.assertTrue(self.told("asked"))
        self.assert_gone("untraced")

    def test_it_is_closed_like_an_orphan(self):
        result = stucktrace(*self.leave("--close-orphans", "--stuck-after", "100ms", "--grace",
                                        "100ms")[1:])
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assert_gone("untraced")

    def test_told_to_end_while_it_has_its_grace_kills_it(self):
        with Background(self.leave("--close-orphans", "--stuck-after", "100ms", "--grace", "1h"),
                        stderr=subprocess.DEVNULL) as run:
            self.assertTrue(wait_until(lambda: self.told("asked")))
            run.process.terminate()
            self.assertEqual(run.process.wait(PATIENCE), 3)
        self.assert_gone("untraced")

    def test_told_to_end_while_only_it_is_left(self):
        with Background(self.leave("--deadline", "1h", "--grace", "100ms"),
                        stderr=subprocess.DEVNULL) as run:
            self.assertTrue(wait_until(lambda: self.told("untraced")))
            run.process.terminate()
            self.assertEqual(run.process.wait(PATIENCE), 128 + signal.SIGTERM)
        self.assert_gone("untraced")


class ToldToEnd(Limits):
    def test_the_tree_is_diagnosed_and_ended_first(self):
        report = self.path("report.json")
        with Background([STUCKTRACE, "run", "-q", "--deadline", "1h", "--grace", "1h", "--json=" + report,
                         "--", *self.program(ZOO, "")], stderr=subprocess.PIPE) as run:
            self.assertTrue(wait_until(lambda: self.told("daemon", "deaf", "stopped", "shell", "main")))
            run.process.terminate()
            stderr = run.process.communicate(timeout=PATIENCE)[1]
            self.assertEqual(run.process.returncode, 128 + signal.SIGTERM, stderr)
        self.assertIn("told to end (SIGTERM)", stderr)
        self.assert_gone("daemon", "deaf", "stopped", "shell", "main")
        with open(report) as file:
            self.assertEqual(json.load(file)["ended"]["because"], "cancelled")

    def test_two_signals_at_once_end_everything(self):
        with Background([STUCKTRACE, "run", "-q", "--deadline", "1h", "--", *self.program(ZOO, "")],
                        stderr=subprocess.DEVNULL) as run:
            self.assertTrue(wait_until(lambda: self.told("deaf", "main")))
            run.process.terminate()
            run.process.send_signal(signal.SIGINT)  # at once: it may count as the same request
            self.assertIn(run.process.wait(PATIENCE), (128 + signal.SIGTERM, 128 + signal.SIGINT))
        self.assert_gone("deaf", "main")

    def test_what_is_ignored_tells_nobody_to_end(self):
        """nohup: a signal that is blocked is queued even if it is ignored."""
        words = [STUCKTRACE, "run", "-q", "--deadline", "1h", "--",
                 *self.program(TELL + "tell('main'); os.read(0, 1); tell('over')")]
        reading, writing = os.pipe()
        tool = subprocess.Popen(
            words, stdin=reading, stderr=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        os.close(reading)
        self.addCleanup(tool.kill)
        self.assertTrue(wait_until(lambda: self.told("main")))
        tool.send_signal(signal.SIGHUP)
        os.close(writing)
        self.assertEqual(tool.wait(PATIENCE), 0)
        self.assertTrue(self.told("over"))

    def test_after_the_commands_end_it_is_for_those_left_behind(self):
        """The command's number is nobody's any more."""
        with Background([STUCKTRACE, "run", "-q", "--", *self.program(LEAVES, SLEEP)],
                        stderr=subprocess.DEVNULL) as run:
            self.assertTrue(wait_until(lambda: self.told("left")))
            left = self.pid_of("left")
            # Orphans are adopted by somebody else once their parent has been waited for.
            self.assertTrue(wait_until(lambda: parent_of(left) not in children_of(run.pid)))
            run.process.terminate()
            self.assertEqual(run.process.wait(PATIENCE), 3)
        self.assert_gone("left")


class Unread(Limits):
    """When the trace is over nobody but who reads is left to wait for: until told to end."""

    def full_pipe(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
        with self.assertRaises(BlockingIOError):
            while True:
                os.write(writer, b"." * 4096)
        fcntl.fcntl(writer, fcntl.F_SETFL, 0)
        return writer

    def start(self, words, **streams):
        tool = subprocess.Popen([STUCKTRACE, *words], stdin=subprocess.DEVNULL, start_new_session=True,
                                **streams)
        for stream in streams.values():
            if stream >= 0:
                os.close(stream)
        self.addCleanup(tool.wait)
        self.addCleanup(tool.kill)
        return tool

    def told_once_it_waits(self, tool, signo):
        """Its main thread, which traced, waits for room in the pipe."""
        def waits():
            with open("/proc/%d/task/%d/syscall" % (tool.pid, tool.pid)) as file:
                return file.read().split(" ", 1)[0] == str(POLL)
        self.assertTrue(wait_until(waits))
        self.assertIsNone(tool.poll())
        tool.send_signal(signo)
        return tool.wait(PATIENCE)

    def test_run(self):
        code = TELL + "for i in range(300): os.access('/%d' % i, 0)\ntell('over')\nos._exit(4)"
        for signo in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signo):
                tool = self.start(["run", "-e", "trace=all", "--", *self.program(code)],
                                  stderr=self.full_pipe())
                self.assertTrue(wait_until(lambda: self.told("over")))
                self.assertTrue(wait_until(lambda: not children_of(tool.pid)))
                self.assertEqual(self.told_once_it_waits(tool, signo), 4)
                os.unlink(self.path("over"))

    def test_attach(self):
        with Background([sys.executable, "-S", "-c", "import os, sys\nopen(sys.argv[1], 'w').write('x')\n"
                         "while True: os.close(os.open('/dev/null', 0))", self.path("begun")]) as target:
            self.assertTrue(wait_until(lambda: self.told("begun")))
            tool = self.start(["attach", "-e", "trace=all", str(target.pid)], stdout=self.full_pipe(),
                              stderr=subprocess.DEVNULL)
            self.assertTrue(wait_until(lambda: status_field(target.pid, "TracerPid") == str(tool.pid)))
            tool.send_signal(signal.SIGINT)
            self.assertTrue(wait_until(lambda: status_field(target.pid, "TracerPid") == "0"))
            self.assertEqual(self.told_once_it_waits(tool, signal.SIGINT), EXIT_FAILURE)


def parent_of(pid):
    return int(status_field(pid, "PPid"))


def children_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return [int(word) for word in file.read().split()]


# Leaves a daemon behind that keeps the output, and ends with a status of its own.
LEAVES = TELL + """
if os.fork() == 0:
    os.setsid()
    tell('left')
    time.sleep(float(sys.argv[2]))
    os._exit(0)
while not os.path.exists(os.path.join(sys.argv[1], 'left')):
    time.sleep(0.01)
os._exit(3)
"""


class Orphans(Limits):
    def test_who_keeps_the_output_open_is_told_and_closed(self):
        report = self.path("report.json")
        result = stucktrace("run", "--stuck-after", "500ms", "--close-orphans", "--json=" + report, "--",
                            *self.program(LEAVES, SLEEP))
        self.assertEqual(result.returncode, 3, result.stderr)
        left = self.pid_of("left")
        self.assert_gone("left")
        self.assertIn("(pid %d) was left behind and keeps its output open" % left,
                      " ".join(result.stderr.split()))
        with open(report) as file:
            told = json.load(file)
        self.assertEqual(told["ended"]["because"], "orphans")
        finding = told["history"][0]["finding"]
        self.assertEqual((finding["rule"], finding["certainty"], finding["pid"]),
                         ("exit-held-open", "likely", left))
        self.assertTrue(any("/proc/%d/fd/1" % left in fact for fact in finding["evidence"]), finding)

    def test_by_default_it_is_told_and_left_alone(self):
        recording = self.path("left.rec")
        result = stucktrace("run", "--stuck-after", "300ms", "-o", recording, "--",
                            *self.program(LEAVES, "2"))
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("keeps its output open", " ".join(result.stderr.split()))
        self.assertNotIn("Ended by stucktrace", result.stderr)
        self.assertIn("exit-held-open", stucktrace("replay", recording).stdout)

    def test_output_sent_elsewhere_is_no_finding(self):
        result = stucktrace("run", "--stuck-after", "200ms", "--", "sh", "-c",
                            "sleep 2 >/dev/null 2>&1 & exit 6")
        self.assertEqual(result.returncode, 6, result.stderr)
        self.assertNotIn("keeps its output open", " ".join(result.stderr.split()))


if __name__ == "__main__":
    main()
