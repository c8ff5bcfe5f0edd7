"""Every report follows the schema that is in the repository and in an installation."""
import json
import os
import unittest

from harness import SEED, SOURCE, TARGETS, Background, Case, main, report_of, stucktrace

try:
    import jsonschema
except ImportError:
    jsonschema = None


@unittest.skipIf(jsonschema is None, "python3-jsonschema is not installed")
class Schema(Case):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(SOURCE, "tracer/render/report.schema.json")) as file:
            schema = json.load(file)
        kind = jsonschema.validators.validator_for(schema)
        kind.check_schema(schema)
        cls.validator = kind(schema)

    def check(self, text):
        report = report_of(text)
        errors = [error.message for error in self.validator.iter_errors(report)]
        self.assertEqual(errors, [])
        return report

    def test_reports_of_every_command(self):
        recording = self.path("r.rec")
        run = stucktrace("run", "--json", "--fail-on", "stuck", "--stuck-after", "500ms", "-o",
                         recording, "--", "python3", SEED, 200000, 600)
        report = self.check(run.stdout)
        self.assertEqual(len(report["findings"]), 1)
        self.check(stucktrace("replay", "--json", recording).stdout)
        self.check(stucktrace("run", "--json", "--", "true").stdout)
        baseline = ("--baseline", self.path("golden"), "--assert", "opens < 1")
        for more in (["--update"], []):
            judged = self.check(stucktrace("run", "--json", *baseline, *more, "--", "sh", "-c",
                                           "exit %d" % len(more)).stdout)
            self.assertFalse(judged["comparison"]["passed"])
        ended = self.check(stucktrace("run", "--json", "--deadline", "1s", "--grace", "100ms", "--", "sleep",
                                      "600").stdout)
        self.assertEqual(ended["ended"]["processes"][0]["known"], "traced")
        with Background([os.path.join(TARGETS, "unread_output"), 200000, 30]) as target:
            self.check(stucktrace("explain", "--json", "--stacks", target.pid).stdout)
            self.check(stucktrace("attach", "--json", "--until-stuck", target.pid).stdout)

    def test_a_report_of_the_whole_ancestry_of_this_test(self):
        # Shells, a test driver, whatever runs it: real processes of many kinds.
        self.check(stucktrace("explain", "--json", "--stacks", os.getppid()).stdout)

    def test_hostile_names(self):
        script = self.path("evil\n\x1b[31m\"name\\")
        with open(script, "w") as file:
            file.write("#!/bin/sh\nread line < %s\n" % self.path("fifo"))
        os.chmod(script, 0o755)
        os.mkfifo(self.path("fifo"))
        with Background([script]) as target:
            result = stucktrace("explain", "--json", target.pid)
            self.check(result.stdout)
            text = stucktrace("explain", target.pid).stdout
            self.assertNotIn("\x1b", text)


if __name__ == "__main__":
    main()
