#!/usr/bin/env python3
"""Measures what tracing costs: see scripts/bench --help.

Each workload is prepared once, then run in every mode: one round that is thrown away (it counts
stops and watches memory, which disturbs), then rounds of all modes in turn, each round beginning
with another mode, so that a slow moment of the machine hits all alike. Medians of wall time are
compared. The stops of a tracer that does not tell them are taken as twice the calls that `strace -c`
counts (shown with a ~).
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

from bench_figures import measured_figures, print_figures
from bench_runs import Cleaner, RunFailed, Runner, read_text
from bench_tables import machine_line, markdown, print_table, print_targets
from bench_workloads import FAST_IDLE, MODES, TARGETS, WORKLOADS, prepare

SCHEMA = "stucktrace.bench/1"
ROOT = pathlib.Path(__file__).resolve().parent.parent


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- what is there ------------------------------------------------------------------------------

def output_of(*words):
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip()


def first_line(text):
    return text.splitlines()[0] if text else None


def machine():
    model = re.search(r"^model name\s*:\s*(.*)", read_text("/proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", read_text("/proc/meminfo"), re.MULTILINE)
    name = os.uname()
    return {"cpu": model.group(1) if model else name.machine,
            "cores": len(os.sched_getaffinity(0)),
            "kernel": "%s %s %s" % (name.sysname, name.release, name.machine),
            "memory_kib": int(memory.group(1)) if memory else None,
            "virtualisation": first_line(output_of("systemd-detect-virt", "--vm")),
            "container": first_line(output_of("systemd-detect-virt", "--container"))}


def tools(binary):
    asked = {"stucktrace": (str(binary), "--version"), "strace": ("strace", "--version"),
             "git": ("git", "--version"), "tar": ("tar", "--version"),
             "make": ("make", "--version"), "gcc": ("gcc", "--version"),
             "dd": ("dd", "--version"), "find": ("find", "--version"),
             "python3": ("/usr/bin/python3", "--version"),
             "redis-server": ("redis-server", "--version")}
    return {name: first_line(output_of(*words)) for name, words in asked.items()}


def load_average():
    return os.getloadavg()[0]


# ---- measuring ----------------------------------------------------------------------------------

@contextlib.contextmanager
def burners(runner, cleaner, wanted):
    """As many threads that compute as there are CPUs. They end with their stdin, so not even a
    SIGKILL of this script leaves them behind."""
    if not wanted:
        yield
        return
    spin = pathlib.Path(runner.binary).resolve().parent / "target/spin"
    process = subprocess.Popen([str(spin), str(len(os.sched_getaffinity(0)))],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               start_new_session=True)
    cleaner.kept.add(process.pid)
    try:
        process.stdout.readline()
        yield
    finally:
        cleaner.kept.discard(process.pid)
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def rotated(items, by):
    by %= len(items)
    return items[by:] + items[:by]


def measure(workload, modes, runner, cleaner, settings, folder):
    """Raw results: mode name -> seconds, failures, stops, memory."""
    modes = meant_for(workload, modes)
    size = workload.quick if settings.quick else workload.full
    prepare(workload, size, folder)
    raw = {mode.name: {"seconds": [], "failures": [], "stops": None, "stops_estimated": False,
                       "peak_kib": None} for mode in modes}

    def attempt(mode, moment, calibrate=False):
        try:
            return runner.run(workload, mode, size, folder, calibrate)
        except (RunFailed, OSError) as error:
            raw[mode.name]["failures"].append("%s: %s" % (moment, error))
            return None

    with burners(runner, cleaner, workload.loaded):
        for mode in modes:
            outcome = attempt(mode, "warm-up", calibrate=True)
            if outcome:
                raw[mode.name]["stops"] = outcome.stops
                raw[mode.name]["peak_kib"] = outcome.peak_kib
        for number in range(settings.runs):
            for mode in rotated(modes, number):
                outcome = attempt(mode, "run %d" % (number + 1))
                if outcome:
                    raw[mode.name]["seconds"].append(outcome.seconds)
        estimate_stops(workload, modes, runner, size, folder, raw)
    return {"name": workload.name, "what": workload.what, "size": size, "raw": raw}


def estimate_stops(workload, modes, runner, size, folder, raw):
    """A stop at the entry and one at the exit of each call, where the tracer does not say."""
    def of(name):
        counting = next((mode for mode in modes if mode.name == name), None)
        calls = runner.count_calls(workload, counting, size, folder) if counting else None
        return None if calls is None else 2 * calls
    every = of("strace")
    filtered = of("strace-bpf")
    for mode in modes:
        entry = raw[mode.name]
        if not mode.tool or entry["stops"] is not None:
            continue
        # How many calls stucktrace's own filter lets through is not strace's to say.
        own_filter = mode.filtered and mode.tool == "stucktrace"
        entry["stops"] = None if own_filter else filtered if mode.filtered else every
        entry["stops_estimated"] = entry["stops"] is not None


def meant_for(workload, modes):
    return [mode for mode in modes if not workload.only or mode.name in workload.only]


def summarise(measured, modes):
    """Medians and ratios of one workload, as the JSON has them."""
    raw = measured.pop("raw")
    medians = {name: statistics.median(entry["seconds"])
               for name, entry in raw.items() if entry["seconds"]}
    native = medians.get("native")
    bare = medians.get("bare")
    rows = []
    for mode in (mode for mode in modes if mode.name in raw):
        entry = raw[mode.name]
        median = medians.get(mode.name)
        strace = medians.get(mode.strace) if mode.tool else None
        stops = entry["stops"]
        cost = median - native if median is not None and native is not None else None
        rows.append({
            "mode": mode.name, "what": mode.what, "seconds": entry["seconds"], "median": median,
            "native_ratio": median / native if median and native else None,
            "bare_ratio": median / bare if median and bare else None,
            "strace_mode": mode.strace if mode.tool else None,
            "strace_ratio": strace / median if median and strace else None,
            "stops": stops, "stops_estimated": entry["stops_estimated"],
            "stops_per_second": stops / median if stops and median else None,
            "us_per_stop": cost / stops * 1e6 if stops and cost is not None and mode.tool else None,
            "peak_kib": entry["peak_kib"], "failures": entry["failures"]})
    return dict(measured, modes=rows)


def judge(results):
    """Each target that was measured, and whether it was met."""
    found = {(result["name"], row["mode"]): row for result in results for row in result["modes"]}
    judged = []
    for names, mode, kind, relation, limit in TARGETS:
        for name in names:
            row = found.get((name, mode))
            value = {"strace": lambda: row["strace_ratio"], "native": lambda: row["native_ratio"],
                     "bare": lambda: row["bare_ratio"],
                     "peak": lambda: row["peak_kib"] and row["peak_kib"] / 1024}[kind]() \
                if row else None
            if value is None:
                continue
            met = value >= limit if relation == ">=" else value <= limit
            judged.append({"workload": name, "mode": mode, "kind": kind, "relation": relation,
                           "limit": limit, "value": value, "met": met})
    return judged


# ---- from the outside ---------------------------------------------------------------------------

def chosen(text, all_items, what):
    if not text:
        return list(all_items)
    names = text.split(",")
    known = [item.name for item in all_items]
    for name in names:
        if name not in known:
            usage_exit("no such %s: %s (there are: %s)" % (what, name, ", ".join(known)))
    return [item for item in all_items if item.name in names]


def usage_exit(message):
    say("bench: %s (see scripts/bench --help)" % message)
    sys.exit(125)


def available(modes, workloads, binary):
    """Without what is not installed, told."""
    kept = []
    for mode in modes:
        if mode.tool == "strace" and not shutil.which("strace"):
            say("strace is not installed: %s is left out" % mode.name)
        elif mode.name == FAST_IDLE.name and \
                "--fast-idle" not in output_of(str(binary), "run", "--help"):
            say("this stucktrace has no --fast-idle: the mode is left out")
        else:
            kept.append(mode)
    runnable = []
    for workload in workloads:
        absent = [program for program in workload.needs if not shutil.which(program)]
        if absent:
            say("not installed: %s; %s is left out" % (", ".join(absent), workload.name))
        else:
            runnable.append(workload)
    return kept, [workload for workload in runnable if meant_for(workload, kept)]


def parse_arguments():
    parser = argparse.ArgumentParser(add_help=False)
    parser.error = usage_exit
    parser.add_argument("--binary", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--only", default="")
    parser.add_argument("--modes", default="")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build/bench.json")
    parser.add_argument("--fast-idle", action="store_true")
    parser.add_argument("--markdown", type=pathlib.Path)
    parser.add_argument("--figures", action="store_true")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.runs is None:
        arguments.runs = 2 if arguments.quick else 5
    if arguments.runs < 1:
        usage_exit("--runs needs a number from 1 on")
    return arguments


def print_list():
    for workload in WORKLOADS:
        print("%-9s %s" % (workload.name, workload.what))
    print()
    for mode in MODES + [FAST_IDLE]:
        print("%-14s %s" % (mode.name, mode.what))


def end_on_signal(signal_number, _frame):
    sys.exit(128 + signal_number)


def main():
    arguments = parse_arguments()
    if arguments.list:
        print_list()
        return 0
    if arguments.binary is None or not os.access(arguments.binary, os.X_OK):
        usage_exit("no program to measure: %s" % arguments.binary)
    all_modes = MODES + ([FAST_IDLE] if arguments.fast_idle or "fast-idle" in arguments.modes
                         else [])
    modes, workloads = available(chosen(arguments.modes, all_modes, "mode"),
                                 chosen(arguments.only, WORKLOADS, "workload"),
                                 arguments.binary)
    if not (modes and workloads or arguments.figures):
        usage_exit("nothing left to measure")
    signal.signal(signal.SIGTERM, end_on_signal)
    signal.signal(signal.SIGHUP, end_on_signal)

    cleaner = Cleaner()
    results = []
    report = {"schema": SCHEMA, "machine": machine(), "tools": tools(arguments.binary),
              "settings": {"quick": arguments.quick, "runs": arguments.runs},
              "load_before": load_average()}
    try:
        with tempfile.TemporaryDirectory(prefix="stucktrace-bench-") as name:
            scratch = pathlib.Path(name)
            runner = Runner(arguments.binary, cleaner, scratch)
            for workload in workloads:
                say("%s: %s" % (workload.name, workload.what))
                measured = measure(workload, modes, runner, cleaner, arguments,
                                   scratch / workload.name)
                results.append(summarise(measured, modes))
            figures = []
            if arguments.figures or not (arguments.only or arguments.modes):
                figures = measured_figures(runner, arguments.quick, arguments.runs, say)
    except KeyboardInterrupt:
        say("bench: interrupted")
        return 130
    finally:
        cleaner.kept.clear()
        cleaner.end_all()
    report["workloads"] = results
    report["targets"] = judge(results)
    report["figures"] = figures
    print("%s; load before: %.1f" % (machine_line(report), report["load_before"]))
    print_table(results)
    print_targets(report["targets"])
    print_figures(figures)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    say("raw times: %s" % arguments.json)
    if arguments.markdown:
        arguments.markdown.write_text(markdown(report))
    failed = any(row["failures"] for result in results for row in result["modes"])
    failed = failed or any(figure["failures"] for figure in figures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
