"""How scripts/bench runs one workload once in one mode, and what it reads off it.

Everything started here is a descendant of this process, also when its parent dies (subreaper), so
that Cleaner finds and ends it.
"""

import ctypes
import dataclasses
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from bench_workloads import environment_of

PR_SET_CHILD_SUBREAPER = 36
RUN_SECONDS = 120     # then a run has failed
ATTACH_SECONDS = 20
STOPS_LINE = re.compile(r"^(?:stucktrace: )?stops: (\d+)", re.MULTILINE)


class RunFailed(Exception):
    """Why a run counts as failed."""


@dataclasses.dataclass
class Outcome:
    seconds: float
    stops: object = None     # told by the tracer itself
    peak_kib: object = None  # of the tracer alone


def read_text(path):
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""


def field(text, name):
    """A number of /proc/PID/status."""
    match = re.search(r"^%s:\s*(\d+)" % name, text, re.MULTILINE)
    return int(match.group(1)) if match else None


class Cleaner:
    """Ends what is left over, whoever adopted it."""

    def __init__(self):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.kept = set()

    def descendants(self):
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                parents[int(entry)] = field(read_text("/proc/%s/status" % entry), "PPid")
        found = []
        reached = {os.getpid()}
        grown = True
        while grown:
            grown = False
            for pid, parent in parents.items():
                if parent in reached and pid not in reached and pid not in self.kept:
                    reached.add(pid)
                    found.append(pid)
                    grown = True
        return found

    def end_all(self, seconds=10):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            left = [pid for pid in self.descendants() if not self.reaped(pid)]
            if not left:
                return
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.005)

    @staticmethod
    def reaped(pid):
        try:
            return os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            return False


class PeakWatch:
    """The largest VmHWM of a process while it runs. Its rusage would not do: that counts the
    tracees it reaped, and what it was a copy of before its exec."""

    def __init__(self, pid):
        self.pid = pid
        self.peak_kib = None
        self.own_comm = read_text("/proc/self/comm")
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.over.wait(0.005):
            peak = field(read_text("/proc/%d/status" % self.pid), "VmHWM")
            # The copy of this script between fork and exec is none of the tracer's.
            comm = read_text("/proc/%d/comm" % self.pid)
            if peak is not None and comm != self.own_comm:
                self.peak_kib = max(peak, self.peak_kib or 0)

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.peak_kib


class Deadline:
    """Ends a process that takes too long, so that a plain wait (which neither polls nor sleeps
    beside what is measured) comes to an end."""

    def __init__(self, process, seconds=RUN_SECONDS):
        self.process = process
        self.passed = False
        self.timer = threading.Timer(seconds, self.expire)
        self.timer.daemon = True

    def expire(self):
        self.passed = True
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def __enter__(self):
        self.timer.start()
        return self

    def __exit__(self, *_):
        self.timer.cancel()


class Runner:
    def __init__(self, binary, cleaner, scratch):
        self.binary = str(binary) if binary else ""
        self.cleaner = cleaner
        self.scratch = scratch
        self.tracer_file = scratch / "tracer.out"
        self.tracer_words = scratch / "tracer.txt"

    def workload_words(self, workload, size, folder, port):
        target = pathlib.Path(self.binary).resolve().parent / "target"
        python = next((path for path in ("/usr/bin/python3", sys.executable)
                       if os.access(path, os.X_OK)), "python3")
        values = {"size": str(size), "here": str(folder), "python": python, "port": str(port),
                  "load": str(target / "syscall_load")}
        return [word.format(**values) if "{" in word else word for word in workload.command]

    def mode_words(self, mode, pid, calibrate):
        values = {"binary": self.binary, "file": str(self.tracer_file), "pid": str(pid),
                  "bare": str(pathlib.Path(self.binary).resolve().parent / "target/bare_loop")}
        words = [word.format(**values) for word in mode.command]
        if calibrate and mode.tool == "stucktrace":
            words.insert(2, "-v")
        return words

    def spawn(self, words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        return subprocess.Popen(words, stdin=stdin, stdout=subprocess.DEVNULL, stderr=stderr,
                                env=environment_of(), start_new_session=True)

    def run(self, workload, mode, size, folder, calibrate=False):
        """One run; raises RunFailed. `calibrate` also looks at memory and stops: not for timing."""
        self.tracer_file.unlink(missing_ok=True)
        try:
            with open(self.tracer_words, "wb") as words:
                if workload.server:
                    outcome = self.serve(workload, mode, size, folder, calibrate, words)
                elif mode.attaches:
                    outcome = self.attached(workload, mode, size, folder, calibrate, words)
                else:
                    outcome = self.launched(workload, mode, size, folder, calibrate, words)
        finally:
            self.cleaner.end_all()
        told = STOPS_LINE.findall(read_text(self.tracer_words)) if mode.tool else []
        outcome.stops = int(told[-1]) if told else None
        return outcome

    def launched(self, workload, mode, size, folder, calibrate, words):
        command = ["sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh"]
        command += self.workload_words(workload, size, folder, 0)
        begin = time.monotonic()
        process = self.spawn(self.mode_words(mode, 0, calibrate) + command, stderr=words)
        watch = PeakWatch(process.pid) if calibrate and mode.command else None
        with Deadline(process) as deadline:
            process.wait()
        seconds = time.monotonic() - begin
        peak = watch.stop() if watch else None
        self.check(process, deadline, mode.name)
        return Outcome(seconds, peak_kib=peak)

    def attached(self, workload, mode, size, folder, calibrate, words):
        """The workload stands at a gate until the tracer has it."""
        command = ["sh", "-c", 'read -r _; exec "$@" >/dev/null 2>&1 </dev/null', "sh"]
        command += self.workload_words(workload, size, folder, 0)
        process = self.spawn(command, stdin=subprocess.PIPE)
        tracer = self.attach_to(process.pid, mode, calibrate, words)
        watch = PeakWatch(tracer.pid) if calibrate else None
        begin = time.monotonic()
        process.stdin.write(b"\n")
        process.stdin.close()
        with Deadline(process) as deadline:
            process.wait()
        seconds = time.monotonic() - begin
        self.let_end(tracer, mode)
        peak = watch.stop() if watch else None
        self.check(process, deadline, "the workload under " + mode.name)
        return Outcome(seconds, peak_kib=peak)

    def serve(self, workload, mode, size, folder, calibrate, words):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = self.workload_words(workload, size, folder, port)
        tracer = None
        if mode.attaches or not mode.command:
            server = self.spawn(command)
        else:
            server = tracer = self.spawn(self.mode_words(mode, 0, calibrate) + command,
                                         stderr=words)
        self.await_server(server, port)
        if mode.attaches:
            tracer = self.attach_to(server.pid, mode, calibrate, words)
        watch = PeakWatch(tracer.pid) if calibrate and tracer else None
        client_words = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-n", str(size),
                        "-c", "10", "-t", "set,get", "-q"]
        begin = time.monotonic()
        client = self.spawn(client_words)
        with Deadline(client) as deadline:
            client.wait()
        seconds = time.monotonic() - begin
        self.check(client, deadline, "redis-benchmark")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"SHUTDOWN NOSAVE\r\n")
            while connection.recv(256):
                pass
        with Deadline(server, 20) as deadline:
            server.wait()
        if mode.attaches:
            self.let_end(tracer, mode)
        peak = watch.stop() if watch else None
        self.check(server, deadline, "redis-server")
        return Outcome(seconds, peak_kib=peak)

    @staticmethod
    def await_server(server, port):
        deadline = time.monotonic() + ATTACH_SECONDS
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            if server.poll() is not None:
                raise RunFailed("the server ended with status %d" % server.returncode)
            time.sleep(0.01)
        raise RunFailed("the server does not answer")

    def attach_to(self, pid, mode, calibrate, words):
        """The tracer, once every thread of the process is its tracee."""
        tracer = self.spawn(self.mode_words(mode, pid, calibrate), stderr=words)
        deadline = time.monotonic() + ATTACH_SECONDS
        while time.monotonic() < deadline:
            tracers = {field(read_text("/proc/%d/task/%s/status" % (pid, tid)), "TracerPid")
                       for tid in os.listdir("/proc/%d/task" % pid)}
            if tracers == {tracer.pid}:
                return tracer
            if tracer.poll() is not None:
                raise RunFailed("%s ended with status %d before it was attached: %s"
                                % (mode.name, tracer.returncode, self.last_words()))
            time.sleep(0.002)
        raise RunFailed("%s did not attach within %d s" % (mode.name, ATTACH_SECONDS))

    def let_end(self, tracer, mode):
        """A tracer whose tracees are gone ends by itself."""
        with Deadline(tracer, 20) as deadline:
            tracer.wait()
        self.check(tracer, deadline, mode.name)

    def last_words(self):
        lines = read_text(self.tracer_words).strip().splitlines()
        return lines[-1][:120] if lines else "(silent)"

    def check(self, process, deadline, who):
        if deadline.passed:
            raise RunFailed("%s took longer than %g s" % (who, deadline.timer.interval))
        if process.returncode != 0:
            raise RunFailed("%s: status %d: %s" % (who, process.returncode, self.last_words()))

    def count_calls(self, workload, mode, size, folder):
        """How many calls strace counts, in the mode's set of calls; None where it cannot."""
        counting = dataclasses.replace(
            mode, command=tuple(word for word in mode.command if word != "--") + ("-c", "--"))
        try:
            self.run(workload, counting, size, folder)
        except RunFailed:
            return None
        total = re.search(r"^\s*100\.00\s+\S+\s+\d+\s+(\d+)\s+(?:\d+\s+)?total$",
                          read_text(self.tracer_file), re.MULTILINE)
        return int(total.group(1)) if total else None
