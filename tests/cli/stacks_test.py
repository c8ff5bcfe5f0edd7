"""Stacks at chosen calls, from outside: run -k, attach -k, and what shows them."""
import json
import os
import re
import signal
import subprocess
import unittest

from harness import (EXIT_FAILURE, STUCKTRACE, TARGETS, Case, interpreters, main, stucktrace,
                     wait_until)

PLACES = os.path.join(TARGETS, "call_places")
NARROW = os.path.join(TARGETS, "abi32")
DEEP = os.path.join(TARGETS, "deep_threads")

# Writes lines that name the functions and lines that lead to the write, innermost first.
PYTHON = """
import os, sys, threading
def here(extra):
    frame, words = sys._getframe(1), []
    while frame is not None:
        name = frame.f_code.co_name
        if 'threading' not in frame.f_code.co_filename:
            words.append('%s:%d' % (name, frame.f_lineno + (extra if not words else 0)))
        frame = frame.f_back
    return ('truth ' + ' '.join(words) + '\\n').encode()
def inner():
    line = here(1)
    os.write(1, line)
def outer():
    inner()
outer()
thread = threading.Thread(target=outer)
thread.start()
thread.join()
"""


def events_of(recording):
    """The recording's events, as far as it has been written."""
    told = stucktrace("export", recording, "--format", "ndjson")
    return [json.loads(line) for line in told.stdout.splitlines()]


def stacks_of(recording):
    return [event for event in events_of(recording) if event["type"] == "stack"]


def stack_of(events, index):
    """The stack taken at the call entered at index; descriptors may have been seen in between."""
    tid = events[index]["tid"]
    of_thread = (event for event in events[index + 1:] if event.get("tid") == tid)
    return next(event for event in of_thread if event["type"] != "fds")


def functions(event):
    return [frame["function"] for frame in event["stack"]]


class Words(Case):

    def test_unknown_and_empty_sets_are_refused(self):
        for words in ("raed", "", "none", "blocked,raed", "%nothing"):
            named = "-k" if words else "--stacks-at"
            self.assert_one_line_error(stucktrace("run", "-k", words, "--", "true"), EXIT_FAILURE,
                                       named)
            self.assert_one_line_error(stucktrace("attach", "--stacks-at", words, "1"),
                                       EXIT_FAILURE, named)


def why_no_32_bit_programs():
    if not os.path.exists(NARROW):
        return "built without a 32-bit compiler"
    try:
        subprocess.run([NARROW], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
    except OSError as error:
        return "this kernel runs no 32-bit programs: %s" % error
    return None


class AtEntry(Case):

    def record(self, *words):
        path = self.path("record")
        told = stucktrace("run", "-o", path, *words)
        self.assertEqual(told.returncode, 0, told.stderr)
        return path, told

    def test_each_way_of_launching_tells_the_same_places(self):
        for more in ((), ("--no-seccomp",), ("--attach-mode", "attach"), ("-e", "trace=execve")):
            path, _ = self.record("-k", "write", *more, "--", PLACES)
            events = events_of(path)
            seen = set()
            for index, event in enumerate(events):
                if event["type"] != "enter" or event["call"] != "write":
                    continue
                stack = stack_of(events, index)
                self.assertEqual(stack["type"], "stack")
                names = [name for name in functions(stack) if not name.endswith("write")]
                line = next(arg["value"] for arg in event["args"] if arg["name"] == "buf")
                words = line.strip('"').replace("\\n", "").split()
                if words == ["ready"]:
                    continue
                self.assertEqual(words[0], names[0], (more, line, names))
                seen.add(words[0] + " " + words[1])
            self.assertEqual(seen, {"inner middle", "inner in_thread", "first_place main",
                                    "second_place main"}, more)
            # What maps code is stopped at for the stacks' sake, and is no event.
            self.assertNotIn("mmap", {event.get("call") for event in events})

    def test_timeline_replay_and_strace_show_them_under_their_calls(self):
        path, told = self.record("-k", "trace=write", "--", PLACES)
        lines = told.stderr.splitlines()
        at = next(i for i, line in enumerate(lines) if "write(" in line and "24 bytes" in line)
        below = [line.strip() for line in lines[at + 1:at + 6]]
        for index, name in enumerate(("inner", "middle", "outer", "main")):
            self.assertRegex(below[index + 1], r"^at %s( |\+0x)" % name)
        again = stucktrace("replay", path)
        for line in lines[at:at + 6]:
            self.assertIn(line, again.stdout)
        strace = stucktrace("export", path, "--format", "strace").stdout.splitlines()
        at = next(i for i, line in enumerate(strace) if "inner middle outer main" in line)
        frame = re.compile(r"^ > (\S+)\((?:([\w.]+)\+0x[0-9a-f]+)?\) \[0x[0-9a-f]+\]$")
        found = [frame.match(line) for line in strace[at + 1:at + 6]]
        self.assertTrue(all(found), strace[at:at + 6])
        self.assertEqual([match.group(2) for match in found[1:]],
                         ["inner", "middle", "outer", "main"])
        self.assertEqual(found[1].group(1), PLACES)

    def test_the_report_has_them(self):
        path, live = self.path("trace"), self.path("live.json")
        told = stucktrace("run", "-q", "-o", path, "--json=" + live, "-k", "write", "--", PLACES)
        self.assertEqual(told.returncode, 0, told.stderr)
        with open(live) as file:
            taken = json.load(file)["call_stacks"]
        # The report has them thread by thread, each thread's in their order.
        seen = sorted(stacks_of(path), key=lambda event: event["tid"])
        calls = sorted(taken["calls"], key=lambda call: call["tid"])
        self.assertEqual(len(calls), len(seen))
        self.assertTrue(seen)
        for call, event in zip(calls, seen):
            self.assertIn("write(", call["call"])
            self.assertEqual(call["tid"], event["tid"])
            self.assertEqual(taken["stacks"][call["stack"]]["stack"], event["stack"])
        exported = json.loads(stucktrace("export", path, "--format", "json").stdout)
        replayed = stucktrace("replay", "-q", "--json", path)
        for other in (exported, json.loads(replayed.stdout)):
            self.assertEqual(other["call_stacks"]["stacks"], taken["stacks"])
            self.assertEqual([call["call"] for call in other["call_stacks"]["calls"]],
                             [call["call"] for call in taken["calls"]])

    @unittest.skipIf(why_no_32_bit_programs(), why_no_32_bit_programs())
    def test_of_32_bit_code_the_reason_is_told(self):
        path = self.path("record")
        told = stucktrace("run", "-o", path, "-k", "write", "--", NARROW)
        self.assertNotEqual(told.returncode, EXIT_FAILURE, told.stderr)
        stacks = stacks_of(path)
        writes = [event for event in events_of(path)
                  if event["type"] == "enter" and event["call"] == "write"]
        self.assertEqual(len(stacks), len(writes))
        self.assertTrue(stacks)
        for event in stacks:
            self.assertEqual((event["stack"], event["python"]), ([], []))
            self.assertEqual(event["note"], "stacks of 32-bit code are not read")
        self.assertIn("stacks of 32-bit code are not read", told.stderr)

    def test_a_baseline_does_not_see_them(self):
        plain, with_stacks, baseline = (self.path(name) for name in ("plain", "stacks", "base"))
        for path, words in ((plain, ()), (with_stacks, ("-k", "write,wait4,blocked"))):
            told = stucktrace("run", "--for-compare", "-o", path, *words, "--", "sh", "-c",
                              "echo one; (echo two; exit 3) | cat; true")
            self.assertEqual(told.returncode, 0, told.stderr)
        self.assertTrue(stacks_of(with_stacks))
        made = stucktrace("compare", "--update", baseline, plain)
        self.assertEqual(made.returncode, 0, made.stderr)
        told = stucktrace("compare", baseline, with_stacks)
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)

    def test_python_frames_have_their_lines(self):
        script = self.path("places.py")
        with open(script, "w") as file:
            file.write(PYTHON)
        for version, python in sorted(interpreters().items()):
            with self.subTest(version):
                path, _ = self.record("-k", "write", "--payload", "all", "--", python, script)
                events = events_of(path)
                told = 0
                for index, event in enumerate(events):
                    text = str(event.get("args"))
                    if event["type"] != "enter" or "truth " not in text:
                        continue
                    truth = re.search(r"truth ([^\\]*)", text).group(1).split()
                    stack = stack_of(events, index)
                    self.assertEqual(stack["type"], "stack")
                    frames = ["%s:%d" % (frame["function"], frame["line"])
                              for frame in stack["python"]
                              if "threading" not in frame["file"]]
                    self.assertEqual(frames, truth)
                    told += 1
                self.assertEqual(told, 2)


class WhenBlocked(Case):
    THREADS, DEPTH = 3, 5

    def expect_one_stack_a_thread(self, path):
        stacks = stacks_of(path)
        tids = [event["tid"] for event in stacks]
        self.assertEqual(len(tids), len(set(tids)), "a call has one stack")
        deep = [event for event in stacks
                if sum("descend" in name for name in functions(event)) == self.DEPTH + 1]
        self.assertEqual(len(deep), self.THREADS)
        self.assertEqual(len(stacks), self.THREADS + 1)

    def all_seen(self, path):
        return os.path.exists(path) and len(stacks_of(path)) >= self.THREADS + 1

    def start(self, *words, **options):
        return subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                                **options)

    def test_launched_threads_that_block_have_one_each(self):
        path = self.path("record")
        # Neither the threads nor the main one stop at their reads: looks find them.
        with self.start(STUCKTRACE, "run", "-o", path, "-k", "blocked", "--stuck-after", "300ms", "--",
                        DEEP, self.THREADS, self.DEPTH) as tool:
            self.assertTrue(wait_until(lambda: self.all_seen(path)))
            _, errors = tool.communicate()
        self.assertEqual(tool.returncode, 0, errors)
        self.expect_one_stack_a_thread(path)
        self.assertGreaterEqual(errors.count("descend("), self.DEPTH + 1)

    def test_threads_attached_to_have_one_each(self):
        for mode in ("seize", "attach"):
            path = self.path(mode)
            with self.start(DEEP, self.THREADS, self.DEPTH) as target:
                self.assertEqual(target.stdout.readline(), "ready\n")
                with self.start(STUCKTRACE, "attach", "-o", path, "-k", "blocked", "--stuck-after",
                                "300ms", "--attach-mode", mode, target.pid) as tool:
                    self.assertTrue(wait_until(lambda at=path: self.all_seen(at)))
                    tool.send_signal(signal.SIGINT)
                    tool.communicate()
                target.communicate()
                self.assertEqual(target.returncode, 0)
            self.expect_one_stack_a_thread(path)

    def test_the_report_of_an_attach_has_them(self):
        report, path = self.path("report.json"), self.path("record")
        with self.start(DEEP, self.THREADS, self.DEPTH) as target:
            self.assertEqual(target.stdout.readline(), "ready\n")
            with self.start(STUCKTRACE, "attach", "-q", "--json=" + report, "-o", path, "-k", "blocked",
                            "--stuck-after", "300ms", target.pid) as tool:
                self.assertTrue(wait_until(lambda: self.all_seen(path)))
                tool.send_signal(signal.SIGINT)
                out, errors = tool.communicate()
            target.communicate()
            self.assertEqual(target.returncode, 0)
        self.assertEqual((tool.returncode, out), (0, ""), errors)
        with open(report) as file:
            taken = json.load(file)["call_stacks"]
        seen = {event["tid"]: event["stack"] for event in stacks_of(path)}
        self.assertEqual({call["tid"]: taken["stacks"][call["stack"]]["stack"]
                          for call in taken["calls"]}, seen)
        self.assertEqual(len(taken["calls"]), self.THREADS + 1)
        for call in taken["calls"]:
            self.assertIn("read(", call["call"])


if __name__ == "__main__":
    main()
