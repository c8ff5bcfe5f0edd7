#!/usr/bin/env python3
"""Runs every demo of a target folder both ways, without stucktrace.

The hanging run must last about as long as the index says and then end by itself; the healthy twin
must end long before. Both must exit with 0.
"""

import argparse
import concurrent.futures
import csv
import pathlib
import subprocess
import sys
import time

COLUMNS = ["name", "interpreter", "file", "description", "hanging", "healthy", "expected"]


def read_index(folder):
    with open(folder / "targets.tsv", newline="") as file:
        lines = [line for line in file if not line.startswith("#")]
    rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    for row in rows:
        if len(row) != len(COLUMNS) or not all(row):
            raise ValueError("not %d full columns: %r" % (len(COLUMNS), row))
    return [dict(zip(COLUMNS, row)) for row in rows]


def run(folder, row, which):
    """One run; returns a complaint or None."""
    command = [] if row["interpreter"] == "-" else [row["interpreter"]]
    command += [str(folder / row["file"])] + row[which].split()
    start = time.monotonic()
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60)
    except subprocess.TimeoutExpired:
        return "%s %s: still running after 60 s" % (row["name"], which)
    took = time.monotonic() - start
    if done.returncode != 0:
        return "%s %s: status %d\n%s" % (row["name"], which, done.returncode,
                                         done.stdout.decode(errors="replace"))
    # The last argument of a hanging run is the number of seconds after which it breaks by itself.
    seconds = float(row["hanging"].split()[-1])
    if which == "hanging" and took < seconds:
        return "%s hanging: ended after %.1f s, must hang for %g s" % (row["name"], took, seconds)
    if which == "healthy" and took >= seconds:
        return "%s healthy: took %.1f s, as long as the hanging run" % (row["name"], took)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=pathlib.Path, help="for example build/dev/target")
    arguments = parser.parse_args()
    rows = read_index(arguments.folder)
    if not rows:
        sys.exit("no demo in the index")
    with concurrent.futures.ThreadPoolExecutor(max_workers=2 * len(rows)) as pool:
        runs = [pool.submit(run, arguments.folder, row, which)
                for row in rows for which in ("hanging", "healthy")]
        complaints = [complaint for complaint in (each.result() for each in runs) if complaint]
    for complaint in complaints:
        print(complaint)
    print("%d demos, %d complaint(s)" % (len(rows), len(complaints)))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
