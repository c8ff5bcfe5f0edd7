"""Runs the stucktrace binary from outside, as a user does."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.environ.get("STUCKTRACE_SOURCE",
                        os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..")))
STUCKTRACE = os.environ.get("STUCKTRACE", os.path.join(SOURCE, "build", "dev", "stucktrace"))
TARGETS = os.path.join(os.path.dirname(STUCKTRACE), "target")
SEED = os.path.join(TARGETS, "queue_join_hang.py")
PATIENCE = 60.0
# What CI servers tell their jobs changes what is printed; a test that wants it says so.
for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE", "GITLAB_CI",
             "CI_PROJECT_DIR"):
    os.environ.pop(name, None)

EXIT_STUCK, EXIT_DIFFERS, EXIT_FAILURE, EXIT_CANNOT_RUN, EXIT_NOT_FOUND = 121, 122, 125, 126, 127


def stucktrace(*words, **options):
    """Runs to the end; the result has stdout and stderr as text."""
    options.setdefault("timeout", PATIENCE)
    return subprocess.run(
        [STUCKTRACE] + [str(word) for word in words],
        stdin=subprocess.DEVNULL,
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=options.pop("stderr", subprocess.PIPE),
        encoding="utf-8",
        errors="backslashreplace",
        **options)


def interpreters():
    """Every CPython of this machine that the birth case is promised for, by version."""
    found = {}
    candidates = sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python")))
    more = os.environ.get("STUCKTRACE_TEST_PYTHONS", "").split(":")
    for name in ["python3", "python2.7", "python3.11", "/usr/bin/python3", "python3.14", "python3.15",
                 *filter(None, more)]:
        path = shutil.which(name)
        if path:
            candidates.append(path)
    for path in candidates:
        try:
            line = subprocess.run(
                [path, "-c", "import sys, multiprocessing; print('%d.%d' % sys.version_info[:2])"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8", timeout=30)
        except OSError:
            continue
        version = line.stdout.strip()
        if line.returncode == 0 and version and version not in found:
            found[version] = path
    return found


def wait_until(condition, patience=PATIENCE):
    """True once the condition holds; polls, because what is waited for is another process's state."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def status_field(pid, field):
    try:
        with open("/proc/%d/status" % pid) as file:
            for line in file:
                if line.startswith(field + ":"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""


def task_states(pid):
    """tid -> (state, TracerPid) of every thread of a process."""
    states = {}
    for tid in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, tid)) as file:
            text = file.read()
        states[int(tid)] = (re.search(r"State:\s+(\S)", text).group(1),
                            re.search(r"TracerPid:\s+(\d+)", text).group(1))
    return states


def children(pid):
    found = []
    try:
        for tid in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, tid)) as file:
                found += [int(word) for word in file.read().split()]
    except OSError:
        pass
    return found


def blocked_in(pid, syscall_number):
    """Some thread of the process is blocked in this system call."""
    try:
        for tid in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/syscall" % (pid, tid)) as file:
                if file.read().split(" ", 1)[0] == str(syscall_number):
                    return True
    except OSError:
        pass
    return False


WRITE, READ, WAIT4 = 1, 0, 61


class Background:
    """A process of the test's own in a group of its own, ended at the end of the block."""

    def __init__(self, words, **options):
        options.setdefault("stdout", subprocess.DEVNULL)
        self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL,
                                        start_new_session=True, encoding="utf-8", **options)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except OSError:
            pass
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="stucktrace-cli-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def assert_one_line_error(self, result, status, *words):
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertTrue(result.stderr.startswith("stucktrace: "), result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)


def frames_of(pid):
    """tid -> the addresses of its frames, innermost first; of threads that have a stack."""
    report = json.loads(stucktrace("explain", "--stacks", "--json", "--settle", "20ms", pid).stdout)
    process = next(each for each in report["processes"] if each["pid"] == pid)
    stacks = {}
    for thread in process["threads"]:
        if thread["stack"]:
            stacks[thread["tid"]] = [int(frame["pc"], 16) for frame in thread["stack"]]
    return stacks


def report_of(text):
    """The report in a command's stdout: its last line."""
    return json.loads(text.strip().splitlines()[-1])


def main():
    unittest.main(verbosity=2, argv=[sys.argv[0]] + sys.argv[1:])
