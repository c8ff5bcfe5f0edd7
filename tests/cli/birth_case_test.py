"""The case stucktrace was born from, from a launch, a live pid and a recording, under every Python."""
import concurrent.futures
import subprocess

from harness import (EXIT_STUCK, SEED, STUCKTRACE, WRITE, Background, Case, blocked_in, children, interpreters,
                     main, report_of, status_field, stucktrace, task_states, wait_until)

PAYLOAD = 200000
JOIN_SECONDS = 5
PYTHONS = interpreters()


def each_python(check):
    """Runs the check for every interpreter, a few at a time: they mostly sleep. All failures count."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=3) as pool:
        jobs = {version: pool.submit(check, version, path) for version, path in PYTHONS.items()}
    failures = []
    for version, job in sorted(jobs.items()):
        if job.exception() is not None:
            failures.append("Python %s: %s" % (version, job.exception()))
    if failures:
        raise AssertionError("\n".join(failures))


def stuck_child(parent):
    """The pid of the child whose feeder thread is blocked in write."""
    for child in children(parent):
        if blocked_in(child, WRITE) and len(task_states(child)) > 1:
            return child
    return None


class BirthCase(Case):
    def check_finding(self, report, findings=None):
        findings = report["findings"] if findings is None else findings
        self.assertEqual([f["rule"] for f in findings], ["pipe-full-after-announce"], findings)
        finding = findings[0]
        self.assertEqual(finding["certainty"], "until", finding)
        self.assertTrue(finding["remedy"])
        processes = {p["pid"]: p for p in report["processes"]}
        stuck = processes[finding["pid"]]
        parent = processes[stuck["ppid"]]
        # P -> S -> T -> P: the parent's main thread, the child's main thread, its feeder.
        threads = {t["tid"]: p["pid"] for p in report["processes"] for t in p["threads"]}
        self.assertEqual(len(finding["cycle"]), 3, finding)
        owners = sorted(threads[tid] for tid in finding["cycle"])
        self.assertEqual(owners, sorted([parent["pid"], stuck["pid"], stuck["pid"]]))
        self.assertNotEqual(finding["tid"], stuck["pid"], "the writer is not the main thread")
        resource = {r["id"]: r for r in report["resources"]}[finding["resource"]]
        self.assertEqual(resource["kind"], "pipe")
        self.assertGreaterEqual(resource["capacity"], 4096)
        self.assertTrue(resource["full"])
        self.assertIn(parent["pid"], [r["pid"] for r in resource["readers"]])
        return finding

    def test_run_explains_it(self):
        def check(version, python):
            result = stucktrace("run", "--json", "--", python, SEED, PAYLOAD, JOIN_SECONDS)
            self.assertEqual(result.returncode, 0, result.stderr)
            finding = self.check_finding(report_of(result.stdout))
            self.assertIn("All done! Goodbye!", finding["announced"]["text"])
            self.assertIn("All done! Goodbye!", result.stderr)
            self.assertIn("All done! Goodbye!", result.stdout, "the tree's own output")
            self.assertIn("pipe-full-after-announce", result.stderr)
            # Its end is part of the story.
            self.assertIn("resolved_by", str(report_of(result.stdout)))
        each_python(check)

    def test_a_healthy_run_is_left_alone(self):
        def check(version, python):
            native = subprocess.run([python, SEED, "1000"], stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, encoding="utf-8", timeout=60)
            result = stucktrace("run", "--json=" + self.path(version), "--", python, SEED, 1000)
            self.assertEqual(result.returncode, native.returncode, result.stderr)
            self.assertEqual(result.stdout, native.stdout)
            with open(self.path(version)) as file:
                self.assertEqual(report_of(file.read())["findings"], [])
        each_python(check)

    def test_explain_finds_it_without_stopping_anything(self):
        def check(version, python):
            with Background([python, SEED, PAYLOAD, 30]) as parent:
                self.assertTrue(wait_until(lambda: stuck_child(parent.pid)))
                child = stuck_child(parent.pid)
                states = {pid: task_states(pid) for pid in (parent.pid, child)}
                with subprocess.Popen(
                        [STUCKTRACE, "explain", "--json", str(parent.pid)],
                        stdout=subprocess.PIPE, encoding="utf-8") as look:
                    while look.poll() is None:
                        for pid in (parent.pid, child):
                            for tid, (state, tracer) in task_states(pid).items():
                                self.assertEqual(tracer, "0")
                                self.assertNotIn(state, "Tt")
                    output = look.stdout.read()
                self.assertEqual(look.returncode, EXIT_STUCK)
                self.check_finding(report_of(output))
                after = {pid: task_states(pid) for pid in (parent.pid, child)}
                self.assertEqual({p: sorted(t) for p, t in after.items()},
                                 {p: sorted(t) for p, t in states.items()})
        each_python(check)

    def test_attach_until_stuck_then_the_tree_goes_on(self):
        for mode in ("seize", "attach"):
            def check(version, python):
                with Background([python, SEED, PAYLOAD, JOIN_SECONDS + 3],
                                stdout=subprocess.PIPE) as parent:
                    self.assertTrue(wait_until(lambda: stuck_child(parent.pid)))
                    result = stucktrace("attach", "--until-stuck", "--json", "--attach-mode", mode,
                                        parent.pid)
                    self.assertEqual(result.returncode, EXIT_STUCK, result.stderr)
                    self.check_finding(report_of(result.stdout))
                    self.assertEqual(status_field(parent.pid, "TracerPid"), "0")
                    self.assertEqual(parent.process.wait(60), 0, "its normal end")
            with self.subTest(mode=mode):
                each_python(check)

    def test_a_recording_replays_the_same_findings(self):
        recording = self.path("t.rec")
        python = PYTHONS[max(PYTHONS, key=lambda v: [int(n) for n in v.split(".")])]
        live = stucktrace("run", "--json", "-o", recording, "--", python, SEED, PAYLOAD, 4)
        self.assertEqual(live.returncode, 0, live.stderr)
        replayed = stucktrace("replay", "--json", recording)
        self.assertEqual(replayed.returncode, EXIT_STUCK, replayed.stderr)
        self.assertEqual(report_of(replayed.stdout)["findings"], report_of(live.stdout)["findings"])
        self.assertEqual(report_of(replayed.stdout).get("history"),
                         report_of(live.stdout).get("history"))
        text = stucktrace("replay", recording)
        timeline = text.stdout.split("STUCK")[0]
        self.assertLessEqual(len(timeline.splitlines()), 40, "the birth case fits one screen")
        # A file cut anywhere replays up to the cut and says so.
        with open(recording, "rb") as file:
            whole = file.read()
        for size in range(200, len(whole), max(1, len(whole) // 12)):
            with open(self.path("cut.rec"), "wb") as file:
                file.write(whole[:size])
            cut = stucktrace("replay", self.path("cut.rec"))
            self.assertIn(cut.returncode, (0, EXIT_STUCK, 125), cut.stderr)
            self.assertRegex(cut.stderr, "end|cut in its header")


if __name__ == "__main__":
    main()
