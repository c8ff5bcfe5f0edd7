"""Programs of musl: a C library without unwind tables, and with locks of its own making."""
import json
import re
import shutil
import subprocess
import unittest

from harness import PATIENCE, Background, Case, frames_of, main, report_of, stucktrace, wait_until

# Its threads wait inside the C library, some of them by way of function pointers, tail calls and the
# handler of a signal.
WAITING = """
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
STACKS = [
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

DEADLOCK = """
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
static pthread_mutex_t left, right;
static pthread_barrier_t both;
#define TAKES(name, one, two) static void *name(void *no) { \\
  pthread_mutex_lock(&one); pthread_barrier_wait(&both); pthread_mutex_lock(&two); puts(#name); \\
  return no; }
TAKES(leftward, right, left)
TAKES(rightward, left, right)
int main(void) {
  pthread_t one, two;
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init(&left, &kind);
  pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&right, &kind);
  pthread_barrier_init(&both, NULL, 2);
  pthread_create(&one, NULL, leftward, NULL);
  pthread_create(&two, NULL, rightward, NULL);
  pthread_join(one, NULL);
  puts("joined");
}
"""


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


@unittest.skipUnless(shutil.which("musl-gcc"), "no musl-gcc here")
class Musl(Case):
    def build(self, name, text, *flags):
        program = self.path(name)
        with open(program + ".c", "w") as file:
            file.write(text)
        subprocess.run(["musl-gcc", "-O2", "-fno-inline", *flags, "-o", program, program + ".c"], check=True,
                       timeout=PATIENCE)
        return program

    def waiting(self, name, *flags, strip=False):
        """A process of such a program, each thread of which waits where it is to wait."""
        program = self.build(name, WAITING, *flags)
        if strip:
            subprocess.run(["strip", program], check=True, timeout=PATIENCE)
        target = Background([program], stdout=subprocess.DEVNULL)
        self.addCleanup(target.__exit__)
        seen = [{}]

        def stands():
            seen.append(frames_of(target.pid))
            return len(seen[-1]) == len(STACKS) and seen[-1] == seen[-2]
        self.assertTrue(wait_until(stands))
        return target.pid

    def assert_in_order(self, wanted, names):
        rest = iter(names)
        for pattern in wanted:
            self.assertTrue(any(re.fullmatch(pattern, name) for name in rest), (pattern, wanted, names))

    def test_stacks(self):
        for name, flags in (("shared", []), ("static", ["-static"]),
                            ("bare", ["-static", "-fno-asynchronous-unwind-tables"])):
            with self.subTest(name):
                pid = self.waiting(name, *flags)
                self.assertEqual(notes_of(pid), [])
                stacks = names_of(pid)
                for wanted, names in zip(STACKS, stacks):
                    self.assert_in_order(wanted, names)

    def test_stacks_without_names(self):
        named = self.waiting("named", "-static", "-no-pie")
        stripped = self.waiting("stripped", "-static", "-no-pie", strip=True)

        # The same code at the same place: what is found by names is found without them.
        def addresses(pid):
            return [stack for _, stack in sorted(frames_of(pid).items())]
        self.assertEqual(addresses(stripped), addresses(named))
        self.assertEqual(notes_of(stripped), [])

    def test_a_deadlock_of_mutexes_that_name_their_owner(self):
        with Background([self.build("deadlock", DEADLOCK)], stdout=subprocess.DEVNULL) as target:
            seen = [None]

            def found():
                seen[0] = report_of(stucktrace("explain", "--stacks", "--json", target.pid).stdout)
                return seen[0]["findings"]
            self.assertTrue(wait_until(found))
            self.assertEqual([(each["rule"], each["certainty"]) for each in seen[0]["findings"]],
                             [("lock-cycle", "proven")])
            threads = seen[0]["processes"][0]["threads"]
            main_thread = next(each for each in threads if each["tid"] == target.pid)
            self.assertEqual(main_thread["wait"]["kind"], "thread-join")
            first = next(each["tid"] for each in threads
                         if any(frame.get("function") == "leftward" for frame in each["stack"]))
            text = stucktrace("explain", "--color=never", target.pid).stdout
            for words in ("at leftward (", "at rightward (", "joins thread %d in main" % first):
                self.assertIn(words, text)


if __name__ == "__main__":
    main()
