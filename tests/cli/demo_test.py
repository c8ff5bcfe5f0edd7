"""Every bundled target: the hang is found by its rule, the healthy twin is left alone."""
import os
import signal
import subprocess

from harness import (EXIT_FAILURE, EXIT_STUCK, PATIENCE, STUCKTRACE, TARGETS, Background, Case, children, main,
                     report_of, status_field, stucktrace, task_states, wait_until)


def demos():
    with open(os.path.join(TARGETS, "targets.tsv")) as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                columns = line.rstrip("\n").split("\t")
                yield dict(zip(("name", "interpreter", "file", "text", "hanging", "healthy", "rule"),
                               columns))


def words_of(demo, arguments):
    words = [] if demo["interpreter"] == "-" else [demo["interpreter"]]
    return words + [os.path.join(TARGETS, demo["file"])] + demo[arguments].split()


class Demos(Case):
    def test_the_list_names_each(self):
        listed = stucktrace("demo").stdout
        for demo in demos():
            self.assertIn(demo["name"], listed)

    def test_an_unknown_name_is_an_error(self):
        self.assert_one_line_error(stucktrace("demo", "no-such-demo"), EXIT_FAILURE, "no-such-demo")

    def test_each_hang_is_found_while_traced(self):
        for demo in demos():
            with self.subTest(demo["name"]):
                result = stucktrace("demo", "--json=" + self.path("report"), demo["name"])
                self.assertEqual(result.returncode, 0, result.stderr)
                with open(self.path("report")) as file:
                    report = report_of(file.read())
                self.assertEqual([f["rule"] for f in report["findings"]], [demo["rule"]])
                self.assertIn(demo["rule"], result.stderr)

    def test_each_healthy_twin_has_no_finding(self):
        for demo in demos():
            with self.subTest(demo["name"]):
                result = stucktrace("demo", "--healthy", "--json=" + self.path("report"),
                                    demo["name"])
                self.assertEqual(result.returncode, 0, result.stderr)
                with open(self.path("report")) as file:
                    self.assertEqual(report_of(file.read())["findings"], [])

    def test_each_hang_is_explained_without_a_tracer(self):
        for demo in demos():
            with self.subTest(demo["name"]), Background(words_of(demo, "hanging")) as target:
                found = []

                def explained():
                    result = stucktrace("explain", "--json", target.pid)
                    found[:] = [f["rule"] for f in report_of(result.stdout)["findings"]]
                    self.assertEqual(result.returncode, EXIT_STUCK if found else 0, result.stderr)
                    return found
                self.assertTrue(wait_until(explained, 6), demo["name"])
                self.assertEqual(found, [demo["rule"]])


class Attach(Case):
    def test_a_stopped_tree_stays_stopped(self):
        for mode in ("seize", "attach"):
            with self.subTest(mode), Background(["sh", "-c", "sleep 100 & sleep 100; wait"]) as tree:
                # Not while the shell is in vfork: it could not be stopped then.
                self.assertTrue(wait_until(lambda: [status_field(child, "Name")
                                                    for child in children(tree.pid)] == ["sleep"] * 2))
                os.killpg(tree.pid, signal.SIGSTOP)
                self.assertTrue(wait_until(
                    lambda: status_field(tree.pid, "State").startswith("T (stopped)")))
                result = stucktrace("attach", "--attach-mode", mode, "--for", "0.3s", tree.pid)
                self.assertIn(result.returncode, (0, EXIT_STUCK), result.stderr)
                self.assertTrue(wait_until(
                    lambda: status_field(tree.pid, "State").startswith("T (stopped)")))
                self.assertEqual(status_field(tree.pid, "TracerPid"), "0")

    def test_interrupting_lets_go(self):
        for mode in ("seize", "attach"):
            with self.subTest(mode), Background(["sleep", "100"]) as target:
                with Background([STUCKTRACE, "attach", "--attach-mode", mode, target.pid]) as tracer:
                    self.assertTrue(wait_until(
                        lambda: status_field(target.pid, "TracerPid") == str(tracer.pid)))
                    os.kill(tracer.pid, signal.SIGINT)
                    self.assertEqual(tracer.process.wait(20), 0)
                self.assertEqual(status_field(target.pid, "TracerPid"), "0")
                self.assertTrue(wait_until(
                    lambda: list(task_states(target.pid).values()) == [("S", "0")]))

    def test_a_target_that_ends_ends_the_trace(self):
        # It ends when it may: not before it is traced, however long that takes.
        os.mkfifo(self.path("may-end"))
        with Background(["sh", "-c", "read line < \"$1\"", "sh", self.path("may-end")]) as target:
            with subprocess.Popen([STUCKTRACE, "attach", str(target.pid)], encoding="utf-8",
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tracer:
                self.assertTrue(wait_until(
                    lambda: status_field(target.pid, "TracerPid") == str(tracer.pid)))
                with open(self.path("may-end"), "w") as fifo:
                    fifo.write("now\n")
                output, errors = tracer.communicate(timeout=PATIENCE)
            self.assertEqual(tracer.returncode, 0, errors)
            self.assertIn("exits with status 0", output)


if __name__ == "__main__":
    main()
