"""Golden traces: equal runs are equal, a changed blocking structure is told."""
import os

from harness import (EXIT_DIFFERS, SEED, TARGETS, Case, interpreters, main, stucktrace)

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


class Compare(Case):
    def record(self, name, *words):
        path = self.path(name)
        result = stucktrace("run", "-q", "-o", path, "--", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return path

    def assert_equal_runs(self, times, *words):
        baseline = self.record("base.rec", *words)
        for run in range(times):
            result = stucktrace("compare", baseline, self.record("run.rec", *words))
            self.assertEqual(result.returncode, 0, "run %d:\n%s" % (run, result.stdout))

    def test_twenty_runs_of_a_python_program_are_equal(self):
        script = self.path("script.py")
        with open(script, "w") as file:
            file.write(SCRIPT)
        python = sorted(interpreters().items())[-1][1]
        self.assert_equal_runs(20, python, script)

    def test_twenty_runs_of_a_shell_pipeline_are_equal(self):
        self.assert_equal_runs(20, "sh", "-c", "seq 2000 | sort -r | tail -3; echo end >&2; exit 0")

    def test_twenty_runs_of_threads_are_equal(self):
        self.assert_equal_runs(20, os.path.join(TARGETS, "clone_storm"), "8", "4")

    def test_the_hanging_birth_case_equals_itself_and_not_its_healthy_twin(self):
        python = sorted(interpreters().items())[-1][1]
        first = self.record("first.rec", python, SEED, 200000, 6)
        second = self.record("second.rec", python, SEED, 200000, 6)
        result = stucktrace("compare", first, second)
        self.assertEqual(result.returncode, 0, result.stdout)
        healthy = self.record("healthy.rec", python, SEED, 1000, 6)
        result = stucktrace("compare", first, healthy)
        self.assertEqual(result.returncode, EXIT_DIFFERS, result.stdout)
        self.assertIn("pipe-full-after-announce", result.stdout)

    def test_a_changed_structure_is_told(self):
        base = self.record("base.rec", "sh", "-c", "echo a | cat")
        for change in ("echo a | cat | cat", "echo b | cat", "echo a | cat; true; /bin/true"):
            changed = self.record("changed.rec", "sh", "-c", change)
            result = stucktrace("compare", base, changed)
            self.assertEqual(result.returncode, EXIT_DIFFERS, change)
            self.assertTrue(result.stdout.strip())

    def test_update_makes_a_text_baseline(self):
        run = self.record("run.rec", "sh", "-c", "echo a | cat")
        baseline = self.path("baseline.txt")
        self.assertEqual(stucktrace("compare", "--update", baseline, run).returncode, 0)
        with open(baseline, encoding="utf-8") as file:
            self.assertIn("cat", file.read())
        again = self.record("again.rec", "sh", "-c", "echo a | cat")
        result = stucktrace("compare", baseline, again)
        self.assertEqual(result.returncode, 0, result.stdout)
        other = self.record("other.rec", "sh", "-c", "echo a | cat; echo more")
        self.assertEqual(stucktrace("compare", baseline, other).returncode, EXIT_DIFFERS)


if __name__ == "__main__":
    main()
