"""Reports in files and logs, and recordings in other formats: read as their readers read them."""
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as xml

from harness import EXIT_FAILURE, EXIT_NOT_FOUND, EXIT_STUCK, SEED, SOURCE, Case, main, stucktrace

RECORDINGS = os.path.join(SOURCE, "tests", "replay")
STUCK = os.path.join(RECORDINGS, "queue-join.trace")
HEALTHY = os.path.join(RECORDINGS, "pipeline-healthy.trace")
RULE = "pipe-full-after-announce"

# strace -f -ttt -T: what its consumers look for.
CALL = re.compile(r"^(?P<pid>\d+) +(?P<time>\d+\.\d{6}) (?P<name>\w+)\((?P<args>.*)\) += "
                  r"(?P<result>-?\d+|0x[0-9a-f]+|\?)(?: [A-Z]\w* \(.*\)| \(.*\))?"
                  r"(?: <\d+\.\d{6}>)?$")
OTHER = re.compile(r"^\d+ +\d+\.\d{6} (?:---.*---|\+\+\+.*\+\+\+|\w+\(.* <unfinished \.\.\.>)$")


def environment(**more):
    return dict(os.environ, **more)


class Export(Case):
    def export(self, form, recording=STUCK, *more):
        result = stucktrace("export", recording, "--format", form, *more)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_text_is_the_replay(self):
        replay = stucktrace("replay", "--color", "never", STUCK)
        self.assertEqual(replay.returncode, EXIT_STUCK)
        self.assertEqual(self.export("text"), replay.stdout)

    def test_json_is_the_report(self):
        replay = stucktrace("replay", "-q", "--json", STUCK)
        self.assertEqual(json.loads(self.export("json")), json.loads(replay.stdout))

    def test_strace_lines_parse(self):
        for name in ("queue-join", "polling-healthy"):
            lines = self.export("strace", os.path.join(RECORDINGS, name + ".trace")).splitlines()
            self.assertGreater(len(lines), 100)
            times = []
            for line in lines:
                self.assertTrue(CALL.match(line) or OTHER.match(line), line)
                times.append(line.split()[1])
            self.assertEqual(times, sorted(times))

    def test_ndjson_has_every_event(self):
        lines = [json.loads(line) for line in self.export("ndjson").splitlines()]
        self.assertEqual(lines[0]["schema"], "stucktrace.events/1")
        self.assertEqual(lines[-1]["type"], "end")
        findings = [line for line in lines if line["type"] == "finding"]
        self.assertIn(RULE, [line["rule"] for line in findings])
        self.assertEqual(len(lines) - 2 - len(findings), lines[-1]["events"])

    def test_junit(self):
        suite = xml.fromstring(self.export("junit")).find("testsuite")
        self.assertEqual((suite.get("tests"), suite.get("failures")), ("1", "1"))
        failure = suite.find("testcase/failure")
        self.assertEqual(failure.get("type"), RULE + " (until)")
        self.assertIn("Remedy", failure.text)
        healthy = xml.fromstring(self.export("junit", HEALTHY)).find("testsuite")
        self.assertEqual((healthy.get("tests"), healthy.get("failures")), ("1", "0"))

    def test_sarif(self):
        run = json.loads(self.export("sarif"))["runs"][0]
        self.assertEqual([result["ruleId"] for result in run["results"]], [RULE])

    def test_markdown(self):
        self.assertIn("` %s `" % RULE, self.export("markdown"))

    def test_dot(self):
        text = self.export("dot")
        self.assertRegex(text, r"t\d+ -> t\d+ \[label=.*color=")
        dot = shutil.which("dot")
        if dot:
            drawn = subprocess.run([dot, "-Tsvg"], input=text, stdout=subprocess.PIPE,
                                   encoding="utf-8", timeout=60, check=True)
            self.assertIn("<svg", drawn.stdout)

    def test_perfetto_is_a_sequence_of_packets(self):
        out = self.path("trace")
        self.export("perfetto", STUCK, "-o", out)
        with open(out, "rb") as file:
            data = file.read()
        # Trace: field 1, length-delimited, again and again.
        at = packets = 0
        while at < len(data):
            self.assertEqual(data[at], 0x0A)
            at += 1
            length = shift = 0
            while True:
                byte = data[at]
                at += 1
                length |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            at += length
            packets += 1
        self.assertEqual(at, len(data))
        self.assertGreater(packets, 1000)
        self.assertIn(b"STUCK (until): " + RULE.encode(), data)

    def test_html_says_it_without_scripts(self):
        out = self.path("page.html")
        self.export("html", STUCK, "-o", out)
        with open(out, encoding="utf-8") as file:
            page = file.read()
        self.assertIn("WAS STUCK", page)
        self.assertNotIn("http://", page.replace("http://www.w3.org/2000/svg", ""))
        self.assertNotIn("https://", page)

    def test_bad_input(self):
        self.assert_one_line_error(stucktrace("export", STUCK, "--format", "pdf"), EXIT_FAILURE,
                                   "pdf", "one of dot")
        self.assert_one_line_error(
            stucktrace("export", STUCK, "--format", "json", "-o", self.path("no/such")),
            EXIT_FAILURE, "no/such")
        copy = self.path("copy.trace")
        shutil.copy(HEALTHY, copy)
        self.assert_one_line_error(stucktrace("export", copy, "--format", "json", "-o", copy),
                                   EXIT_FAILURE, "is the recording itself")
        self.export("json", copy)  # and it still is one

    def test_a_replay_spares_what_it_reads(self):
        copy = self.path("copy.trace")
        shutil.copy(HEALTHY, copy)
        same = os.path.join(os.path.dirname(copy), ".", "copy.trace")
        for option in ("--html", "--junit", "--sarif", "--json"):
            self.assert_one_line_error(stucktrace("replay", "-q", option + "=" + same, copy),
                                       EXIT_FAILURE, "is the recording itself")
        self.assert_one_line_error(
            stucktrace("replay", "-q", copy, env=environment(GITHUB_STEP_SUMMARY=copy)),
            EXIT_FAILURE, "is the recording itself")
        with open(copy, "rb") as left, open(HEALTHY, "rb") as right:
            self.assertEqual(left.read(), right.read())


class Files(Case):
    def test_every_report_of_one_run(self):
        names = ("junit", "sarif", "html", "json")
        options = ["--%s=%s" % (name, self.path(name)) for name in names]
        summary = self.path("summary.md")
        with open(summary, "w") as file:
            file.write("# before\n")
        result = stucktrace("run", "-q", "--stuck-after", "500ms", *options, "--", "python3", SEED,
                            200000, 4, env=environment(GITHUB_ACTIONS="true", GITHUB_WORKSPACE=SOURCE,
                                                       GITHUB_STEP_SUMMARY=summary))
        self.assertEqual(result.returncode, 0, result.stderr)
        text = {}
        for name in names + ("summary.md",):
            with open(self.path(name), encoding="utf-8") as file:
                text[name] = file.read()
        failure = xml.fromstring(text["junit"]).find("testsuite/testcase/failure")
        verdict = failure.get("message")
        self.assertIn("STUCK", verdict)
        # Which rule it is depends on how far the program was; all tell the same.
        rule = json.loads(text["sarif"])["runs"][0]["results"][0]["ruleId"]
        self.assertTrue(failure.get("type").startswith(rule + " ("))
        self.assertIn(rule, [each["finding"]["rule"] for each in json.loads(text["json"])["history"]])
        self.assertIn("(%s)" % failure.get("type").split("(")[1].strip(")"), text["html"])
        self.assertTrue(text["summary.md"].startswith("# before\n### stucktrace run"))
        self.assertIn("` %s `" % rule, text["summary.md"])
        # The program may have left its line open: each mark begins one of its own.
        self.assertIn("\n::", result.stderr)
        marks = [line for line in result.stderr.splitlines() if line.startswith("::")]
        self.assertTrue(marks, result.stderr)
        self.assertIn("title=stucktrace%3A " + rule, marks[0])

    def test_nothing_stuck(self):
        junit = self.path("junit.xml")
        result = stucktrace("run", "-q", "--junit", junit, "--", "true")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        suite = xml.parse(junit).getroot().find("testsuite")
        self.assertEqual((suite.get("tests"), suite.get("failures"), suite.get("errors")),
                         ("1", "0", "0"))

    def test_a_killed_stucktrace_leaves_an_error(self):
        junit = self.path("junit.xml")
        sarif = self.path("sarif.json")
        html = self.path("page.html")
        result = stucktrace("run", "-q", "--junit", junit, "--sarif", sarif, "--html", html, "--",
                            "sh", "-c", "kill -KILL $PPID; sleep 60")
        self.assertEqual(result.returncode, -9)
        suite = xml.parse(junit).getroot().find("testsuite")
        self.assertEqual(suite.get("errors"), "1")
        with open(sarif) as file:
            run = json.load(file)["runs"][0]
        self.assertFalse(run["invocations"][0]["executionSuccessful"])
        with open(html) as file:
            page = file.read()
        self.assertIn("did not come to its end", page)
        self.assertNotIn("Nothing is stuck", page)

    def test_unwritable_files_show_before_anything_starts(self):
        started = self.path("started")
        for option in ("--junit", "--sarif", "--html"):
            self.assert_one_line_error(
                stucktrace("run", option, self.path("no/such"), "--", "touch", started),
                EXIT_FAILURE, "no/such")
        self.assert_one_line_error(
            stucktrace("run", "--junit", self.path("a"), "--sarif", self.path("a"), "--", "touch",
                       started), EXIT_FAILURE, "two outputs")
        self.assert_one_line_error(
            stucktrace("run", "--junit", self.path("b"), "--sarif",
                       os.path.join(self.path("."), "b"), "--", "touch", started),
            EXIT_FAILURE, "two outputs")
        baseline = self.path("baseline")
        self.assertEqual(stucktrace("run", "--baseline", baseline, "--update", "--", "true").returncode, 0)
        with open(baseline) as file:
            before = file.read()
        self.assert_one_line_error(
            stucktrace("run", "--baseline", baseline, "--junit", baseline, "--", "touch", started),
            EXIT_FAILURE, "is the baseline itself")
        with open(baseline) as file:
            self.assertEqual(file.read(), before)
        self.assertFalse(os.path.exists(started))

    def test_a_command_that_is_not_there_is_an_error(self):
        """A report of an earlier run must not be taken for one of this."""
        junit = self.path("junit.xml")
        self.assertEqual(stucktrace("run", "-q", "--junit", junit, "--", "true").returncode, 0)
        self.assert_one_line_error(stucktrace("run", "--junit", junit, "--", "no-such-command"),
                                   EXIT_NOT_FOUND, "no-such-command")
        error = xml.parse(junit).getroot().find("testsuite/testcase/error")
        self.assertIn("no-such-command", error.get("message"))

    def test_a_step_that_was_cut_short_has_not_passed(self):
        junit, sarif, summary = self.path("junit.xml"), self.path("sarif.json"), self.path("summary.md")
        result = stucktrace("run", "-q", "--deadline", "1s", "--grace", "100ms", "--junit", junit,
                            "--sarif", sarif, "--", "sleep", "600",
                            env=environment(GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=summary))
        self.assertEqual(result.returncode, 124, result.stderr)
        words = "Ended by stucktrace: the deadline of 1 s has passed (--deadline)."
        suite = xml.parse(junit).getroot().find("testsuite")
        self.assertEqual((suite.get("tests"), suite.get("failures"), suite.get("errors")), ("1", "0", "1"))
        error = suite.find("testcase/error")
        self.assertEqual(error.get("message"), words)
        self.assertIn("sleep", error.text)
        with open(sarif) as file:
            invocation = json.load(file)["runs"][0]["invocations"][0]
        self.assertEqual(invocation["toolExecutionNotifications"][0]["message"]["text"], words)
        self.assertIn("\n::error title=stucktrace%3A deadline::" + words + "\n", result.stderr)
        with open(summary, encoding="utf-8") as file:
            self.assertIn("🔴 Ended by stucktrace", file.read())

    def test_a_calm_run_and_a_full_summary(self):
        summary = self.path("summary.md")
        with open(summary, "w") as file:
            file.write("# before\n")
        ci = environment(GITHUB_STEP_SUMMARY=summary)
        self.assertEqual(stucktrace("run", "-q", "--", "true", env=ci).returncode, 0)
        with open(summary) as file:
            self.assertEqual(file.read(), "# before\n")
        with open(summary, "a") as file:
            file.write("x" * 1020 * 1024)
        size = os.path.getsize(summary)
        self.assertEqual(stucktrace("replay", "-q", STUCK, env=ci).returncode, EXIT_STUCK)
        self.assertEqual(os.path.getsize(summary), size)

    def test_a_summary_that_cannot_be_written_fails_nothing(self):
        result = stucktrace("run", "--", "true",
                            env=environment(GITHUB_STEP_SUMMARY=self.path("no/such")))
        self.assertEqual(result.returncode, 0)
        self.assertIn("no summary of the job", result.stderr)

    def test_gitlab_folds_the_report(self):
        result = stucktrace("replay", "-q", STUCK, env=environment(GITLAB_CI="true"))
        self.assertRegex(result.stdout, "^\x1b\\[0Ksection_start:\\d+:stucktrace_report[\r\n]\x1b\\[0K"
                                        "stucktrace: WAS STUCK")
        self.assertRegex(result.stdout,
                         "\x1b\\[0Ksection_end:\\d+:stucktrace_report[\r\n]\x1b\\[0K\n$")


if __name__ == "__main__":
    main()
