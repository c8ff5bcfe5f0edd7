"""The native frames of real programs are, frame by frame, those that eu-stack and gdb find."""
import json
import os
import re
import shutil
import subprocess
import unittest

from harness import PATIENCE, TARGETS, Background, Case, interpreters, main, stucktrace, wait_until

# The programs are looked at often enough in one build; under sanitizers once more tells nothing new.
SHORT = bool(os.environ.get("STUCKTRACE_SHORT_TESTS"))

PYTHON = """
import threading, time
lock = threading.Lock(); lock.acquire()
def inner():
    time.sleep(1000)
def outer():
    inner()
waiter = threading.Thread(target=lock.acquire); waiter.daemon = True; waiter.start()
outer()
"""

JAVA = """
public class Waits {
  public static void main(String[] words) throws Exception { new java.io.FileInputStream(words[0]).close(); }
}
"""

# Its threads wait inside the C library, some of them by way of function pointers, tail calls and the
# handler of a signal.
MUSL = """
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static sem_t semaphore;
static int ends[2];
#define WAITS(name, ...) static void *name(void *no) { __VA_ARGS__; puts(#name); return no; }
static void handler(int number) { char byte; if (read(ends[0], &byte, number > 0)) puts("handler"); }
static int compare(const void *a, const void *b) { handler(1); return a < b; }
WAITS(locks, pthread_mutex_lock(&mutex))
WAITS(waits, pthread_mutex_lock(&other); pthread_cond_wait(&condition, &other))
WAITS(counts, sem_wait(&semaphore))
WAITS(reads, char byte; if (read(ends[0], &byte, 1)) puts("read"))
WAITS(polls, struct pollfd one = {ends[0], POLLIN, 0}; poll(&one, 1, -1))
WAITS(sleeps, sleep(1000))
WAITS(gets, char line[9]; FILE *file = fdopen(ends[0], "r"); if (fgets(line, 9, file)) puts(line))
WAITS(handles, raise(SIGUSR1))
WAITS(sorts, int list[3] = {3, 2, 1}; qsort(list, 3, sizeof *list, compare))
WAITS(prints, int full[2]; if (pipe(full)) return 0; FILE *file = fdopen(full[1], "w");
      for (;;) fprintf(file, "%s %d\\n", "more", 1))
int main(void) {
  void *(*all[])(void *) = {locks, waits, counts, reads, polls, sleeps, gets, handles, sorts, prints};
  pthread_t thread[10];
  if (pipe(ends) || signal(SIGUSR1, handler) == SIG_ERR) return 1;
  pthread_mutex_lock(&mutex);
  sem_init(&semaphore, 0, 0);
  for (int i = 0; i < 10; i++) pthread_create(&thread[i], NULL, all[i], NULL);
  pthread_join(thread[0], NULL);
  puts("joined");
}
"""

# What each is in, innermost first, of those whose names a stripped library has: itself and the
# functions that it exports. One of several names of a function may be told.
MUSL_STACKS = [
    ["pthread_(timed)?join(_np)?", "main", "_start"],
    ["pthread_mutex_(timed)?lock", "locks"],
    ["pthread_cond_(timed)?wait", "waits"],
    ["sem_(timed)?wait", "counts"],
    ["read", "reads"],
    ["poll", "polls"],
    ["clock_nanosleep", "nanosleep", "sleep", "sleeps"],
    ["fgets(_unlocked)?", "gets"],
    ["read", "handler", "__restore_rt", "raise", "handles"],
    ["read", "(handler|compare)", "qsort(_r)?", "sorts"],
    ["v?fprintf", "prints"],
]

GDB = """
python
gdb.execute('set backtrace past-main on'); gdb.execute('set backtrace past-entry on')
for thread in gdb.selected_inferior().threads():
    thread.switch()
    frame = gdb.newest_frame()
    while frame is not None:
        # Frames that take no room on the stack are gdb's own reading of the code.
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            print('FRAME %d %x' % (thread.ptid[1], frame.pc()))
        try:
            frame = frame.older()
        except gdb.error:
            break
end
"""


def by_stucktrace(pid):
    """tid -> the addresses of its frames, innermost first; of threads that have a stack."""
    report = json.loads(stucktrace("explain", "--stacks", "--json", "--settle", "20ms", pid).stdout)
    process = next(each for each in report["processes"] if each["pid"] == pid)
    stacks = {}
    for thread in process["threads"]:
        if thread["stack"]:
            stacks[thread["tid"]] = [int(frame["pc"], 16) for frame in thread["stack"]]
    return stacks


def notes_of(pid):
    report = json.loads(stucktrace("explain", "--stacks", "--json", "--settle", "20ms", pid).stdout)
    threads = [thread for each in report["processes"] for thread in each["threads"]]
    return [thread["stack_note"] for thread in threads if thread.get("stack_note")]


def names_of(pid):
    """The names of each thread's functions, innermost first; threads in the order of their making."""
    report = json.loads(stucktrace("explain", "--stacks", "--json", "--settle", "20ms", pid).stdout)
    process = next(each for each in report["processes"] if each["pid"] == pid)
    return [[frame.get("function", "") for frame in thread["stack"]]
            for thread in sorted(process["threads"], key=lambda thread: thread["tid"])]


def by_eu_stack(pid):
    text = subprocess.run(["eu-stack", "-p", str(pid)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          encoding="utf-8", errors="replace", timeout=PATIENCE).stdout
    stacks = {}
    for line in text.splitlines():
        if line.startswith("TID "):
            frames = stacks.setdefault(int(line[4:].rstrip(":")), [])
        elif line.startswith("#"):
            frames.append(int(line.split()[1], 16))
    return stacks


def by_gdb(pid, script):
    text = subprocess.run(["gdb", "-nx", "-batch", "-p", str(pid), "-x", script], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8",
                          errors="replace", timeout=PATIENCE,
                          env=dict(os.environ, DEBUGINFOD_URLS="")).stdout
    stacks = {}
    for tid, address in re.findall(r"^FRAME (\d+) ([0-9a-f]+)$", text, re.MULTILINE):
        stacks.setdefault(int(tid), []).append(int(address, 16))
    return stacks


def differences(pid, other):
    """What stucktrace and the other one tell differently of threads that stood still; None: nothing to compare."""
    before = by_stucktrace(pid)
    theirs = other(pid)
    ours = by_stucktrace(pid)
    still = [tid for tid, stack in ours.items() if before.get(tid) == stack]
    if not still or not theirs:
        return None
    return {tid: (ours[tid], theirs.get(tid)) for tid in still if theirs.get(tid) != ours[tid]}


@unittest.skipUnless(shutil.which("eu-stack"), "no eu-stack here")
class Frames(Case):
    def setUp(self):
        super().setUp()
        self.write("frames.gdb", GDB)
        os.mkfifo(self.path("fifo"))

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text.lstrip())
        return self.path(name)

    def need(self, *programs):
        for program in programs:
            if not shutil.which(program):
                self.skipTest("no %s here" % program)

    def check(self, threads, *words, gdb=True, **options):
        """The program comes to have so many blocked threads, whose frames are told alike."""
        others = [by_eu_stack]
        if gdb and shutil.which("gdb"):
            others.append(lambda pid: by_gdb(pid, self.path("frames.gdb")))
        with Background(words, cwd=self.directory, stderr=subprocess.DEVNULL, **options) as target:
            self.assertTrue(wait_until(lambda: len(by_stucktrace(target.pid)) >= threads))
            for other in others:
                told = [None]

                # At first they may still be on their way to where they stay.
                def alike():
                    told[0] = differences(target.pid, other)
                    return told[0] == {}
                self.assertTrue(wait_until(alike), told[0])

    def test_of_cpp(self):
        self.check(4, "sh", "-c", 'exec 3<>fifo; exec "$0" 3 <&3', os.path.join(TARGETS, "deep_threads"))

    def test_of_c(self):
        self.check(1, "sh", "-c", "exec 3<>fifo; exec cat <&3")

    def test_of_bash(self):
        self.need("bash")
        self.check(1, "bash", "-c", "exec 3<>fifo; read line <&3; echo")

    def test_of_every_python(self):
        script = self.write("waits.py", PYTHON)
        found = sorted(interpreters().items())
        for version, python in found[-1:] if SHORT else found:
            with self.subTest(version=version):
                self.check(2, python, script)

    def test_of_redis(self):
        self.need("redis-server")
        self.check(4, "redis-server", "--port", "0", "--unixsocket", self.path("socket"), "--save", "")

    def test_of_node(self):
        self.need("node")
        self.check(5, "node", "-e", "setTimeout(() => {}, 1e6)")

    def test_of_java(self):
        self.need("java", "javac")
        self.write("Waits.java", JAVA)
        subprocess.run(["javac", "Waits.java"], check=True, cwd=self.directory, timeout=300)
        # Where code of the machine's own has no tables gdb guesses.
        self.check(8, "java", "-Xmx64m", "-cp", ".", "Waits", "fifo", gdb=False)

    # musl's C library has no unwind tables, which ends the stacks of eu-stack and gdb.
    def of_musl(self, name, *flags, strip=False):
        """A process of such a program, each thread of which waits where it is to wait."""
        program = self.path(name)
        self.write(name + ".c", MUSL)
        subprocess.run(["musl-gcc", "-O2", "-fno-inline", *flags, "-o", program, program + ".c"], check=True,
                       timeout=PATIENCE)
        if strip:
            subprocess.run(["strip", program], check=True, timeout=PATIENCE)
        target = Background([program], stdout=subprocess.DEVNULL)
        self.addCleanup(target.__exit__)
        seen = [{}]

        def stands():
            seen.append(by_stucktrace(target.pid))
            return len(seen[-1]) == len(MUSL_STACKS) and seen[-1] == seen[-2]
        self.assertTrue(wait_until(stands))
        return target.pid

    def assert_in_order(self, wanted, names):
        rest = iter(names)
        for pattern in wanted:
            self.assertTrue(any(re.fullmatch(pattern, name) for name in rest), (pattern, wanted, names))

    def test_of_musl(self):
        self.need("musl-gcc")
        for name, flags in (("shared", []), ("static", ["-static"]),
                            ("bare", ["-static", "-fno-asynchronous-unwind-tables"])):
            with self.subTest(name):
                pid = self.of_musl(name, *flags)
                self.assertEqual(notes_of(pid), [])
                stacks = names_of(pid)
                for wanted, names in zip(MUSL_STACKS, stacks):
                    self.assert_in_order(wanted, names)

    def test_of_musl_without_names(self):
        self.need("musl-gcc", "strip")
        named = self.of_musl("named", "-static", "-no-pie")
        stripped = self.of_musl("stripped", "-static", "-no-pie", strip=True)

        # The same code at the same place: what is found by names is found without them.
        def addresses(pid):
            return [stack for _, stack in sorted(by_stucktrace(pid).items())]
        self.assertEqual(addresses(stripped), addresses(named))
        self.assertEqual(notes_of(stripped), [])


if __name__ == "__main__":
    main()
