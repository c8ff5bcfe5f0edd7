#!/usr/bin/env python3
"""Runs scripts/bench on one small workload and checks the shape of its table and of its JSON.

No time is judged: what is measured here, beside other tests, means nothing.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIDTH = 120
ROW_KEYS = {"mode", "what", "seconds", "median", "native_ratio", "bare_ratio", "strace_mode", "strace_ratio",
            "stops", "stops_estimated", "stops_per_second", "us_per_stop", "peak_kib", "failures"}
FIGURES = {"own work", "bare loop", "other call", "tracee", "processes", "stacks"}


def complaints_about(report, table):
    """Everything that is not as it should be."""
    found = []

    def expect(condition, text):
        if not condition:
            found.append(text)

    expect(report.get("schema") == "stucktrace.bench/1", "no or another schema")
    for part, names in (("machine", ("cpu", "cores", "kernel", "virtualisation")),
                        ("tools", ("stucktrace", "strace", "python3")),
                        ("settings", ("quick", "runs"))):
        for name in names:
            expect(name in report.get(part, {}), "%s lacks %s" % (part, name))
    expect(report.get("settings") == {"quick": True, "runs": 1}, "settings are not those asked for")
    workloads = report.get("workloads", [])
    expect([workload["name"] for workload in workloads] == ["dd"], "not the one workload: dd")
    rows = {row["mode"]: row for workload in workloads for row in workload["modes"]}
    for name in ("native", "default", "all", "attach"):
        expect(name in rows, "no mode %s" % name)
    for name, row in rows.items():
        expect(set(row) == ROW_KEYS, "%s: other fields than documented" % name)
        expect(row["failures"] == [], "%s: %s" % (name, row["failures"]))
        expect(len(row["seconds"]) == 1 and row["seconds"][0] > 0, "%s: not one time" % name)
        expect(row["native_ratio"] is not None, "%s: no ratio to native" % name)
        if name != "native":
            expect((row["peak_kib"] or 0) > 0, "%s: no memory seen" % name)
        if row["strace_mode"] in rows:
            expect(row["strace_ratio"] is not None, "%s: no ratio to strace" % name)
    if "strace" in rows:
        expect((rows["strace"]["stops"] or 0) > 2000, "strace's calls were not counted")
    figures = report.get("figures", [])
    expect({figure["name"] for figure in figures} == FIGURES, "other figures than documented")
    for figure in figures:
        expect(figure["failures"] == [], "%s: %s" % (figure["name"], figure["failures"]))
        expect(len(figure["values"]) == 1, "%s: not one value" % figure["name"])
    lines = table.splitlines()
    for line in lines:
        expect(len(line) <= WIDTH, "wider than %d columns: %s" % (WIDTH, line))
    for name in rows:
        expect(any((" " + name + " ") in line for line in lines), "the table lacks %s" % name)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("binary", help="the stucktrace to measure, target/ beside it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "bench.json")
        done = subprocess.run(
            [str(ROOT / "scripts/bench"), "--no-install", "--quick", "--runs", "1", "--only", "dd",
             "--figures", "--binary", arguments.binary, "--json", str(path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        table = done.stdout.decode()
        sys.stdout.write(table)
        if not path.exists():
            sys.exit("status %d, no JSON: %s" % (done.returncode, done.stderr.decode()))
        complaints = complaints_about(json.loads(path.read_text()), table)
    if done.returncode != 0:
        complaints.append("status %d: %s" % (done.returncode, done.stderr.decode()))
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
