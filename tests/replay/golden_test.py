"""Stored recordings replay to the very text beside them: timeline and findings, bit for bit.

With STUCKTRACE_UPDATE=1 the expected texts are rewritten: look at the difference before keeping it.
"""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))

from harness import EXIT_STUCK, Case, main, report_of, stucktrace  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
# name -> (rule, certainty); None: nothing may be found
EXPECTED = {
    "queue-join": ("pipe-full-after-announce", "until"),
    "feeder-join": ("pipe-full-after-announce", "until"),
    "unread-output": ("unread-output", "proven"),
    "self-held-write-end": ("self-held-write-end", "likely"),
    "leaked-write-end": ("leaked-write-end", "likely"),
    "pipeline-healthy": None,
    "polling-healthy": None,
}


class Golden(Case):
    def test_every_recording_has_an_expectation(self):
        stored = {os.path.basename(path)[:-len(".trace")]
                  for path in glob.glob(os.path.join(HERE, "*.trace"))}
        self.assertEqual(stored, set(EXPECTED))

    def test_text(self):
        for name, expected in EXPECTED.items():
            with self.subTest(name):
                path = os.path.join(HERE, name)
                result = stucktrace("replay", "--color", "never", path + ".trace")
                self.assertEqual(result.returncode, EXIT_STUCK if expected else 0, result.stderr)
                if os.environ.get("STUCKTRACE_UPDATE"):
                    with open(path + ".txt", "w", encoding="utf-8") as file:
                        file.write(result.stdout)
                with open(path + ".txt", encoding="utf-8") as file:
                    self.assertEqual(result.stdout, file.read())

    def test_findings(self):
        for name, expected in EXPECTED.items():
            with self.subTest(name):
                report = report_of(stucktrace(
                    "replay", "-q", "--json", os.path.join(HERE, name + ".trace")).stdout)
                found = [(f["rule"], f["certainty"]) for f in report["findings"]]
                self.assertEqual(found, [expected] if expected else [])


if __name__ == "__main__":
    main()
