"""Whatever happens to the tool, the target does not notice.

STUCKTRACE_SOAK=1 runs the full numbers: 500 kills in each mode and 1 000 attachments (some 20
minutes); otherwise a sample of them.
"""
import os
import random
import resource
import signal
import socket
import subprocess
import threading
import time

from harness import (PATIENCE, STUCKTRACE, TARGETS, Case, main, stucktrace, task_states, wait_until)

SOAK = bool(os.environ.get("STUCKTRACE_SOAK"))
KILLS = 500 if SOAK else 30  # in each mode
ATTACHMENTS = 1000 if SOAK else 20  # in each mode


class Patient:
    """A target of target/README.md with its pipes; killed at the end of the block."""

    def __init__(self, *words):
        path = os.path.join(TARGETS, words[0])
        self.process = subprocess.Popen([path] + [str(word) for word in words[1:]],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        encoding="utf-8", bufsize=1, start_new_session=True)
        self.said = []
        while not self.said or self.said[-1] != "ready":
            line = self.line()
            if not line:
                raise RuntimeError("the target ended: %r" % self.said)
            self.said.append(line)

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def values(self, name):
        return [int(line.split()[1]) for line in self.said if line.startswith(name + " ")]

    def ask(self):
        """What it answers to one byte."""
        self.process.stdin.write("?")
        self.process.stdin.flush()
        return self.line()

    def end(self):
        """Its last words and status."""
        self.process.stdin.close()
        words = self.process.stdout.read().split("\n")
        return words[-2] if len(words) > 1 else "", self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        if not self.process.stdin.closed:
            self.process.stdin.close()


def tasks(pids):
    found = {}
    for pid in pids:
        for _ in range(100):  # threads come and go while one looks
            try:
                found.update(task_states(pid))
                break
            except OSError:
                continue
    return found


def stopped(pids):
    return {tid: state for tid, (state, _) in tasks(pids).items() if state in "tT"}


def traced(pids):
    return {tid: tracer for tid, (_, tracer) in tasks(pids).items() if tracer != "0"}


class Kills(Case):
    def kill_at_random(self, mode, check):
        chance = random.Random(20240 + len(mode))
        with Patient("busy_tree", 3) as tree:
            pids = tree.values("pid")
            for round_number in range(KILLS):
                tool = subprocess.Popen([STUCKTRACE, "attach", "-q", "--attach-mode", mode]
                                        + [str(pid) for pid in pids], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(chance.uniform(0, 0.15))  # the moment is what is tested
                if round_number % 3 == 0:  # while it detaches
                    tool.send_signal(signal.SIGINT)
                    time.sleep(chance.uniform(0, 0.02))
                tool.send_signal(chance.choice([signal.SIGKILL, signal.SIGSEGV]))
                tool.wait(PATIENCE)
                self.assertTrue(wait_until(lambda: not traced(pids)), traced(pids))
                check(pids, round_number)
                self.assertEqual(tree.ask(), "alive", "after kill %d" % round_number)
            self.assertEqual(tree.end(), ("wrong 0", 0))

    def test_a_seized_tree_goes_on(self):
        def nobody_is_stopped(pids, round_number):
            self.assertEqual(stopped(pids), {}, "after kill %d" % round_number)

        self.kill_at_random("seize", nobody_is_stopped)

    def test_an_attached_tree_is_alive_and_sigcont_continues_it(self):
        """PTRACE_ATTACH stops by a SIGSTOP, and one that was not yet taken when the tracer died
        stops the process for good: nobody dies, and SIGCONT puts it right."""
        left = []

        def continue_the_stopped(pids, round_number):
            # Its SIGSTOP may still be on its way: only a stop of the whole process can be seen.
            for pid in pids:
                if stopped([pid]):
                    left.append(round_number)
                os.kill(pid, signal.SIGCONT)

        self.kill_at_random("attach", continue_the_stopped)
        print("left stopped: %d of %d" % (len(set(left)), KILLS))


class Clients:
    """Threads that send requests without a pause and note each that fails."""

    def __init__(self, port, count=4):
        self.port, self.done, self.failures, self.end = port, 0, [], threading.Event()
        self.threads = [threading.Thread(target=self.work) for _ in range(count)]

    def work(self):
        number = 0
        while not self.end.is_set():
            number += 1
            line = b"request %d\n" % number
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as link:
                    link.sendall(line)
                    answer = b""
                    while not answer.endswith(b"\n"):
                        part = link.recv(4096)
                        if not part:
                            break
                        answer += part
                if answer != line:
                    self.failures.append(answer)
            except OSError as error:
                self.failures.append(repr(error))
            self.done += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        for thread in self.threads:
            thread.join()


class Server(Case):
    def attach_and_leave(self, mode):
        with Patient("server", 200) as server:
            pid = server.process.pid
            descriptors = sorted(os.listdir("/proc/%d/fd" % pid))
            with Clients(server.values("port")[0]) as clients:
                for number in range(ATTACHMENTS):
                    result = stucktrace("attach", "-q", "--for", "1ms", "--attach-mode", mode, pid)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertEqual(traced([pid]), {}, "after attachment %d" % number)
                    self.assertEqual(stopped([pid]), {}, "after attachment %d" % number)
            self.assertEqual(clients.failures, [])
            self.assertGreater(clients.done, ATTACHMENTS)
            self.assertEqual(len(tasks([pid])), 201)
            self.assertTrue(wait_until(
                lambda: sorted(os.listdir("/proc/%d/fd" % pid)) == descriptors))
            words, status = server.end()
            self.assertEqual(status, 0)
            self.assertEqual(words, "served %d failed 0" % clients.done)

    def test_seize(self):
        self.attach_and_leave("seize")

    def test_attach(self):
        self.attach_and_leave("attach")


class Degradation(Case):
    def assert_done(self, mark):
        with open(mark) as file:
            self.assertEqual(file.read(), "done\n")

    def test_a_full_disk(self):
        with Patient("busy_tree", 1) as tree:
            pids = tree.values("pid")
            result = stucktrace("attach", "-o", "/dev/full", "--for", "1s", *pids)
            self.assertIn("No space left", result.stderr)
            self.assertEqual(traced(pids), {})
            self.assertEqual(stopped(pids), {})
            self.assertEqual(tree.ask(), "alive")
            self.assertEqual(tree.end(), ("wrong 0", 0))

    def test_a_disk_that_fills_up_does_not_reach_the_command(self):
        small = self.path("small")
        os.mkdir(small)
        if os.geteuid() != 0 or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=64k", "none", small],
                stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("a small file system cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", small])
        mark = self.path("done")
        script = "for i in $(seq 50); do ls -l / >/dev/null; done; echo done >%s; exit 5" % mark
        result = stucktrace("run", "-q", "-e", "trace=all", "-o", os.path.join(small, "trace"),
                            "--", "sh", "-c", script)
        self.assert_done(mark)
        self.assertEqual(result.returncode, 5, result.stderr)
        self.assertIn("No space left", result.stderr)

    def test_a_closed_pipe(self):
        mark = self.path("done")
        script = "for i in 1 2 3 4 5; do ls / >/dev/null; done; echo done >%s; exit 6" % mark
        reading, writing = os.pipe()
        os.close(reading)
        try:
            subprocess.run([STUCKTRACE, "run", "--", "sh", "-c", script], stdin=subprocess.DEVNULL,
                           stdout=writing, stderr=writing, timeout=PATIENCE)
        finally:
            os.close(writing)
        self.assert_done(mark)

    def test_a_closed_pipe_does_not_reach_an_attached_tree(self):
        with Patient("busy_tree", 1) as tree:
            pids = tree.values("pid")
            reading, writing = os.pipe()
            os.close(reading)
            try:
                subprocess.run([STUCKTRACE, "attach", "--for", "1s", "-e", "trace=all"]
                               + [str(pid) for pid in pids], stdin=subprocess.DEVNULL,
                               stdout=writing, stderr=writing, timeout=PATIENCE)
            finally:
                os.close(writing)
            self.assertEqual(traced(pids), {})
            self.assertEqual(stopped(pids), {})
            self.assertEqual(tree.ask(), "alive")
            self.assertEqual(tree.end(), ("wrong 0", 0))

    def test_memory_that_runs_out(self):
        """The tool's memory, not the target's: its trace grows until it may have no more."""
        limit = 192 << 20
        with Patient("busy_tree", 1) as tree:
            pids = tree.values("pid")
            subprocess.run([STUCKTRACE, "attach", "--for", "3s", "-e", "trace=all", "--payload",
                            "all", "-o", self.path("trace")] + [str(pid) for pid in pids],
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=PATIENCE,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS,
                                                                 (limit, limit)))
            self.assertTrue(wait_until(lambda: not traced(pids)), traced(pids))
            self.assertEqual(stopped(pids), {})
            self.assertEqual(tree.ask(), "alive")
            self.assertEqual(tree.end(), ("wrong 0", 0))


class Look(Case):
    """A look without permission to stop anything: threads that compute say what they noticed."""
    LOOKS = 5

    def stops(self, *options):
        with Patient("longest_gap", 2) as target:
            for _ in range(self.LOOKS if options else 0):
                looked = stucktrace(*options, target.process.pid)
                self.assertEqual(looked.returncode, 0, looked.stderr)
            words, status = target.end()
        self.assertEqual(status, 0)
        self.assertRegex(words, r"^stops \d+ longest \d+$")
        return int(words.split()[1])

    def test_computing_threads_are_never_stopped(self):
        self.assertEqual(self.stops(), 0)
        self.assertEqual(self.stops("explain", "--stacks"), 0)
        self.assertEqual(self.stops("explain", "--native"), 0)

    def test_they_notice_where_it_is_allowed(self):
        self.assertGreaterEqual(self.stops("explain", "--stacks", "--allow-stop"), 2 * self.LOOKS)


if __name__ == "__main__":
    main()
