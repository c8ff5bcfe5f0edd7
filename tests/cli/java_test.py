"""Who owns the locks that the threads of a Java virtual machine wait for, seen from outside."""
import glob
import os
import re
import shutil
import subprocess

from harness import EXIT_STUCK, SOURCE, Background, Case, main, report_of, stucktrace, task_states, \
    wait_until

LOCKS = os.path.join(SOURCE, "tests", "support", "java", "Locks.java")
LOOKS_AT_BUSY = (8, 100)  # at least; at most, till an owner was seen


def machines():
    """Every Java of this machine that can run a source file, by its real path."""
    found = glob.glob("/usr/lib/jvm/*/bin/java") + [shutil.which("java") or ""]
    real = {os.path.realpath(java) for java in found if os.path.exists(java)}
    return sorted(java for java in real if os.path.exists(os.path.join(os.path.dirname(java), "javac")))


class Locks(Background):
    """One behaviour of the program, at the point where its threads stay as they are."""

    def __init__(self, java, behaviour, *options):
        super().__init__([java, "-Xmx64m", "-XX:TieredStopAtLevel=1"] + list(options) +
                         [LOCKS, behaviour], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def __enter__(self):
        line = self.process.stdout.readline()
        assert line == "ready\n", line
        return self


class Look:
    def __init__(self, pid, *options):
        self.result = stucktrace("explain", "--json", *options, pid)
        report = report_of(self.result.stdout)
        self.findings = report["findings"]
        threads = [thread for process in report["processes"] for thread in process["threads"]]
        self.names = {thread["tid"]: thread["comm"] for thread in threads}
        self.waits = {(thread["comm"], self.names.get(on["owner"])): thread["wait"]
                      for thread in threads
                      for on in thread["wait"]["on"] if on.get("role") == "monitor"}

    def cycle(self):
        return sorted(self.names[tid] for finding in self.findings for tid in finding["cycle"])

    def verdicts(self):
        return [(finding["rule"], finding["certainty"]) for finding in self.findings]


class JavaLocks(Case):
    def each(self, behaviour, *options):
        for java in self.machines:
            with self.subTest(java=java, behaviour=behaviour), \
                 Locks(java, behaviour, *options) as locks:
                yield locks

    @classmethod
    def setUpClass(cls):
        cls.machines = machines()

    def setUp(self):
        super().setUp()
        if not self.machines:
            self.skipTest("no Java development kit here")

    def assert_cycle(self, behaviour, certainty, *options):
        for locks in self.each(behaviour, *options):
            looks = []

            def found():
                looks.append(Look(locks.pid))
                return looks[-1].findings

            # A thread that just looks again whether its lock is free is not told of.
            self.assertTrue(wait_until(found))
            self.assertEqual(looks[-1].verdicts(), [("lock-cycle", certainty)])
            self.assertEqual(looks[-1].cycle(), ["one", "other"])
            self.assertEqual(looks[-1].result.returncode, EXIT_STUCK)

    def test_monitors(self):
        self.assert_cycle("monitors", "proven")

    def test_monitors_that_name_their_owner(self):
        self.assert_cycle("inflated", "proven")

    def test_locks(self):
        self.assert_cycle("reentrant", "proven")

    def test_locks_in_a_heap_of_wide_references(self):
        self.assert_cycle("reentrant", "proven", "-XX:-UseCompressedOops")

    def test_read_write_locks(self):
        self.assert_cycle("read-write", "proven")

    def test_a_monitor_and_a_lock(self):
        self.assert_cycle("mixed", "proven")

    def test_locks_with_a_time_out(self):
        self.assert_cycle("timed", "until")

    def test_a_queue_behind_one_who_sleeps_is_not_stuck(self):
        expected = {(kind + str(number), "holder")
                    for kind in ("enters", "locks") for number in range(3)}
        for locks in self.each("queue"):
            # The collector and a look may meet.
            self.assertTrue(wait_until(lambda: set(Look(locks.pid).waits) == expected, 10))
            look = Look(locks.pid)
            self.assertEqual(look.findings, [])
            for wait in look.waits.values():
                self.assertIsNone(wait["timeout_ms"])
            text = stucktrace("explain", locks.pid)
            self.assertEqual(text.returncode, 0)
            self.assertIn("waits for Java monitor", text.stdout)

    def test_waits_for_no_owner(self):
        for locks in self.each("anonymous"):
            look = Look(locks.pid)
            self.assertEqual(look.waits, {})
            self.assertEqual(look.findings, [])

    def test_a_crowd_that_never_rests(self):
        possible = {("enters", "holder"), ("locks", "holder"), ("crowd", "crowd")}
        for locks in self.each("busy"):
            seen = set()
            for count in range(LOOKS_AT_BUSY[1]):
                if count >= LOOKS_AT_BUSY[0] and ("enters", "holder") in seen:
                    break
                look = Look(locks.pid, "--settle", "10ms")
                self.assertEqual(look.findings, [])
                seen |= {tuple(re.sub(r"\d", "", name or "nobody") for name in pair)
                         for pair in look.waits}
            self.assertLessEqual(seen, possible)
            self.assertIn(("enters", "holder"), seen)
            states = task_states(locks.pid)
            self.assertEqual({tracer for _, tracer in states.values()}, {"0"})
            self.assertNotIn("T", {state for state, _ in states.values()})


if __name__ == "__main__":
    main()
