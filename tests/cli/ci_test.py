"""What scripts/ci gives to build servers: a step, a launcher for tests, the files that describe them."""
import glob
import os
import re
import subprocess
import sys
import xml.etree.ElementTree

from harness import PATIENCE, SOURCE, STUCKTRACE, TARGETS, Case, main

CI = os.path.join(SOURCE, "scripts", "ci")
EXIT_DEADLINE, EXIT_FAILURE = 124, 125
SELF_DEADLOCK = os.path.join(TARGETS, "self_held_write_end")

PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(patient NONE)
enable_testing()
add_executable(good IMPORTED)
set_target_properties(good PROPERTIES IMPORTED_LOCATION /bin/true
                      CROSSCOMPILING_EMULATOR "${CMAKE_CROSSCOMPILING_EMULATOR}")
add_executable(bad IMPORTED)
set_target_properties(bad PROPERTIES IMPORTED_LOCATION /bin/false
                      CROSSCOMPILING_EMULATOR "${CMAKE_CROSSCOMPILING_EMULATOR}")
add_executable(hangs IMPORTED)
set_target_properties(hangs PROPERTIES IMPORTED_LOCATION "%s"
                      CROSSCOMPILING_EMULATOR "${CMAKE_CROSSCOMPILING_EMULATOR}")
add_test(NAME good COMMAND good)
add_test(NAME bad COMMAND bad)
add_test(NAME hangs COMMAND hangs)
set_tests_properties(hangs PROPERTIES TIMEOUT 50)
""" % SELF_DEADLOCK

PYTEST = """
import threading

def test_good():
    pass

def test_hangs():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
"""


class Ci(Case):
    def run_words(self, *words, **settings):
        environment = dict(os.environ, STUCKTRACE=STUCKTRACE, STUCKTRACE_REPORTS=self.path("reports"))
        environment.update(settings)
        return subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
                              errors="backslashreplace", env=environment, cwd=self.directory,
                              timeout=PATIENCE)

    def reports(self, pattern):
        return glob.glob(os.path.join(self.path("reports"), pattern))

    def test_a_step_that_passes(self):
        done = self.run_words(os.path.join(CI, "run-step"), STUCKTRACE_RUN="echo one; echo two")
        self.assertEqual((done.returncode, done.stdout), (0, "one\ntwo\n"))
        suite = xml.etree.ElementTree.parse(self.path("reports/step.junit.xml")).getroot()
        self.assertEqual(suite.find(".//failure"), None)
        self.assertEqual(sorted(map(os.path.basename, self.reports("*"))),
                         ["step.html", "step.junit.xml", "step.sarif"])

    def test_a_step_that_fails_keeps_its_status(self):
        done = self.run_words(os.path.join(CI, "run-step"), STUCKTRACE_RUN="false\nexit 5")
        self.assertEqual(done.returncode, 1, done.stdout)
        done = self.run_words(os.path.join(CI, "run-step"), "--", "sh", "-c", "exit 7")
        self.assertEqual(done.returncode, 7, done.stdout)

    def test_a_step_that_hangs(self):
        done = self.run_words(os.path.join(CI, "run-step"), SELF_DEADLOCK, STUCKTRACE_DEADLINE="3s",
                              STUCKTRACE_GRACE="1s", STUCKTRACE_RECORD="1", STUCKTRACE_NAME="check")
        self.assertEqual(done.returncode, EXIT_DEADLINE, done.stdout)
        self.assertIn("self-held-write-end", done.stdout)
        suite = xml.etree.ElementTree.parse(self.path("reports/check.junit.xml")).getroot()
        self.assertIn("self-held-write-end", suite.find(".//failure").text)
        replayed = self.run_words(STUCKTRACE, "replay", "-q", self.path("reports/check.rec"))
        self.assertIn("self-held-write-end", replayed.stdout)

    def test_a_step_of_nothing(self):
        done = self.run_words(os.path.join(CI, "run-step"))
        self.assertEqual(done.returncode, EXIT_FAILURE)
        self.assertIn("STUCKTRACE_RUN", done.stdout)

    def test_ctest(self):
        with open(self.path("CMakeLists.txt"), "w") as file:
            file.write(PROJECT)
        launcher = os.path.join(CI, "ctest-launcher")
        made = self.run_words("cmake", "-S", ".", "-B", "build",
                              "-DCMAKE_CROSSCOMPILING_EMULATOR=" + launcher,
                              "-DCMAKE_TEST_LAUNCHER=" + launcher)
        self.assertEqual(made.returncode, 0, made.stdout)
        done = self.run_words("ctest", "--test-dir", "build", "--output-on-failure",
                              STUCKTRACE_DEADLINE="3s")
        self.assertNotEqual(done.returncode, 0)
        for name, how in (("good", "Passed"), ("bad", r"\*\*\*Failed"), ("hangs", r"\*\*\*Failed")):
            self.assertRegex(done.stdout, r"%s \.+ *%s" % (name, how))
        self.assertIn("Rule      self-held-write-end", done.stdout)
        kept = self.reports("*.junit.xml")
        self.assertEqual(len(kept), 1, kept)
        self.assertIn("self_held_write_end.", kept[0])

    def test_the_launcher_leaves_lists_of_tests_alone(self):
        done = self.run_words(os.path.join(CI, "ctest-launcher"), "echo", "--gtest_list_tests",
                              STUCKTRACE="/nonexistent")
        self.assertEqual((done.returncode, done.stdout), (0, "--gtest_list_tests\n"))
        done = self.run_words(os.path.join(CI, "ctest-launcher"), "echo", "as it is",
                              STUCKTRACE="/nonexistent", STUCKTRACE_OFF="1")
        self.assertEqual((done.returncode, done.stdout), (0, "as it is\n"))

    def test_pytest(self):
        python = next((python for python in (sys.executable, "/usr/bin/python3") if subprocess.run(
            [python, "-c", "import pytest"], stderr=subprocess.DEVNULL).returncode == 0), None)
        if python is None:
            self.skipTest("no pytest here")
        with open(self.path("test_patient.py"), "w") as file:
            file.write(PYTEST)
        done = self.run_words(os.path.join(CI, "run-step"), python, "-m", "pytest", "-q",
                              "-p", "no:cacheprovider", STUCKTRACE_IDLE="3s")
        self.assertEqual(done.returncode, EXIT_DEADLINE, done.stdout)
        self.assertRegex(done.stdout, r"at test_hangs \(.*test_patient\.py:10\)")

    def test_the_described_files_fit_the_step(self):
        """Settings that the step does not know would be lost in silence."""
        with open(os.path.join(CI, "run-step")) as file:
            known = set(re.findall(r"STUCKTRACE_?[A-Z_]*", file.read()))
        for name in ("action.yml", "gitlab-ci.yml"):
            with open(os.path.join(CI, name)) as file:
                text = file.read()
            used = set(re.findall(r"^ *(STUCKTRACE_?[A-Z_]*):", text, re.MULTILINE))
            self.assertEqual(used - known - {"STUCKTRACE_STEP"}, set(), name)
        try:
            import yaml
        except ImportError:
            self.skipTest("no yaml here")
        with open(os.path.join(CI, "action.yml")) as file:
            action = yaml.safe_load(file)
        inputs = set(re.findall(r"inputs\.([a-z-]+)", str(action["runs"])))
        self.assertEqual(inputs, set(action["inputs"]))
        self.assertEqual(action["runs"]["using"], "composite")
        with open(os.path.join(CI, "gitlab-ci.yml")) as file:
            job = yaml.safe_load(file)[".stucktrace"]
        self.assertEqual(job["artifacts"]["when"], "always")


if __name__ == "__main__":
    main()
