"""How run and attach trace: by a filter or at every call, from which CPU, and what -c counts."""
import os
import re
import signal
import subprocess
import sys
import unittest

from harness import (EXIT_FAILURE, STUCKTRACE, Background, Case, main, status_field, stucktrace,
                     wait_until)

PR_GET_SECCOMP = 21
SECCOMP_MODE = "import ctypes; print('mode', ctypes.CDLL(None).prctl(%d))" % PR_GET_SECCOMP
# A thread that waits in a read, which no stop tells of under the filter.
QUIET_READ = "import os, signal; r, w = os.pipe(); signal.alarm(2); os.read(r, 1)"


def python(code):
    return [sys.executable, "-S", "-c", code]


class Filter(Case):
    def test_run_filters_by_default(self):
        result = stucktrace("run", "-q", "--", *python(SECCOMP_MODE))
        self.assertEqual((result.returncode, result.stdout), (0, "mode 2\n"), result.stderr)

    def test_no_filter_on_request_or_where_everything_is_traced(self):
        for options in (["--no-seccomp"], ["-e", "trace=all"], ["-c"]):
            with self.subTest(options):
                result = stucktrace("run", "-q", *options, "--", *python(SECCOMP_MODE))
                self.assertEqual((result.returncode, result.stdout), (0, "mode 0\n"))

    def test_a_chosen_set_is_seen_and_nothing_else(self):
        result = stucktrace("run", "-e", "trace=getpid,/^mkdir/", "--",
                            *python("import os; os.getpid(); os.getppid(); os.mkdir('/')\n"))
        self.assertRegex(result.stderr, r"getpid\(\)")
        self.assertRegex(result.stderr, r'mkdir\("/", 0?777\) = EEXIST')
        self.assertNotRegex(result.stderr, r"getppid\(\) =")
        self.assertNotIn("openat", result.stderr)

    def test_what_no_stop_tells_of_is_found_by_looking(self):
        result = stucktrace("run", "--", *python(QUIET_READ))
        self.assertEqual(result.returncode, 128 + signal.SIGALRM)
        self.assertRegex(result.stderr, r"read\(\d<pipe:\d+ ← P1:\d>, 1 bytes?\)")

    def test_debuggers_run_without_one(self):
        if not os.path.exists("/usr/bin/strace"):
            self.skipTest("strace is not installed")
        result = stucktrace("run", "-q", "--no-seccomp", "--", "strace", "-qq", "-e", "trace=exit_group",
                            "sh", "-c", "exit 3")
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("exit_group(3)", result.stderr)
        by_itself = stucktrace("run", "--", "strace", "-qq", "-e", "trace=exit_group", "sh", "-c", "exit 3")
        self.assertEqual(by_itself.returncode, 3, by_itself.stderr)
        self.assertIn("exit_group(3)", by_itself.stderr)
        self.assertIn("as with --no-seccomp", by_itself.stderr)

    def test_who_traces_under_a_filter_gets_what_it_wants(self):
        if not os.path.exists("/usr/bin/strace"):
            self.skipTest("strace is not installed")
        for options in ([], ["-e", "trace=all", "--no-seccomp"], ["-e", "trace=write,%process"]):
            with self.subTest(options):
                result = stucktrace("run", *options, "--", "sh", "-c",
                                    "strace -f -qq -o '%s' sh -c '(exit 3); echo inner'; echo $?"
                                    % self.path("inner"))
                self.assertEqual(result.stdout, "inner\n0\n", result.stderr)
                self.assertIn(": let go", result.stderr)
                with open(self.path("inner")) as file:
                    self.assertRegex(file.read(), r"exit_group\(3\b")

    def test_a_leak_checker_finds_what_it_finds_without_a_tracer(self):
        program = self.path("leaks")
        for name, code, status in (("clean", "free(malloc(9)); return 0;", 0),
                                   ("leaky", "void *volatile p = malloc(9); p = 0; return p != 0;", 23)):
            built = subprocess.run(["gcc", "-fsanitize=address", "-xc", "-", "-o", program],
                                   input="#include <stdlib.h>\nint main(void) { %s }\n" % code,
                                   encoding="utf-8", stderr=subprocess.PIPE)
            if built.returncode != 0:
                self.skipTest("no sanitized program can be built")
            environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:exitcode=23")
            for options in ([], ["--no-seccomp"], ["-e", "trace=all"]):
                with self.subTest(name=name, options=options):
                    result = stucktrace("run", "-q", *options, "--", program, env=environment)
                    self.assertEqual(result.returncode, status, result.stderr)
                    self.assertEqual("9 byte(s) leaked" in result.stderr, status != 0, result.stderr)

    def test_a_killed_tracer_takes_a_filtered_tree_along(self):
        for options, survives in ((["--no-seccomp"], True), ([], False),
                                  (["--no-seccomp", "--kill-on-exit"], False)):
            with self.subTest(options):
                with Background([STUCKTRACE, "run", "-q", *options, "--", "sleep", "60"]) as tool:
                    def child():
                        try:
                            with open("/proc/%d/task/%d/children" % (tool.pid, tool.pid)) as file:
                                return [int(pid) for pid in file.read().split()]
                        except OSError:
                            return []
                    self.assertTrue(wait_until(
                        lambda: child() and status_field(child()[0], "Name") == "sleep"))
                    pid = child()[0]
                    os.kill(tool.pid, signal.SIGKILL)
                    if survives:
                        self.assertTrue(wait_until(lambda: status_field(pid, "TracerPid") == "0"))
                        self.assertIn(status_field(pid, "State")[:1], "SR")
                        os.kill(pid, signal.SIGKILL)
                    self.assertTrue(wait_until(
                        lambda: status_field(pid, "State")[:1] in ("", "Z", "X")))


class Placement(Case):
    def test_the_command_keeps_its_class_priority_and_cpus(self):
        code = ("import os; print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0),"
                " sorted(os.sched_getaffinity(0)))")
        native = os.popen("%s -S -c '%s'" % (sys.executable, code)).read()
        for placement in ("auto", "local", "normal"):
            with self.subTest(placement):
                result = stucktrace("run", "-q", "-e", "trace=all", "--placement", placement, "--",
                                    *python(code))
                self.assertEqual(result.stdout, native, result.stderr)

    def test_decisions_are_told_with_v(self):
        result = stucktrace("run", "-v", "--", "true")
        self.assertRegex(result.stderr, r"placement: \S+")
        self.assertRegex(result.stderr, r"stops: \d+")

    def test_fast_idle_works_or_says_why(self):
        result = stucktrace("run", "-q", "--fast-idle", "--", "true")
        if result.returncode != 0:
            self.assert_one_line_error(result, EXIT_FAILURE, "/dev/cpu_dma_latency")


class Summary(Case):
    def test_counts_by_call_process_and_descriptor(self):
        result = stucktrace("run", "-c", "--", "sh", "-c",
                            "printf 12345 | cat; printf x > /dev/null")
        self.assertEqual((result.returncode, result.stdout), (0, "12345"))
        text = result.stderr
        for column in ("calls", "errors", "wall time", "system time", "blocked"):
            self.assertIn(column, text)
        self.assertRegex(text, r"(?m)^ +\d+ .* wait4$")
        self.assertRegex(text, r"(?m)^ +\d+ .*  P1 \d+ \((sh|dash)\)$")
        self.assertRegex(text, r"<pipe:\[?\d+\]?>  in 5 bytes")
        self.assertNotIn("runs:", text)

    def test_a_set_restricts_it(self):
        result = stucktrace("run", "-c", "-e", "trace=wait4", "--", "sh", "-c", "true & wait")
        calls = re.findall(r"(?m)^ +\d+ .*  (\w+)$", result.stderr)
        self.assertEqual([call for call in calls if call != "total"], ["wait4"])

    def test_while_attached(self):
        with Background(["sh", "-c", "while :; do sleep 0.02; done"]) as target:
            self.assertTrue(wait_until(lambda: status_field(target.pid, "Name") in ("sh", "dash")))
            result = stucktrace("attach", "-c", "--for", "2s", target.pid)
        self.assertIn("calls", result.stdout + result.stderr)


if __name__ == "__main__":
    main()
