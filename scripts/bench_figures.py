"""Figures of scripts/bench that are no workload's time: what the tool itself needs for a stop, a
call it does not trace, a tracee, a look. Each is measured several times; the median counts.
"""

import dataclasses
import os
import pathlib
import re
import signal
import statistics
import subprocess
import time

from bench_runs import STOPS_LINE, Deadline, RunFailed, field, read_text

GATED = 'read -r _; exec "$@" >/dev/null 2>&1 </dev/null'
SOURCE = ("dd", "if=/dev/zero", "of=/dev/null", "bs=1", "status=none")


@dataclasses.dataclass(frozen=True)
class Figure:
    name: str
    what: str
    unit: str
    most: float        # the target: at most this
    measure: object    # function of (Bench) -> one value


class Bench:
    """What the figures need of a run."""

    def __init__(self, runner, quick):
        self.runner = runner
        self.quick = quick
        self.binary = runner.binary
        self.target = pathlib.Path(runner.binary).resolve().parent / "target"

    def checked(self, words, **more):
        """Runs to the end; its stdout."""
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, start_new_session=True, **more)
        with Deadline(process) as deadline:
            output = process.communicate()[0]
        if deadline.passed or process.returncode not in (0, 121):
            raise RunFailed("%s: status %s" % (words[0], process.returncode))
        return output.decode(errors="replace")

    def patient(self, words, stdin=subprocess.PIPE):
        """A process that says when it is ready and ends with its stdin."""
        process = subprocess.Popen(words, stdin=stdin, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        if b"ready" not in process.stdout.readline():
            raise RunFailed("%s does not get ready" % words[0])
        return process

    def end(self, process):
        if process.stdin:
            process.stdin.close()
        with Deadline(process, 20):
            process.wait()
        process.stdout.close()

    def attach(self, pid):
        """A stucktrace attached to every thread."""
        words = [self.binary, "attach", "-v", "-e", "trace=all", "-o",
                 str(self.runner.tracer_file), str(pid)]
        with open(self.runner.tracer_words, "wb") as told:
            tracer = self.runner.spawn(words, stderr=told)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            tids = os.listdir("/proc/%d/task" % pid)
            if all(field(read_text("/proc/%d/task/%s/status" % (pid, tid)), "TracerPid")
                   == tracer.pid for tid in tids):
                return tracer
            time.sleep(0.01)
        raise RunFailed("not attached within 20 s")


def own_work(bench):
    """us of user time of all the tool's threads for one stop, recording and timeline included."""
    count = 5000 if bench.quick else 60000
    process = bench.runner.spawn(["sh", "-c", GATED, "sh", *SOURCE, "count=%d" % count],
                                 stdin=subprocess.PIPE)
    tracer = bench.attach(process.pid)
    begun = resources(tracer.pid)
    process.stdin.write(b"\n")
    process.stdin.close()
    with Deadline(process):
        process.wait()
    # Its tracees are not its children: their time is not in its own.
    _, status, usage = os.wait4(tracer.pid, 0)
    tracer.returncode = os.waitstatus_to_exitcode(status)
    stops = STOPS_LINE.findall(read_text(bench.runner.tracer_words))
    if tracer.returncode != 0 or not stops:
        raise RunFailed("attach: status %d" % tracer.returncode)
    return (usage.ru_utime - begun) / int(stops[-1]) * 1e6


def resources(pid):
    """User seconds so far: field 14 of /proc/PID/stat."""
    fields = read_text("/proc/%d/stat" % pid).rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def against_bare_loop(bench):
    """The whole run by the time of a loop that only waits and resumes on the same CPU."""
    words = [*SOURCE, "count=%d" % (2000 if bench.quick else 20000)]

    def seconds(before):
        begin = time.monotonic()
        bench.checked([*before, *words])
        return time.monotonic() - begin
    bare = seconds([str(bench.target / "bare_loop")])
    tool = seconds([bench.binary, "run", "-e", "trace=all", "-o", str(bench.runner.tracer_file),
                    "--"])
    return tool / bare


def untraced_call(bench):
    """ns that a call which the filter lets through costs more than natively."""
    words = [str(bench.target / "syscall_load"), "calls", "500000" if bench.quick else "5000000"]

    def per_call(before):
        told = re.search(r"calls (\d+) ns (\d+)", bench.checked([*before, *words]))
        return int(told.group(2)) / int(told.group(1))
    native = per_call([])
    return per_call([bench.binary, "run", "-q", "--"]) - native


def memory_of_a_tracee(bench):
    """KiB of the tool's resident memory for one more thread, from many and from few."""
    def resident(threads):
        patient = bench.patient([str(bench.target / "deep_threads"), str(threads)])
        tracer = bench.attach(patient.pid)
        # The events of the attach are worked off when nothing changes any more.
        last, same = None, 0
        deadline = time.monotonic() + 20
        while same < 20:
            if time.monotonic() > deadline:
                raise RunFailed("its memory does not settle within 20 s")
            now = field(read_text("/proc/%d/status" % tracer.pid), "VmRSS")
            same = same + 1 if now == last else 0
            last = now
            time.sleep(0.01)
        tracer.send_signal(signal.SIGINT)
        with Deadline(tracer, 20):
            tracer.wait()
        bench.end(patient)
        return last
    few, many = 10, 1010
    return (resident(many) - resident(few)) / (many - few)


def look_at_threads(bench):
    """ms for a look at 1 000 blocked threads with all stacks and names, without the settle time."""
    # Who holds the other end of its stdin is looked at as well: a small program, not this one.
    with subprocess.Popen(["sleep", "1000"], stdout=subprocess.PIPE) as holder:
        patient = bench.patient([str(bench.target / "deep_threads"), "1000"], holder.stdout)
        holder.stdout.close()
        try:
            return look(bench, patient.pid, "--stacks")
        finally:
            holder.kill()
            bench.end(patient)


def look_at_tree(bench):
    """ms for a look at a tree of 20 processes, without the settle time."""
    script = "i=0; while [ $i -lt 19 ]; do cat & i=$((i+1)); done <&0; echo ready; wait"
    patient = bench.patient(["sh", "-c", script])
    try:
        return look(bench, patient.pid)
    finally:
        bench.end(patient)


def look(bench, pid, *more):
    settle = 200
    begin = time.monotonic()
    bench.checked([bench.binary, "explain", "--settle", "%dms" % settle, "--json", *more, str(pid)])
    return (time.monotonic() - begin) * 1e3 - settle


FIGURES = [
    Figure("own work", "user time of the tool for one stop, traced and recorded in full",
           "us a stop", 0.8, own_work),
    Figure("bare loop", "dd traced and recorded in full, by the same in a loop that does nothing",
           "times", 1.5, against_bare_loop),
    Figure("other call", "what a call that is not traced costs more under stucktrace run",
           "ns a call", 50, untraced_call),
    Figure("tracee", "memory for one more thread", "KiB", 2, memory_of_a_tracee),
    Figure("processes", "stucktrace explain of a tree of 20 processes, without the settle time",
           "ms", 50, look_at_tree),
    Figure("stacks", "stucktrace explain --stacks of 1000 blocked threads, likewise", "ms", 100,
           look_at_threads),
]


def measured_figures(runner, quick, runs, say):
    """As the JSON has them."""
    found = []
    for figure in FIGURES:
        say("%s: %s" % (figure.name, figure.what))
        bench = Bench(runner, quick)
        values, failures = [], []
        for number in range(runs):
            try:
                values.append(figure.measure(bench))
            except (RunFailed, OSError, AttributeError) as error:
                failures.append("run %d: %s" % (number + 1, error))
            finally:
                runner.cleaner.end_all()
        median = statistics.median(values) if values else None
        found.append({"name": figure.name, "what": figure.what, "unit": figure.unit,
                      "values": values, "median": median, "most": figure.most,
                      "met": None if median is None else median <= figure.most,
                      "failures": failures})
    return found


def print_figures(figures):
    if figures:
        print("\nfigures")
    for figure in figures:
        value = "-" if figure["median"] is None else "%.2f" % figure["median"]
        verdict = {None: "FAILED", True: "met", False: "MISSED"}[figure["met"]]
        print("  %-6s %-10s %8s <= %g %s: %s" % (verdict, figure["name"], value, figure["most"],
                                                 figure["unit"], figure["what"]))
        if figure["failures"]:
            print("  %d FAILED: %s" % (len(figure["failures"]), figure["failures"][0][:100]))
