#!/usr/bin/env python3
"""Asks stucktrace about every program of the zoo (target/zoo) and compares with the ground truth.

Each program runs in its own session, prints `ready`, and gets stuck or does not. A hang must yield
one of the rules that zoo.json accepts for it, with an accepted certainty, the right number of
processes in the finding and the right kinds of wait, and no other finding. A healthy program must
yield none. Exit status 0 iff nothing was missed and nobody was accused wrongly.

The fields of zoo.json: `name`; `command` ({here} is its folder); `stdin` (`pipe` from an idle
stranger, `terminal`, by default /dev/null); `expected`, the acceptable rules, none for a healthy
program; `certainty`, the acceptable ones; `who` waits for whom, in words; `processes`, at least
that many in the finding; `kinds` of wait that it must contain; `known_gap`, why stucktrace cannot
explain this hang yet: it may then be silent, but never wrong.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MARK = "STUCKTRACE_ZOO"  # in the environment of all that the zoo starts, so that orphans are found
READY_SECONDS = 30
FEWEST_LOOKS = 5
STATUS_FOUND = (0, 121)


class Skip(Exception):
    """A program whose runtime is not here."""


def environment_of(pid):
    """Also of a process whose first thread has gone: any other thread's file shows it."""
    process = "/proc/%s/" % pid
    try:
        others = ["task/%s/" % tid for tid in os.listdir(process + "task") if tid != pid]
    except OSError:
        return []
    for thread in [""] + others:
        try:
            with open(process + thread + "environ", "rb") as file:
                found = file.read()
        except OSError:
            continue
        if found:
            return found.split(b"\0")
    return []


def marked(mark):
    """The live processes that carry the mark, whoever adopted them."""
    needle = ("%s=%s" % (MARK, mark)).encode()
    return [int(pid) for pid in os.listdir("/proc")
            if pid.isdigit() and int(pid) != os.getpid() and
            any(each == needle or each.startswith(needle + b".") for each in environment_of(pid))]


def end_all(mark, seconds=10):
    """Kills until nobody carries the mark: a dying process may just have forked."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pids = marked(mark)
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)


def start_guard(mark):
    """A child that cleans up when this process is gone, however it went."""
    watched, held = os.pipe()
    if os.fork() == 0:
        os.close(held)
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.read(watched, 1)
        end_all(mark)
        os._exit(0)
    os.close(watched)
    return held


def works(command):
    try:
        done = subprocess.run(command + ["-c", "0"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def find_python2():
    """The interpreter itself: a version manager's wrapper is not what is to be looked at."""
    managed = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"), "versions")
    names = [str(path) for path in managed.glob("2.7*/bin/python2.7")]
    for name in names + ["python2.7", "python2"]:
        if shutil.which(name) and works([name]):
            return name
    return None


class Zoo:
    def __init__(self, folder, python3):
        self.folder = folder
        self.python3 = python3
        self.python2 = find_python2()

    def command(self, entry):
        words = []
        for word in entry["command"]:
            if word == "{python2}" and self.python2 is None:
                raise Skip("no Python 2")
            words.append(word.replace("{here}", str(self.folder))
                         .replace("{python3}", self.python3)
                         .replace("{python2}", self.python2 or ""))
        if shutil.which(words[0]) is None:
            raise Skip("no %s" % words[0])
        return words


class Program:
    """One program of the zoo, from its start to the end of all it started."""

    def __init__(self, command, stdin, mark):
        self.mark = mark
        self.scratch = tempfile.mkdtemp(prefix="zoo-")
        self.output = os.path.join(self.scratch, "output")
        environment = dict(os.environ, TMPDIR=self.scratch, LC_ALL="C.UTF-8", **{MARK: mark})
        self.held = []
        self.outsider = None
        own_session = True
        if stdin == "terminal":
            master, source = pty.openpty()
            self.held.append(master)
            command = ["setsid", "--ctty"] + command
            own_session = False
        elif stdin == "pipe":
            # Somebody outside who is idle himself: this process is busy and would hide mistakes.
            source, far_end = os.pipe()
            self.outsider = subprocess.Popen(["tail", "-f", "/dev/null"], stdout=far_end,
                                             stdin=subprocess.DEVNULL, env=environment,
                                             start_new_session=True)
            os.close(far_end)
        else:
            source = os.open(os.devnull, os.O_RDONLY)
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(command, stdin=source, stdout=output, stderr=output,
                                            env=environment, start_new_session=own_session)
        os.close(source)

    @property
    def pid(self):
        return self.process.pid

    def text(self):
        with open(self.output, "rb") as file:
            return file.read(65536).decode(errors="replace")

    def wait_until_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        while "ready" not in self.text().split():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("never got ready: " + self.text().strip()[-300:])
            time.sleep(0.02)

    def close(self):
        end_all(self.mark)
        if self.process.poll() is None:
            self.process.kill()
        for fd in self.held:
            os.close(fd)
        self.process.wait()
        if self.outsider is not None:
            self.outsider.wait()
        for kind, number in re.findall(r"^sysv (sem|msg) (\d+)$", self.text(), re.MULTILINE):
            subprocess.run(["ipcrm", "-s" if kind == "sem" else "-q", number], check=False)
        shutil.rmtree(self.scratch, ignore_errors=True)


def describe(report, finding):
    """What is compared of a finding: rule, certainty, processes and kinds of wait."""
    threads = {thread["tid"]: (process["pid"], thread["wait"]["kind"])
               for process in report["processes"] for thread in process["threads"]}
    tids = list(finding["cycle"]) or [finding["tid"]]
    tids += [step["tid"] for step in finding["chain"] if step["tid"] not in tids]
    known = [threads[tid] for tid in tids if tid in threads]
    cycle = finding["cycle"]
    steps = zip(cycle, cycle[1:] + cycle[:1]) if len(cycle) > 1 else ()
    released_by = collections.defaultdict(set)
    for edge in report["edges"]:
        released_by[edge["from"]].update(edge["to"])
    return {"edges": all(to in released_by[waiter] for waiter, to in steps),
            "rule": finding["rule"], "certainty": finding["certainty"],
            "processes": len({pid for pid, _ in known}), "kinds": sorted(kind for _, kind in known),
            "headline": finding["headline"]}


def contains(kinds, wanted):
    have = collections.Counter(kinds)
    return all(have[kind] >= count for kind, count in collections.Counter(wanted).items())


class Outcome:
    def __init__(self, entry):
        self.entry = entry
        self.found = []
        self.complaints = []
        self.right = self.kinds_right = self.edges_right = self.accused = False
        self.times = []
        self.settled_after = None
        self.skipped = None
        self.broken = False

    def judge(self, report):
        """Sets what one report is worth. True when nothing better can come."""
        entry = self.entry
        self.found = [describe(report, finding) for finding in report["findings"]]
        self.complaints = []
        good = [each for each in self.found if each["rule"] in entry["expected"]]
        wrong = [each for each in self.found if each["rule"] not in entry["expected"]]
        self.accused = bool(wrong)
        for each in wrong:
            self.complaints.append("wrong: %(certainty)s %(rule)s: %(headline)s" % each)
        if not entry["expected"]:
            return False
        self.right = False
        if not good:
            self.complaints.append("missed: " + " or ".join(entry["expected"]))
            return False
        best = [each for each in good if each["certainty"] in entry["certainty"]]
        if not best:
            self.complaints.append("certainty: %s, not %s" % (
                good[0]["certainty"], " or ".join(entry["certainty"])))
            # More certain than the truth allows is an accusation without proof.
            self.accused = self.accused or good[0]["certainty"] == "proven"
            return False
        self.right = True
        self.kinds_right = any(contains(each["kinds"], entry["kinds"]) and
                               each["processes"] >= entry["processes"] for each in best)
        # Each step of the circle told must be an edge of the graph.
        self.edges_right = all(each["edges"] for each in best)
        if not self.edges_right:
            self.complaints.append("a step of the circle is no edge of the graph")
        if not self.kinds_right:
            self.complaints.append("waits: %s in %d process(es), not %s in %d" % (
                ", ".join(best[0]["kinds"]), best[0]["processes"], ", ".join(entry["kinds"]),
                entry["processes"]))
        return self.kinds_right and self.edges_right and not wrong

    def verdict(self):
        if self.skipped:
            return "skipped"
        if self.broken:
            return "BROKEN"
        if self.accused:
            return "FALSE ALARM"
        if not self.entry["expected"]:
            return "right"
        if self.right:
            if not self.kinds_right:
                return "WRONG WAITS"
            return "right" if self.edges_right else "WRONG EDGES"
        return "known gap" if "known_gap" in self.entry else "MISSED"

    def failed(self):
        return self.verdict() in ("BROKEN", "FALSE ALARM", "MISSED", "WRONG WAITS", "WRONG EDGES")

    def as_json(self):
        return {"name": self.entry["name"], "verdict": self.verdict(), "findings": self.found,
                "complaints": self.complaints, "explain_seconds": self.times,
                "settled_after": self.settled_after, "skipped": self.skipped}


def explain(binary, pid):
    start = time.monotonic()
    done = subprocess.run([str(binary), "explain", "--json", str(pid)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    took = time.monotonic() - start
    if done.returncode not in STATUS_FOUND:
        raise RuntimeError("explain: status %d: %s" % (
            done.returncode, done.stderr.decode(errors="replace").strip()[-300:]))
    return json.loads(done.stdout), took


def observe(outcome, program, options):
    entry = outcome.entry
    start = time.monotonic()
    deadline = start + (options.patience if entry["expected"] else options.healthy_for)
    alarms = []
    while True:
        report, took = explain(options.stucktrace, program.pid)
        outcome.times.append(round(took, 3))
        done = outcome.judge(report)
        outcome.settled_after = round(time.monotonic() - start, 2)
        # One look that accuses is one too many, whatever later looks say.
        if outcome.accused and (not entry["expected"] or
                                any(each["certainty"] == "proven" for each in outcome.found)):
            alarms = alarms or list(outcome.complaints)
        # On a busy machine a look may take so long that what a virtual machine's threads do once a
        # second falls into it: a hang is given some looks, too.
        looks = FEWEST_LOOKS if entry["expected"] and "known_gap" not in entry else 1
        if done or time.monotonic() > deadline and len(outcome.times) >= looks:
            break
        time.sleep(0.3)
    if alarms and not outcome.accused:
        outcome.accused = True
        outcome.complaints += ["at first: " + each for each in alarms]
    if program.process.poll() is not None:
        outcome.complaints.append("the program ended by itself: " + program.text().strip()[-200:])
        outcome.broken = True


def visit(zoo, entry, options, mark):
    outcome = Outcome(entry)
    try:
        command = zoo.command(entry)
    except Skip as reason:
        outcome.skipped = str(reason)
        return outcome
    program = None
    try:
        program = Program(command, entry.get("stdin"), mark)
        program.wait_until_ready()
        observe(outcome, program, options)
    except (RuntimeError, OSError, ValueError, subprocess.TimeoutExpired) as error:
        outcome.complaints.append(str(error))
        outcome.broken = True
    finally:
        if program is not None:
            program.close()
    return outcome


def show(outcomes, seconds):
    width = max(len(outcome.entry["name"]) for outcome in outcomes)
    for outcome in outcomes:
        found = ", ".join("%(certainty)s %(rule)s" % each for each in outcome.found)
        times = "%.2f s" % max(outcome.times) if outcome.times else ""
        print("%-*s  %-11s  %8s  %s" % (width, outcome.entry["name"], outcome.verdict(), times,
                                        outcome.skipped or found or "-"))
        if outcome.verdict() != "right":
            for complaint in outcome.complaints:
                print("%*s  %s" % (width, "", complaint))
    here = [outcome for outcome in outcomes if not outcome.skipped]
    hangs = [outcome for outcome in here if outcome.entry["expected"]]
    healthy = [outcome for outcome in here if not outcome.entry["expected"]]
    times = sorted(each for outcome in here for each in outcome.times)
    count = collections.Counter(outcome.verdict() for outcome in outcomes)
    print("%d hangs: %d found, %d with the right waits, %d with the right edges, %d missed, "
          "%d known gap(s)" % (
              len(hangs), sum(outcome.right for outcome in hangs),
              sum(outcome.right and outcome.kinds_right for outcome in hangs),
              sum(outcome.right and outcome.edges_right for outcome in hangs), count["MISSED"],
              count["known gap"]))
    print("%d healthy; %d false alarm(s) in all; %d skipped; %d broken" % (
        len(healthy), count["FALSE ALARM"], count["skipped"], count["BROKEN"]))
    if times:
        print("explain: median %.2f s, longest %.2f s, %d in all; zoo: %.0f s" % (
            times[len(times) // 2], times[-1], len(times), seconds))


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/zoo", description=__doc__.split("\n")[0])
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build/dev",
                        help="default: build/dev")
    parser.add_argument("--stucktrace", type=pathlib.Path,
                        help="the binary to ask; default: the one of the build directory")
    parser.add_argument("--python", default=sys.executable, metavar="PATH",
                        help="the Python 3 that runs the zoo's Python programs")
    parser.add_argument("--only", metavar="REGEX", help="the programs whose name matches")
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("--jobs", type=int, default=12, metavar="N", help="programs at once")
    parser.add_argument("--patience", type=float, default=6, metavar="SECONDS",
                        help="until when a hang must have been explained (default 6)")
    parser.add_argument("--healthy-for", type=float, default=2, metavar="SECONDS",
                        help="how long a healthy program is looked at (default 2)")
    parser.add_argument("--load", action="store_true", help="two busy loops meanwhile")
    parser.add_argument("--json", action="store_true", help="outcomes as JSON instead of the table")
    options = parser.parse_args()
    options.stucktrace = options.stucktrace or options.build_dir / "stucktrace"
    return options


def main():
    options = arguments()
    folder = options.build_dir.resolve() / "target/zoo"
    try:
        entries = json.loads((folder / "zoo.json").read_text())
    except OSError as error:
        sys.exit("zoo: %s (build the target stucktrace_targets first)" % error)
    names = [entry["name"] for entry in entries]
    if len(set(names)) != len(names):
        sys.exit("zoo: a name is there twice")
    if options.only:
        entries = [entry for entry in entries if re.search(options.only, entry["name"])]
    if not entries:
        sys.exit("zoo: no program of that name")
    mark = str(os.getpid())
    zoo = Zoo(folder, options.python)
    held = start_guard(mark)
    start = time.monotonic()
    # Set up before any thread: the guard forks, and the busy loops belong to nobody's tree.
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"],
                             env=dict(os.environ, **{MARK: mark + ".load"}))
            for _ in range(2 if options.load else 0)]
    counter = iter(range(1_000_000))
    lock = threading.Lock()

    def one(entry):
        with lock:
            number = next(counter)
        return visit(zoo, entry, options, "%s.%d" % (mark, number))

    try:
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            outcomes = list(pool.map(one, entries * options.repeat))
    finally:
        end_all(mark)
        for process in busy:
            process.wait()
        os.close(held)
    if options.json:
        print(json.dumps([outcome.as_json() for outcome in outcomes], indent=1))
    else:
        show(outcomes, time.monotonic() - start)
    return 1 if any(outcome.failed() for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
