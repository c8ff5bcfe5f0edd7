#!/usr/bin/env python3
"""Repeats real programs and compares every run with the first: none may differ.

usage: golden_runs.py [--stucktrace FILE] [--times N] [--level LEVEL]... [--keep DIRECTORY] [NAME...]

Each program is recorded N+1 times (run --for-compare), the first becomes a baseline of each level,
and the others are compared with it. Programs whose tools are not installed are left out, which is
said. Prints a line a program and exits with 1 if any run differed.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
EXIT_DIFFERS = 122

MAKEFILE = """
all: prog report.txt
prog: a.o b.o
\tgcc -o $@ $^
%.o: %.c
\tgcc -c -o $@ $<
report.txt: prog
\t./prog | sort > $@
"""
SOURCES = {
    "a.c": '#include <stdio.h>\nint half(int);\n'
           'int main(void) { for (int i = 9; i > 0; --i) printf("%d\\n", half(i)); return 0; }\n',
    "b.c": "int half(int n) { return n / 2; }\n",
}
MULTIPROCESSING = """
import multiprocessing, subprocess, sys
def work(number, tasks, results):
    for task in iter(tasks.get, None):
        results.put((number, task * task))
    results.put((number, subprocess.check_output(["sh", "-c", "echo %d | cat" % number])))
if __name__ == "__main__":
    results = multiprocessing.Queue()
    tasks = [multiprocessing.Queue() for _ in range(3)]
    workers = [multiprocessing.Process(target=work, args=(n, q, results))
               for n, q in enumerate(tasks)]
    for worker in workers:
        worker.start()
    for task in range(30):
        tasks[task % 3].put(task)
    for queue in tasks:
        queue.put(None)
    print(len([results.get() for _ in range(33)]))
    for worker in workers:
        worker.join()
"""
POOL = """
import concurrent.futures, os, subprocess
def run(n):
    with open("out%d" % n, "w") as file:
        subprocess.run(["seq", str(n * 100)], stdout=file, check=True)
    return os.path.getsize("out%d" % n)
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(run, range(8))))
os.rename("out7", "last")
"""
NODE = """
const { execFileSync, spawn } = require("child_process");
const fs = require("fs");
fs.writeFileSync("made.txt", execFileSync("seq", ["100"]));
const child = spawn("sort", ["-r"], { stdio: ["pipe", "pipe", "inherit"] });
let text = "";
child.stdout.on("data", (data) => { text += data; });
child.on("close", (code) => { fs.renameSync("made.txt", "old.txt"); console.log(code, text.length); });
fs.readFile("made.txt", (error, data) => { child.stdin.end(data); });
"""


def write(directory, files):
    for name, text in files.items():
        with open(os.path.join(directory, name), "w") as file:
            file.write(text)


def make_repository(directory):
    environment = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null",
                       HOME=directory)
    for name in ("AUTHOR", "COMMITTER"):
        environment["GIT_%s_NAME" % name] = "A"
        environment["GIT_%s_EMAIL" % name] = "a@example.org"
        environment["GIT_%s_DATE" % name] = "2024-01-01T00:00:00Z"
    source = os.path.join(directory, "source")
    os.mkdir(source)
    def git(*words):
        subprocess.run(["git"] + list(words), cwd=source, env=environment, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    git("init", "-q")
    for number in range(20):
        write(source, {"file%d" % number: "line %d\n" % number * 200})
        git("add", ".")
        git("commit", "-q", "-m", "commit %d" % number)


# name: (tools, what to prepare, command)
PROGRAMS = {
    "sh-pipeline": (["sh", "seq", "sort"], None,
                    ["sh", "-c", "seq 20000 | sort -r | tail -3 > out; (echo a; echo b) | cat; "
                                 "test -s out && rm out"]),
    "sh-sigpipe": (["sh", "yes"], None, ["sh", "-c", "yes | head -1000 | wc -l; exit 3"]),
    "sh-fifo": (["sh", "mkfifo", "cat"], None,
                ["sh", "-c", "mkfifo f; cat f & echo x > f; wait"]),
    "bash-jobs": (["bash", "diff"], None,
                  ["bash", "-c", "diff <(seq 10) <(seq 11); for i in 1 2 3; do "
                                 "(sleep 0.0$i; echo $i > out$i) & done; wait; x=$(cat out?); "
                                 "echo $x | tr ' ' '\\n' | sort"]),
    "make": (["make", "gcc"], lambda d: write(d, dict(SOURCES, Makefile=MAKEFILE)), ["make", "-s"]),
    "make-j3": (["make", "gcc"], lambda d: write(d, dict(SOURCES, Makefile=MAKEFILE)),
                ["make", "-s", "-j3"]),
    "gcc": (["gcc"], lambda d: write(d, SOURCES),
            ["sh", "-c", "gcc -pipe -O1 a.c b.c -o prog && ./prog"]),
    "git-clone": (["git"], make_repository, ["git", "clone", "-q", "--no-local", "source", "copy"]),
    "python-multiprocessing": ([], lambda d: write(d, {"p.py": MULTIPROCESSING}),
                               [sys.executable, "p.py"]),
    "python-threads": ([], lambda d: write(d, {"p.py": POOL}), [sys.executable, "p.py"]),
    "node": (["node"], lambda d: write(d, {"p.js": NODE}), ["node", "p.js"]),
    "tar-xargs": (["tar", "gzip", "xargs"],
                  lambda d: write(d, {"f%d" % n: "x\n" * n * 50 for n in range(12)}),
                  ["sh", "-c", "tar cf - f* | gzip -1 > t.tgz; mkdir x; gzip -dc t.tgz | "
                               "tar xf - -C x; ls x | xargs -P 2 -n 3 sh -c 'cd x; cat \"$@\" "
                               "| wc -l' sh | sort -n; rm -r x"]),
}


# What they exit with where that is not 0.
STATUSES = {"sh-sigpipe": 3}


class Failed(Exception):
    pass


def tool(stucktrace, *words, accepted=(0,), **options):
    done = subprocess.run([stucktrace] + list(words), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                          errors="backslashreplace", **options)
    if done.returncode not in accepted:
        raise Failed("stucktrace %s: status %d\n%s%s" % (words[0], done.returncode, done.stdout,
                                                         done.stderr))
    return done


def record(stucktrace, name, scratch, path):
    """One run in a directory of its own that has the same name each time."""
    _, prepare, command = PROGRAMS[name]
    directory = os.path.join(scratch, "work")
    shutil.rmtree(directory, ignore_errors=True)
    pristine = os.path.join(scratch, "pristine-" + name)
    if not os.path.isdir(pristine):
        os.mkdir(pristine)
        if prepare:
            prepare(pristine)
    shutil.copytree(pristine, directory, symlinks=True)
    environment = dict(os.environ, HOME=scratch, LC_ALL="C")
    # A run that records nothing must not be taken for the one before.
    if os.path.exists(path):
        os.unlink(path)
    tool(stucktrace, "run", "-q", "--for-compare", "-o", path, "--", *command,
         accepted=(STATUSES.get(name, 0),), cwd=directory, env=environment)
    if not os.path.exists(path):
        raise Failed("stucktrace run: no recording")


def repeat(stucktrace, name, times, levels, scratch, keep):
    """How many runs differed, by level, and the first difference of each."""
    baselines = {level: os.path.join(scratch, "%s.%s" % (name, level)) for level in levels}
    recording = os.path.join(scratch, "run.trace")
    record(stucktrace, name, scratch, recording)
    for level, baseline in baselines.items():
        tool(stucktrace, "compare", "-q", "--update", "--level", level, baseline, recording)
    counts = dict.fromkeys(levels, 0)
    told = {}
    for number in range(times):
        record(stucktrace, name, scratch, recording)
        for level, baseline in baselines.items():
            done = tool(stucktrace, "compare", baseline, recording, accepted=(0, EXIT_DIFFERS))
            if done.returncode == EXIT_DIFFERS:
                counts[level] += 1
                told.setdefault(level, done.stdout)
                if keep:
                    shutil.copy(recording, os.path.join(keep, "%s-%d.trace" % (name, number)))
    if keep:
        for baseline in baselines.values():
            shutil.copy(baseline, keep)
    return counts, told


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stucktrace", default=os.path.join(SOURCE, "build", "dev", "stucktrace"))
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--level", action="append", choices=["structure", "effects", "calls"])
    parser.add_argument("--keep", help="where baselines and runs that differed go")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    options = parser.parse_args()
    names = options.names or list(PROGRAMS)
    for name in names:
        if name not in PROGRAMS:
            parser.error("no program %s; there are %s" % (name, ", ".join(PROGRAMS)))
    if options.keep:
        os.makedirs(options.keep, exist_ok=True)
    levels = options.level or ["structure", "effects"]
    bad = False
    with tempfile.TemporaryDirectory(prefix="stucktrace-golden-") as scratch:
        for name in names:
            missing = [word for word in PROGRAMS[name][0] if not shutil.which(word)]
            if missing:
                print("%-24s left out: no %s" % (name, ", ".join(missing)), flush=True)
                continue
            try:
                counts, told = repeat(os.path.abspath(options.stucktrace), name, options.times,
                                      levels, scratch, options.keep)
            except Failed as failure:
                print("%-24s %s" % (name, failure), flush=True)
                bad = True
                continue
            print("%-24s %s" % (name, ", ".join(
                "%d of %d differ at %s" % (counts[level], options.times, level)
                for level in levels)), flush=True)
            for level, text in told.items():
                print("  first difference at %s:\n    %s" % (
                    level, text.rstrip("\n").replace("\n", "\n    ")), flush=True)
                bad = True
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
