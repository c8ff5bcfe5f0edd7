"""A recording that keeps its last part."""
import os
import signal
import sys

from harness import (EXIT_FAILURE, STUCKTRACE, Background, Case, main, stucktrace, wait_until)

RING = 65536  # the smallest

# Stuck for a while, then much that pushes it out of the last part.
STUCK_THEN_BUSY = """
import os, threading
def stuck():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=2)
stuck()
for i in range(20000):
    os.close(os.open('/dev/null', os.O_RDONLY))
os.write(1, b'over\\n')
"""

BUSY = """
import os
os.write(1, b'ready\\n')
while True:
    os.close(os.open('/dev/null', os.O_RDONLY))
"""


class Ring(Case):
    def test_what_a_finding_refers_to_is_kept(self):
        recording = self.path("ring.rec")
        done = stucktrace("run", "-q", "-e", "trace=all", "--ring", RING, "-o", recording, "--",
                          sys.executable, "-S", "-c", STUCK_THEN_BUSY)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(os.path.getsize(recording), RING * 3)
        self.assertFalse(os.path.exists(recording + ".earlier"))
        replayed = stucktrace("replay", recording)
        self.assertIn("events from before (--ring)", replayed.stdout)
        rules = [line for line in done.stderr.splitlines() if line.startswith("  Rule")]
        self.assertEqual(len(rules), 1, done.stderr)
        self.assertEqual([line for line in replayed.stdout.splitlines() if line.startswith("  Rule")],
                         rules)
        self.assertIn("WAS STUCK for 2 s, until its own time-out", replayed.stdout)
        self.assertIn("exits with status 0", replayed.stdout)

    def test_both_parts_replay_after_a_crash(self):
        recording = self.path("ring.rec")
        words = [STUCKTRACE, "run", "-q", "-e", "trace=all", "--ring", str(RING), "-o", recording,
                 "--", sys.executable, "-S", "-c", BUSY]
        with Background(words) as tool:
            self.assertTrue(wait_until(lambda: os.path.exists(recording + ".earlier")))
            os.kill(tool.pid, signal.SIGKILL)
            tool.process.wait()
        # The later part may have come no further than what it builds on, which it has from the start.
        for part, words in ((recording + ".earlier", "/dev/null"), (recording, "(--ring)")):
            replayed = stucktrace("replay", "-v", part)
            self.assertEqual(replayed.returncode, 0, replayed.stderr)
            self.assertIn(words, replayed.stdout)

    def test_a_part_is_compared_with_nothing(self):
        recording = self.path("ring.rec")
        stucktrace("run", "-q", "-e", "trace=all", "--ring", RING, "-o", recording, "--", sys.executable,
                   "-S", "-c", STUCK_THEN_BUSY)
        result = stucktrace("compare", recording, recording)
        self.assert_one_line_error(result, EXIT_FAILURE, "only whole recordings")

    def test_bad_sizes(self):
        for size, words in (("x", "unit"), ("100", "at least 65536")):
            result = stucktrace("run", "-o", self.path("r"), "--ring", size, "--", "true")
            self.assert_one_line_error(result, EXIT_FAILURE, words)
        result = stucktrace("run", "--ring", "1M", "--", "true")
        self.assert_one_line_error(result, EXIT_FAILURE, "--output")
        result = stucktrace("run", "-o", "/dev/null", "--ring", "1M", "--", "true")
        self.assert_one_line_error(result, EXIT_FAILURE, "regular file")


if __name__ == "__main__":
    main()
