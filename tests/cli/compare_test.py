"""Golden traces: equal runs are equal, a changed run is told, assertions hold or say why not."""
import json
import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree

from harness import (EXIT_DIFFERS, EXIT_FAILURE, SEED, SOURCE, STUCKTRACE, TARGETS, Case,
                     interpreters, main, stucktrace)

# The programs run often enough in one build; under sanitizers once more tells nothing new.
SHORT = bool(os.environ.get("STUCKTRACE_SHORT_TESTS"))
REPETITIONS = 2 if SHORT else 5
PROGRAMS = ["sh-pipeline", "make", "python-multiprocessing"] if SHORT else []  # none: all

SCRIPT = r"""
import multiprocessing, subprocess, sys
def work(queue):
    queue.put(subprocess.check_output(["sh", "-c", "echo one; echo two | cat"]))
    print("worker done"); sys.stdout.flush()
if __name__ == "__main__":
    queue = multiprocessing.Queue()
    child = multiprocessing.Process(target=work, args=(queue,))
    child.start()
    print(len(queue.get())); sys.stdout.flush()
    child.join()
"""

# A parent with a pipe to a child; what is seeded in it is what regressions look like.
SEEDED = r"""
import os, socket, subprocess, sys
seed = sys.argv[1]
reader, writer = os.pipe()
if seed == "leaked fd":
    os.set_inheritable(reader, True)
child = subprocess.Popen(["sh", "-c", "echo data; exit " + ("3" if seed == "exit status" else "0")],
                         stdout=writer, close_fds=seed != "leaked fd")
os.close(writer)
if seed != "unread pipe":
    while os.read(reader, 100):
        pass
if seed == "lost wait":
    # The child has written all it had, nobody asks how it ended.
    child.returncode = 0
else:
    child.wait()
if seed == "added exec":
    os.execvp("true", ["true"])
if seed == "new connect":
    try:
        socket.create_connection(("127.0.0.1", 1))
    except OSError:
        pass
"""


class Compare(Case):
    def record(self, name, *words, status=0):
        path = self.path(name)
        result = stucktrace("run", "-q", "--for-compare", "-o", path, "--", *words, cwd=self.directory)
        self.assertEqual(result.returncode, status, result.stderr)
        return path

    def write(self, name, text):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def read(self, path):
        with open(path, encoding="utf-8") as file:
            return file.read()

    def compare(self, *words):
        return stucktrace("compare", *words)

    def assert_equal_runs(self, *words):
        baseline = self.record("base.rec", *words)
        for run in range(REPETITIONS):
            recording = self.record("run.rec", *words)
            for level in ("structure", "effects", "calls"):
                result = self.compare("--level", level, baseline, recording)
                self.assertEqual(result.returncode, 0,
                                 "run %d at %s:\n%s" % (run, level, result.stdout + result.stderr))

    def test_runs_of_a_python_program_are_equal(self):
        python = sorted(interpreters().items())[-1][1]
        self.assert_equal_runs(python, self.write("script.py", SCRIPT))

    def test_runs_of_a_shell_pipeline_are_equal(self):
        self.assert_equal_runs("sh", "-c", "seq 2000 | sort -r | tail -3; echo end >&2; exit 0")

    def test_runs_of_threads_are_equal(self):
        self.assert_equal_runs(os.path.join(TARGETS, "clone_storm"), "8", "4")

    def test_real_programs_differ_in_nothing(self):
        result = subprocess.run(
            [sys.executable, os.path.join(SOURCE, "scripts", "golden_runs.py"), "--stucktrace",
             STUCKTRACE, "--times", "1"] + PROGRAMS,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("sh-pipeline", result.stdout)

    def test_the_hanging_birth_case_equals_itself_and_not_its_healthy_twin(self):
        python = sorted(interpreters().items())[-1][1]
        first = self.record("first.rec", python, SEED, 200000, 6)
        second = self.record("second.rec", python, SEED, 200000, 6)
        result = self.compare(first, second)
        self.assertEqual(result.returncode, 0, result.stdout)
        healthy = self.record("healthy.rec", python, SEED, 1000, 6)
        result = self.compare(first, healthy)
        self.assertEqual(result.returncode, EXIT_DIFFERS, result.stdout)
        self.assertIn("pipe-full-after-announce", result.stdout)
        result = self.compare("--assert", "no finding", first)
        self.assertEqual(result.returncode, EXIT_DIFFERS, result.stdout)
        self.assertRegex(result.stdout, r"at +\d+\.\d{3} s, P\d")

    def test_seeded_regressions_are_caught(self):
        script = self.write("seeded.py", SEEDED)
        baselines = {}
        for level in ("structure", "effects"):
            baselines[level] = self.path(level)
            recording = self.record("base.rec", sys.executable, script, "none")
            done = self.compare("-q", "--update", "--level", level, baselines[level], recording)
            self.assertEqual(done.returncode, 0, done.stderr)
        # regression, the level it shows at, what is said
        for seed, level, said in (
                ("none", "effects", None),
                ("leaked fd", "effects", r"\+ inherits pipe#1 for reading"),
                ("added exec", "structure", r"\+ python3 > true"),
                ("lost wait", "structure", r"- waits for P2"),
                ("unread pipe", "structure", r"\+ writes a pipe that nobody reads"),
                ("exit status", "structure", r"- exits 0\n  \+ exits 3"),
                ("new connect", "effects", r"\+ connects to inet 127\.0\.0\.1:1\n")):
            with self.subTest(seed=seed):
                recording = self.record("run.rec", sys.executable, script, seed)
                result = self.compare(baselines[level], recording)
                if said is None:
                    self.assertEqual(result.returncode, 0, result.stdout)
                    continue
                self.assertEqual(result.returncode, EXIT_DIFFERS, result.stdout + result.stderr)
                self.assertRegex(result.stdout, said)

    def test_a_process_more_renames_no_other(self):
        base = self.record("base.rec", "sh", "-c", "echo b | cat; exit 0")
        more = self.record("more.rec", "sh", "-c", "awk 'BEGIN { exit 0 }'; echo b | cat; exit 0")
        result = self.compare("--level", "structure", base, more)
        self.assertEqual(result.returncode, EXIT_DIFFERS)
        self.assertRegex(result.stdout, r"\(\S*awk\): not expected")
        self.assertNotIn("\n  - ", result.stdout)

    def test_a_baseline_is_a_text_that_stays_as_it_is(self):
        command = ("sh", "-c", "echo a | cat > out-$$; mv out-$$ made; exit 0")
        baseline = self.path("baseline.txt")
        words = ("--update", "--normalise", r"s/out-\d+/out/", "--assert", "never connect", baseline)
        self.assertEqual(self.compare(*words, self.record("one.rec", *command)).returncode, 0)
        text = self.read(baseline)
        for line in ("# stucktrace baseline 1", "level effects", "seen all",
                     r"normalise s/out-\d+/out/", "  never connect", '  stdout is "out"',
                     '  renames "out" to "made"'):
            self.assertIn(line + "\n", text)
        self.assertIsNone(re.search(r"\d{4,}", text), text)  # no pid, clock or address
        # Other pids, the same text.
        again = self.record("two.rec", *command)
        self.assertEqual(self.compare("--update", baseline, again).returncode, 0)
        self.assertEqual(self.read(baseline), text)
        self.assertEqual(self.compare(baseline, again).returncode, 0)
        # The rule is there already.
        self.assertEqual(
            self.compare("--normalise", r"s/out-\d+/out/", baseline, again).returncode, 0)
        # Comments are for people.
        self.write("baseline.txt", text.replace("\nassert", "\n# why\nassert"))
        self.assertEqual(self.compare(baseline, again).returncode, 0)

    def test_kept_assertions_stay_with_their_processes(self):
        base = self.record("base.rec", "sh", "-c", "sh -c 'exit 3'; exit 0")
        more = self.record("more.rec", "sh", "-c", "awk 'BEGIN { exit 0 }'; sh -c 'exit 3'; exit 0")
        baseline = self.path("baseline.txt")
        done = self.compare("--update", "--assert", "P2 exits 3", baseline, base)
        self.assertEqual(done.returncode, 0, done.stdout)
        done = self.compare("--update", baseline, more)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(self.read(baseline), r"\nP2 \S+, child of P1\n(  .*\n)*  exits 3\n")
        self.assertRegex(self.read(baseline), r"\nP3 \S*awk\S*, child of P1\n")
        self.assertEqual(self.compare(baseline, more).returncode, 0)

    def test_a_wait_that_does_not_return_is_blocked(self):
        recording = self.record("run.rec", "sh", "-c",
                                "mkfifo f; cat f & sleep 1; kill -9 $!; rm f; exit 0")
        result = self.compare("--assert", "max blocked 500ms", recording)
        self.assertEqual(result.returncode, EXIT_DIFFERS, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"at +\d+\.\d{3} s, P\d: open\w*\(")
        self.assertEqual(self.compare("--assert", "max blocked 1h", recording).returncode, 0)

    def test_run_judges_itself(self):
        baseline = self.path("baseline.txt")
        def run(script, *words):
            return stucktrace("run", "-q", "--baseline", baseline, *words, "--", "sh", "-c", script)
        self.assert_one_line_error(run("true"), EXIT_FAILURE, "there is no baseline", "--update")
        self.assertEqual(run("echo a | cat; exit 0", "--update").returncode, 0)
        text = self.read(baseline)
        result = run("echo a | cat; exit 0")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "a\n", ""))
        result = run("echo a | cat | cat; exit 0")
        self.assertEqual((result.returncode, result.stdout), (EXIT_DIFFERS, "a\n"))
        self.assertIn("(cat): not expected", result.stderr)
        # The command's own failure counts, the difference is told all the same.
        result = run("echo a | cat; exit 7")
        self.assertEqual(result.returncode, 7)
        self.assertIn("+ exits 7", result.stderr)
        self.assertEqual(self.read(baseline), text)
        self.assertEqual(run("exit 7", "--update").returncode, 7)
        self.assertNotEqual(self.read(baseline), text)

    def judged(self, script, *words, **environment):
        """The result of a run that is judged, and what its files say."""
        names = {"--junit": "out.xml", "--sarif": "out.sarif", "--html": "out.html"}
        files = [word for option, name in names.items() for word in (option, self.path(name))]
        result = stucktrace("run", "-q", "--json=" + self.path("out.json"), *files, *words, "--", "sh", "-c",
                            script, cwd=self.directory, env=dict(os.environ, **environment))
        suite = xml.etree.ElementTree.parse(self.path("out.xml")).getroot().find("testsuite")
        sarif = json.loads(self.read(self.path("out.sarif")))["runs"][0]
        report = json.loads(self.read(self.path("out.json")))
        return result, suite, sarif, report

    def test_a_run_that_is_judged_fails_in_every_report(self):
        baseline, summary = self.path("run.golden"), self.path("summary.md")
        recording = self.path("run.rec")
        words = ("--baseline", baseline, "--assert", "never connect", "-o", recording)
        script = "echo a | cat; exit 0"
        self.assertEqual(self.judged(script, *words, "--update")[0].returncode, 0)
        ci = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": summary, "GITHUB_WORKSPACE": self.directory}
        result, suite, sarif, report = self.judged(script, *words, **ci)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("::error", result.stderr)
        self.assertEqual((suite.get("failures"), suite.get("errors")), ("0", "0"))
        self.assertIn("assert: never connect", [case.get("name") for case in suite.iter("testcase")])
        self.assertEqual(sarif["results"], [])
        self.assertTrue(report["comparison"]["passed"])
        self.assertFalse(os.path.exists(summary) and self.read(summary))
        # Another process, and one file too many.
        result, suite, sarif, report = self.judged("echo a | cat | cat; echo > made", *words, "--assert",
                                                   "never /^openat?$/", **ci)
        self.assertEqual(result.returncode, EXIT_DIFFERS, result.stderr)
        failures = suite.findall("testcase/failure")
        kinds = [failure.get("type") for failure in failures]
        self.assertEqual(kinds.count("assertion-failed"), 1)
        self.assertGreaterEqual(kinds.count("baseline-difference"), 1)
        self.assertEqual(suite.get("failures"), str(len(failures)))
        told = next(failure for failure in failures if failure.get("type") == "assertion-failed")
        self.assertRegex(told.text, r"seen +\d+ of them\n +at +\d+\.\d{3} s, P\d+: openat\(")
        replay = re.search(r"replay +stucktrace (.*)", told.text).group(1)
        self.assertIn("openat", stucktrace(*shlex.split(replay)).stdout)
        differs = next(failure for failure in failures if failure.get("type") != "assertion-failed")
        again = re.search(r"replay +stucktrace (.*)", differs.text).group(1)
        self.assertEqual(stucktrace(*shlex.split(again)).returncode, EXIT_DIFFERS)
        self.assertEqual({each["ruleId"] for each in sarif["results"]},
                         {"baseline-difference", "assertion-failed"})
        self.assertIn("run.golden", [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
                                     for each in sarif["results"]])
        self.assertFalse(report["comparison"]["passed"])
        self.assertIn("1 of 2 assertions does not hold", self.read(summary))
        self.assertRegex(result.stderr, r"\n::error file=run\.golden,line=\d+,title=stucktrace%3A baseline")
        self.assertIn("id=\"comparison\"", self.read(self.path("out.html")))

    def test_a_recording_that_is_judged_later_has_the_same_reports(self):
        recording, baseline = self.path("run.rec"), self.path("run.golden")
        self.record("base.rec", "sh", "-c", "echo a | cat; exit 0")
        self.assertEqual(self.compare("-q", "--update", baseline, self.path("base.rec")).returncode, 0)
        words = ("--baseline", baseline, "--assert", "never /^openat?$/", "-o", recording)
        at_once, suite, sarif, report = self.judged("echo a | cat | cat; echo > made", *words)
        self.assertEqual(at_once.returncode, EXIT_DIFFERS, at_once.stderr)
        files = {name: self.path("later." + name) for name in ("junit", "sarif", "html", "json")}
        asked = ["--%s=%s" % each for each in files.items()]
        later = stucktrace("compare", "--assert", "never /^openat?$/", *asked, baseline, recording,
                           cwd=self.directory)
        self.assertEqual((later.returncode, later.stderr), (EXIT_DIFFERS, ""))
        self.assertEqual(json.loads(self.read(files["json"]))["comparison"], report["comparison"])

        def failures(suite):
            return [(each.get("message"), each.text) for each in suite.iter("failure")]
        again = xml.etree.ElementTree.parse(files["junit"]).getroot().find("testsuite")
        self.assertEqual(failures(again), failures(suite))
        self.assertEqual(json.loads(self.read(files["sarif"]))["runs"][0]["results"], sarif["results"])
        page = self.read(files["html"])
        self.assertIn("id=\"comparison\"", page)
        self.assertEqual(page.split("<section id=\"comparison\"")[0].count("Differs from"), 1)
        # Another recording for a baseline, JSON in place of the text.
        result = self.compare("--json", self.path("base.rec"), recording)
        self.assertEqual(result.returncode, EXIT_DIFFERS, result.stderr)
        told = json.loads(result.stdout)
        self.assertEqual(told["comparison"]["baseline"], self.path("base.rec"))
        self.assertIn("(cat): not expected", result.stderr)
        result = self.compare("-q", "--json", self.path("base.rec"), self.path("base.rec"))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertTrue(json.loads(result.stdout)["comparison"]["passed"])

    def test_a_finding_that_the_baseline_has_leaves_no_mark(self):
        python = sorted(interpreters().items())[-1][1]
        recording, baseline = self.record("run.rec", python, SEED, 200000, 5), self.path("run.golden")
        self.assertEqual(self.compare("-q", "--update", baseline, recording).returncode, 0)
        summary = self.path("summary.md")
        result = stucktrace("compare", baseline, recording,
                            env=dict(os.environ, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=summary))
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
        self.assertFalse(os.path.exists(summary) and self.read(summary))
        # The page and the others that were asked for tell all there is.
        told = json.loads(self.compare("-q", "--json", baseline, recording).stdout)
        self.assertEqual([each["finding"]["rule"] for each in told["history"]], ["pipe-full-after-announce"])

    def test_a_recording_has_no_lines_to_point_at(self):
        base, now = self.record("base.rec", "true"), self.record("now.rec", "sh", "-c", "exit 3", status=3)
        result = stucktrace("compare", base, now, env=dict(os.environ, GITHUB_ACTIONS="true"))
        self.assertEqual(result.returncode, EXIT_DIFFERS)
        self.assertIn("::error ", result.stderr)
        self.assertNotRegex(result.stderr + result.stdout, r"line[= ]\d")

    def test_a_recording_that_cannot_be_judged_is_an_error_in_the_files(self):
        recording, junit = self.record("run.rec", "true"), self.path("out.xml")
        result = self.compare("--junit", junit, self.path("none.golden"), recording)
        self.assertEqual(result.returncode, EXIT_FAILURE)
        suite = xml.etree.ElementTree.parse(junit).getroot().find("testsuite")
        self.assertEqual(suite.get("errors"), "1")
        self.assertIn("there is no baseline", suite.find("testcase/error").get("message"))
        for name in (recording, self.path("run.golden")):
            with self.subTest(output=name):
                self.write("run.golden", "kept")
                result = self.compare("--junit", name, self.path("run.golden"), recording)
                self.assertEqual(result.returncode, EXIT_FAILURE)
                self.assertRegex(result.stderr, r"is the (recording|baseline) itself")
        self.assertEqual(self.read(self.path("run.golden")), "kept")

    def test_gitlab_gets_a_section(self):
        result = self.judged("echo > made", "--assert", "opens < 1", GITLAB_CI="true")[0]
        self.assertEqual(result.returncode, EXIT_DIFFERS)
        self.assertRegex(result.stderr, "section_start:\\d+:stucktrace_comparison[\r\n]\x1b\\[0Kstucktrace: 1 of 1 "
                         "assertion does not hold\\.\n")

    def test_the_commands_own_failure_hides_no_difference(self):
        result, suite, _, report = self.judged("exit 7", "--assert", "P1 exits 0")
        self.assertEqual((result.returncode, suite.get("failures")), (7, "1"))
        self.assertFalse(report["comparison"]["passed"])

    def test_what_could_not_be_judged_is_an_error(self):
        baseline = self.path("run.golden")
        self.judged("exit 0", "--baseline", baseline, "--update")
        text = self.read(baseline).replace("seen all", "seen filtered")
        with open(baseline, "w") as file:
            file.write(text)
        result, suite, sarif, report = self.judged("exit 0", "--baseline", baseline)
        self.assertEqual((result.returncode, suite.get("errors")), (EXIT_FAILURE, "1"), result.stderr)
        self.assertIn("shows more calls", suite.find("testcase/error").get("message"))
        self.assertIn("shows more calls", report["comparison"]["failure"])
        self.assertTrue(sarif["invocations"][0]["toolExecutionNotifications"])

    def test_assertions_say_what_was_seen_where_and_how_to_replay_it(self):
        recording = self.path("run.rec")
        command = ("sh", "-c", 'cd "$0" && echo a > one; echo b > two; exit 0', self.directory)
        result = stucktrace("run", "-q", "-o", recording, "--assert", "never connect", "--assert",
                            "execs == 1", "--assert", "removes >= 0", "--", *command)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        result = stucktrace("run", "-q", "-o", recording, "--assert", "opens < 2", "--", *command)
        self.assertEqual(result.returncode, EXIT_DIFFERS, result.stderr)
        self.assertIn("does not hold: opens < 2\n", result.stderr)
        self.assertRegex(result.stderr, r"seen +\d+ of them")
        self.assertRegex(result.stderr, r"at +\d+\.\d{3} s, P1: openat\(")
        replay = re.search(r"replay +stucktrace (.*)", result.stderr).group(1).split()
        self.assertIn("openat", stucktrace(*replay).stdout)
        result = self.compare("--assert", "P1 exits 1", recording)
        self.assertEqual(result.returncode, EXIT_DIFFERS)
        self.assertIn("seen    exits with status 0", result.stdout)
        self.assertEqual(self.compare("--assert", "P1 exits 0", recording).returncode, 0)

    def test_what_cannot_be_judged_is_not_passed(self):
        plain = self.path("plain.rec")
        done = stucktrace("run", "-q", "-o", plain, "--", "sh", "-c", "cat < /dev/null; exit 0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.compare("--assert", "never connect", plain).returncode, 0)
        for words in ("opens <= 9", "max blocked 9s", "never ptrace"):
            self.assert_one_line_error(self.compare("--assert", words, plain), EXIT_FAILURE,
                                       "cannot be judged", "--for-compare")
        full = self.record("full.rec", "sh", "-c", "cat < /dev/null; exit 0")
        self.assertEqual(self.compare(plain, plain).returncode, 0)
        self.assert_one_line_error(self.compare(full, plain), EXIT_FAILURE, "fewer calls",
                                   "--for-compare")

    def test_what_was_not_traced_is_not_known_to_be_missing(self):
        recording = self.path("part.rec")
        command = ("sh", "-c", "cat < /dev/null; exit 0")
        def record(*words):
            done = stucktrace("run", "-q", "-o", recording, *words, "--", *command)
            self.assertEqual(done.returncode, 0, done.stderr)
        record("-e", "trace=read")
        for words, missing in (("never connect", "connect"), ("opens <= 9", "open"),
                               ("max blocked 9s", "all calls that wait"),
                               ("no finding deadlock", "all calls that a diagnosis needs")):
            self.assert_one_line_error(self.compare("--assert", words, recording), EXIT_FAILURE,
                                       "cannot be judged", "does not show " + missing,
                                       "--for-compare")
        # Calls that take long are looked up where a filter lets them pass.
        for words in ("/^read$/ >= 1", "execs == 2", "no finding", "P1 exits 0"):
            result = self.compare("--assert", words, recording)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        full = self.record("full.rec", *command)
        baseline = self.path("base.txt")
        for words in ((full, recording), (recording, full), ("--update", baseline, recording)):
            self.assert_one_line_error(self.compare(*words), EXIT_FAILURE, "cannot be compared",
                                       "--for-compare")
        self.assertFalse(os.path.exists(baseline))
        record("-e", "trace=read", "--no-seccomp")
        self.assert_one_line_error(self.compare("--assert", "no finding", recording), EXIT_FAILURE,
                                   "does not show all calls that wait")
        # More than is compared is enough.
        record("-e", "trace=all")
        self.assertEqual(self.compare(full, recording).returncode, 0)
        result = self.compare("--assert", "never ptrace", recording)
        self.assertEqual(result.returncode, 0, result.stderr)
        record("-e", "trace=!connect")
        self.assert_one_line_error(self.compare("--assert", "never connect", recording),
                                   EXIT_FAILURE, "does not show connect")
        # A run that judges itself traces what it is asked about, whatever else it shows.
        result = stucktrace("run", "-q", "-e", "trace=read", "--assert", "opens == 0", "--", *command)
        self.assertEqual(result.returncode, EXIT_DIFFERS, result.stderr)

    def test_wrong_words_and_files(self):
        recording = self.record("run.rec", "true")
        baseline = self.path("base.txt")
        self.assertEqual(self.compare("-q", "--update", baseline, recording).returncode, 0)
        text = self.read(baseline)
        self.assert_one_line_error(self.compare("--assert", "opens <= x", recording), EXIT_FAILURE,
                                   "--assert 'opens <= x': line 1, column 10: expected a number")
        self.assert_one_line_error(
            self.compare("--update", "--normalise", "s/a", baseline, recording), EXIT_FAILURE,
            "--normalise 's/a': line 1, column 4: no second /")
        broken = self.write("broken.txt", text + "\nassert\n  never conect\n")
        self.assert_one_line_error(self.compare(broken, recording), EXIT_FAILURE,
                                   "line %d, column 9" % (text.count("\n") + 3), "'connect'")
        self.assert_one_line_error(self.compare("--level", "calls", baseline, recording),
                                   EXIT_FAILURE, "--update")
        self.assert_one_line_error(self.compare("--normalise", "s/a/b/", baseline, recording),
                                   EXIT_FAILURE, "--update")
        # A recording is not written over.
        self.assert_one_line_error(self.compare("--update", recording, recording), EXIT_FAILURE,
                                   "is no baseline")
        self.assert_one_line_error(self.compare(recording), EXIT_FAILURE, "nothing to compare with")


if __name__ == "__main__":
    main()
