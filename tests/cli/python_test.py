"""What is read out of Python's interpreters, under every one of this machine, from outside."""
import contextlib
import re
import subprocess
import unittest

from harness import (EXIT_STUCK, SEED, WRITE, Background, Case, blocked_in, children, interpreters, main,
                     report_of, stucktrace, task_states, wait_until)

PYTHONS = interpreters()
PATIENCE = 600
WITHOUT_FINALIZING = ("2.7",)


SYSTEM_PYTHON = "/usr/bin/python3"


def has_gevent(python):
    try:
        return subprocess.run([python, "-c", "import gevent"], stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


def version_of(text):
    return tuple(int(part) for part in text.split("."))


def line_of(path, code):
    with open(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip() == code:
                return number
    raise AssertionError("no line %r" % code)


def stuck_child(parent):
    for child in children(parent):
        if blocked_in(child, WRITE) and len(task_states(child)) > 1:
            return child
    return None


def threads_of(process):
    return {thread["tid"]: thread for thread in process["threads"]}


def has_frame(thread, function, file_end):
    return any(frame["function"] == function and frame["file"].endswith(file_end)
               for frame in thread["python"])


# A task that nothing will ever wake: idle by design, as far as anybody can see.
TASKS = """
import asyncio, os
async def wait_for_ever(event):
    await event.wait()
async def main():
    event = asyncio.Event()
    waiting = asyncio.get_event_loop().create_task(wait_for_ever(event))
    await asyncio.sleep(0)
    os.write(1, b'ready\\n')
    await waiting
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""

# Greenlets that wait for ever, but for one that keeps the hub from noticing.
GEVENT = """
import gevent, gevent.lock, gevent.queue
def take(queue):
    return queue.get()
def twice(lock):
    with lock:
        lock.acquire()
def rest():
    gevent.sleep(5000)
def main():
    queue, lock = gevent.queue.Queue(), gevent.lock.Semaphore()
    all = [gevent.spawn(take, queue) for _ in range(3)] + [gevent.spawn(twice, lock), gevent.spawn(rest)]
    gevent.spawn_later(0.001, print, 'ready', flush=True)
    gevent.joinall(all)
main()
"""

# Threads that make functions all the time, with names that tell their length, and wait in them; what
# was made before is freed and makes room for the next.
CHANGING = """
import os, threading, time
def turn(number, seconds):
    name = 'made_%d_%s' % (number, 'x' * (number % 60))
    space = {}
    exec(compile('def %s(wait, seconds):\\n    wait(seconds)\\n' % name, name, 'exec'), space)
    space.pop(name)(time.sleep, seconds)
def change(first, seconds):
    number = first
    while True:
        turn(number, seconds)
        number += 7
for index in range(6):
    thread = threading.Thread(target=change, args=(index, 0.0002 * 5 ** (index % 4)))
    thread.daemon = True
    thread.start()
os.write(1, b'ready\\n')
threading.Event().wait()
"""

# Says that it is a version nobody knows, where 3.13 publishes it for debuggers.
TOMORROW = """
import ctypes, os, signal
head = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, '_PyRuntime'))
ctypes.c_uint64.from_address(head + 8).value = 0x036300f0
os.write(1, b'ready\\n')
signal.pause()
"""


def ready(process):
    return process.process.stdout.readline() == "ready\n"


@unittest.skipUnless(PYTHONS, "no Python to look at")
class Python(Case):
    def test_the_birth_case_under_every_version(self):
        join = line_of(SEED, "process.join(patience)")
        failures = []
        with contextlib.ExitStack() as stack:
            running = {version: stack.enter_context(Background([path, SEED, 200000, PATIENCE]))
                       for version, path in PYTHONS.items()}
            for version, parent in sorted(running.items()):
                try:
                    self.assertTrue(wait_until(lambda: stuck_child(parent.pid)), "it hangs")
                    self.check(version, parent.pid, join)
                except AssertionError as failure:
                    failures.append("Python %s: %s" % (version, failure))
        self.assertEqual(failures, [])

    def check(self, version, pid, join):
        # The main thread may still be on its way from the queue to the end of its program.
        def look():
            result = stucktrace("explain", "--json", pid)
            self.report = report_of(result.stdout)
            findings = self.report["findings"]
            return (result.returncode == EXIT_STUCK and len(findings) == 1 and
                    findings[0]["rule"] == "pipe-full-after-announce" and
                    any("QueueFeederThread" in text and "object" in text
                        for text in findings[0]["evidence"]))
        self.assertTrue(wait_until(look), self.report["findings"])
        finding = self.report["findings"][0]
        processes = {process["pid"]: process for process in self.report["processes"]}
        parent, child = processes[pid], processes[finding["pid"]]
        self.assertEqual(finding["certainty"], "until")

        # P waits at its author's own line, and the remedy says so.
        place = "main (target/queue_join_hang.py:%d)" % join
        self.assertIn("before join() at " + place, finding["remedy"])
        link = next(link for link in finding["chain"] if link["pid"] == pid)
        self.assertIn(place, link["frames"])
        waiting = threads_of(parent)[pid]
        self.assertEqual(waiting["awaited_end"]["pid"], child["pid"])
        self.assertTrue(has_frame(waiting, "join", "/multiprocessing/process.py"))

        # S's main thread waits for the feeder: that very thread, by the object in its frame.
        feeder = threads_of(child)[finding["tid"]]
        self.assertEqual(feeder["name"], "QueueFeederThread")
        self.assertTrue(has_frame(feeder, "_feed", "/multiprocessing/queues.py"))
        leaving = threads_of(child)[child["pid"]]
        self.assertEqual(leaving["name"], "MainThread")
        self.assertTrue(has_frame(leaving, "_exit_function", "/multiprocessing/util.py"))
        end = leaving["awaited_end"]
        self.assertEqual((end["tid"], end["object"], end["frame"]["function"]),
                         (feeder["tid"], "QueueFeederThread", "join"))
        on = leaving["wait"]["on"][0]
        self.assertEqual((on["role"], on["owner"]), ("join", feeder["tid"]))
        self.assertEqual(leaving["wait"]["kind"], "thread-join")
        edges = [edge for edge in self.report["edges"] if edge["from"] == child["pid"]]
        self.assertEqual([edge["to"] for edge in edges], [[feeder["tid"]]])

        for process in (parent, child):
            facts = process["interpreter"]
            self.assertTrue(facts["version"].startswith(version), facts)
            self.assertEqual(facts["finalizing"], None if version in WITHOUT_FINALIZING else False)
            self.assertEqual((facts["tasks"], facts["note"]), ([], ""))
        self.assertEqual(child["interpreter"]["gil"], {"state": "free", "tid": None})

    def test_python_frames_stand_for_the_interpreters_own(self):
        # Distributions strip theirs of the names of functions.
        built = [version for version, path in PYTHONS.items() if "/.pyenv/" in path] or PYTHONS
        version = max(built, key=version_of)
        with Background([PYTHONS[version], SEED, 200000, PATIENCE]) as parent:
            self.assertTrue(wait_until(lambda: stuck_child(parent.pid)))
            merged = stucktrace("explain", "--stacks", parent.pid).stdout
            both = stucktrace("explain", "--native", parent.pid).stdout
        self.assertIn("CPython " + version, merged)
        self.assertNotIn("_PyEval_EvalFrameDefault", merged)
        self.assertIn("_PyEval_EvalFrameDefault", both)
        for text in (merged, both):
            self.assertRegex(text, r"py \S*/multiprocessing/queues\.py:\d+ _feed")
            self.assertRegex(text, r"py \S*/target/queue_join_hang\.py:\d+ main")

    def test_a_task_that_waits_for_ever_is_told_and_no_finding(self):
        known = {version: path for version, path in PYTHONS.items() if version_of(version) >= (3, 7)}
        with contextlib.ExitStack() as stack:
            running = {version: stack.enter_context(
                Background([path, "-c", TASKS], stdout=subprocess.PIPE))
                for version, path in known.items()}
            for version, process in sorted(running.items()):
                with self.subTest(version=version):
                    self.assertTrue(ready(process))

                    def look():
                        result = stucktrace("explain", "--json", "--stacks", process.pid)
                        self.assertEqual(result.returncode, 0, result.stdout)
                        facts = report_of(result.stdout)["processes"][0]["interpreter"]
                        self.tasks = {task["coroutine"]: task for task in facts["tasks"]}
                        return (set(self.tasks) == {"main", "wait_for_ever"} and
                                self.tasks["main"]["awaits"] != "")
                    self.assertTrue(wait_until(look), self.tasks)
                    waiting = self.tasks["wait_for_ever"]
                    self.assertEqual(waiting["awaits"], "Future")
                    self.assertEqual([frame["function"] for frame in waiting["frames"]],
                                     ["wait", "wait_for_ever"])
                    self.assertEqual(waiting["tid"], process.pid)
                    name = waiting["name"] if version_of(version) >= (3, 8) else "Task"
                    self.assertEqual(self.tasks["main"]["awaits"], name)
                    self.assertEqual(self.tasks["main"]["frames"][0]["line"], 10)

    @unittest.skipUnless(has_gevent(SYSTEM_PYTHON), "no gevent in " + SYSTEM_PYTHON)
    def test_a_hub_that_waits_and_where_its_greenlets_are(self):
        with Background([SYSTEM_PYTHON, "-c", GEVENT], stdout=subprocess.PIPE) as process:
            self.assertTrue(ready(process))

            def look():
                result = stucktrace("explain", "--json", "--stacks", process.pid)
                tasks = report_of(result.stdout)["processes"][0]["interpreter"]["tasks"]
                self.seen = sorted((task["kind"], task["coroutine"],
                                    [frame["line"] for frame in task["frames"]
                                     if frame["file"] == "<string>"])
                                   for task in tasks)
                return self.seen == sorted(
                    [("greenlet", "take", [4])] * 3 + [("greenlet", "twice", [7]),
                                                       ("greenlet", "rest", [9]),
                                                       ("greenlet", "<module>", [14, 15])])
            self.assertTrue(wait_until(look), self.seen)
            text = stucktrace("explain", "--stacks", process.pid).stdout
        self.assertIn("    the gevent hub of main thread waits; 6 greenlets are suspended\n", text)
        self.assertIn("    3 greenlets (Greenlet) take: suspended", text)

    @unittest.skipUnless("3.13" in PYTHONS, "no Python 3.13")
    # Each look meets another state; what is read twice must be one function's.
    def test_code_that_changes_under_the_look_has_no_torn_names(self):
        looks = 12
        for version, python in sorted(PYTHONS.items()):
            with self.subTest(version):
                seen = 0
                with Background([python, "-c", CHANGING], stdout=subprocess.PIPE) as program:
                    self.assertEqual(program.process.stdout.readline().strip(), "ready")
                    for _ in range(looks):
                        told = stucktrace("explain", "--stacks", "--settle", "10ms", "--json",
                                          str(program.pid))
                        self.assertEqual(told.returncode, 0, told.stderr)
                        for thread in report_of(told.stdout)["processes"][0]["threads"]:
                            for frame in thread["python"]:
                                seen += self.check_made(frame)
                self.assertGreater(seen, 0)

    # True for a frame of a function that the program has made.
    def check_made(self, frame):
        name, file = frame["function"], frame["file"]
        if not name.startswith("made_"):
            known = ("change", "turn", "<module>", "run", "_bootstrap", "_bootstrap_inner",
                     "__bootstrap", "__bootstrap_inner")
            if name not in known:
                # Of the libraries: threads that begin.
                self.assertRegex(file, r"(threading|importlib|codecs|encodings)")
            return False
        number, filler = re.match(r"made_([0-9]+)_(x*)$", name).groups()
        self.assertEqual(len(filler), int(number) % 60, name)
        self.assertEqual(file, name)
        # The first one before its first instruction: a thread may wait for the GIL there.
        self.assertIn(frame["line"], (1, 2))
        return True

    def test_an_unknown_version_has_native_frames_and_is_said(self):
        with Background([PYTHONS["3.13"], "-c", TOMORROW], stdout=subprocess.PIPE) as process:
            self.assertTrue(ready(process))
            result = stucktrace("explain", "--stacks", process.pid)
            report = report_of(stucktrace("explain", "--json", "--stacks", process.pid).stdout)
        note = "CPython 3.99.0: layout not known; native frames only"
        self.assertRegex(re.sub(r"\s+", " ", result.stdout), re.escape(note))
        self.assertIn("_PyEval_EvalFrameDefault", result.stdout)
        seen = report["processes"][0]
        self.assertEqual(seen["interpreter"]["note"], note)
        self.assertEqual(seen["threads"][0]["python"], [])
        self.assertTrue(any(note in sentence for sentence in report["could_not_see"]))


if __name__ == "__main__":
    main()
