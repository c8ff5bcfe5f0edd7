"""What scripts/bench measures: workloads and modes, as data, and how a workload is prepared.

In commands {size} is the workload's size, {here} its folder, {python} an interpreter, {load} and
{spin} programs of target/. A workload runs without output, since a terminal or a pipe would be
measured too.
"""

import dataclasses
import os
import pathlib
import subprocess

# Calls that a diagnosis needs, in strace's words: what stucktrace's own default set consists of.
DIAGNOSIS_SET = ("%process,%network,%ipc,read,write,readv,writev,pread64,pwrite64,open,openat,close,"
                 "dup,dup2,dup3,pipe,pipe2,fcntl,socketpair,eventfd2,epoll_create1,epoll_wait,"
                 "epoll_pwait,poll,ppoll,select,pselect6,futex,flock,nanosleep,clock_nanosleep,"
                 "sendfile,splice,kill,tkill,tgkill,unlink,unlinkat,rename,mkdir,mkdirat")


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    what: str
    full: int   # size: long enough to measure, short enough that strace needs some seconds
    quick: int
    command: tuple
    needs: tuple = ()
    prepare: object = None  # function of (folder, size)
    loaded: bool = False    # every CPU is kept busy by somebody else
    server: bool = False    # the command serves; redis-benchmark's time is what counts
    only: tuple = ()        # the modes it is for; () all


def many_files(folder, size):
    """A tree of small files, 50 in a folder."""
    for number in range(size):
        path = folder / "tree" / ("d%03d" % (number // 50)) / ("f%05d" % number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 200)


def history(folder, size):
    """A packed repository of `size` commits."""
    stream = []
    for number in range(size):
        text = "line %d\n" % number
        stream.append("commit refs/heads/main\ncommitter A <a@example.org> %d +0000\n"
                      "data 6\nchange\nM 644 inline file\ndata %d\n%s\n"
                      % (1700000000 + number, len(text), text))
    environment = environment_of()
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder / "repo")], check=True,
                   env=environment)
    subprocess.run(["git", "-C", str(folder / "repo"), "fast-import", "--quiet"], check=True,
                   input="".join(stream).encode(), env=environment)


def sources(folder, size, text="#include <stdio.h>\nint part%d(void) { return puts(\"%d\"); }\n",
            flags=""):
    """A makefile over `size` C files."""
    objects = []
    for number in range(size):
        (folder / ("part%d.c" % number)).write_text(text % (number, number))
        objects.append("part%d.o" % number)
    (folder / "Makefile").write_text(
        "all: %s\n%%.o: %%.c\n\tgcc %s -c -o $@ $<\n" % (" ".join(objects), flags))


def larger_sources(folder, size):
    """Files that take a compiler as long as everyday ones do."""
    loops = "".join("static int f%d(int a) { int s = 0; for (int i = 0; i < a; i++) "
                    "{ s += i %% %d; if (s > %d) s -= a; } return s; }\n"
                    % (each, each + 3, 7 * each) for each in range(60)).replace("%", "%%")
    calls = " + ".join("f%d(%d)" % (each, each) for each in range(60))
    sources(folder, size, "#include <stdio.h>\n#include <stdlib.h>\n#include <math.h>\n" + loops +
            "int part%d(void) { return " + calls + " + %d; }\n", "-O2")


def environment_of():
    """Settings of the user's must not change what a workload does."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("GIT_", "MAKE", "PYTHON")) and name not in ("MFLAGS", "CC")}
    return dict(kept, LC_ALL="C.UTF-8", GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL=os.devnull)


AGAIN = "i=0; while [ $i -lt {size} ]; do %s || exit; i=$((i+1)); done"
PLAIN = ("native", "default")

DD = ("dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count={size}", "status=none")

WORKLOADS = [
    Workload("dd", "dd bs=1: one process, nothing but short calls", 10000, 1500, DD, ("dd",)),
    Workload("pipe", "dd bs=1 | cat: two processes in turn", 4000, 800,
             ("sh", "-c", "dd if=/dev/zero bs=1 count={size} status=none | cat"), ("dd",)),
    Workload("threads4", "4 threads, four short calls in turn", 2000, 200,
             ("{load}", "threads", "4", "{size}")),
    Workload("threads8", "8 threads, the same", 1000, 100, ("{load}", "threads", "8", "{size}")),
    Workload("forks", "fork, exit, wait in a loop", 600, 100, ("{load}", "forks", "{size}")),
    Workload("python", "python3 -c pass, again and again", 20, 3,
             ("sh", "-c", AGAIN % "{python} -c pass")),
    Workload("git", "git log of a packed repository", 15000, 1500,
             ("git", "-C", "{here}/repo", "--no-pager", "log", "--oneline"), ("git",), history),
    Workload("tar", "tar of small files", 3000, 300,
             ("tar", "-C", "{here}", "-cf", "{here}/out.tar", "tree"), ("tar",), many_files),
    Workload("find", "find with a look at every file", 15000, 1200,
             ("find", "{here}/tree", "-type", "f", "-size", "+100k"), ("find",), many_files),
    Workload("make", "make -j2 of small C files", 12, 3,
             ("make", "-s", "-B", "-j2", "-C", "{here}"), ("make", "gcc"), sources),
    Workload("redis", "redis-benchmark over loopback; only the server is traced", 5000, 600,
             ("redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", "",
              "--appendonly", "no", "--daemonize", "no", "--dir", "{here}"),
             ("redis-server", "redis-benchmark"), server=True),
    Workload("loaded", "dd bs=1 while every CPU is kept busy by others", 8000, 1500, DD, ("dd",),
             loaded=True),
    # What starting the tool takes counts for nothing in these; strace would need minutes.
    Workload("pythons", "python3 -c pass, many times", 100, 10,
             ("sh", "-c", AGAIN % "{python} -c pass"), only=PLAIN),
    Workload("tars", "tar of many small files", 15000, 2000,
             ("tar", "-C", "{here}", "-cf", "{here}/out.tar", "tree"), ("tar",), many_files,
             only=PLAIN),
    Workload("finds", "find with a look at every file, again and again", 30, 3,
             ("sh", "-c", AGAIN % "find {here}/tree -type f -size +100k"), ("find",),
             lambda folder, size: many_files(folder, 500 * size), only=PLAIN),
    Workload("compile", "make -j2 of everyday C files", 40, 4,
             ("make", "-s", "-B", "-j2", "-C", "{here}"), ("make", "gcc"), larger_sources,
             only=PLAIN),
]


@dataclasses.dataclass(frozen=True)
class Mode:
    name: str
    what: str
    command: tuple = ()     # goes before the workload's; {file}: for its output, {pid}: attach
    strace: str = "strace"  # the mode it is compared with
    filtered: bool = False  # does not see every call
    tool: str = "stucktrace"  # stucktrace, strace, bare; "" for none

    @property
    def attaches(self):
        return "{pid}" in self.command


MODES = [
    Mode("native", "nobody looks", tool=""),
    Mode("bare", "a loop that answers each stop at once, all on one CPU", ("{bare}",), tool="bare"),
    Mode("strace", "strace -f -o FILE", ("strace", "-f", "-o", "{file}", "--"), tool="strace"),
    Mode("strace-bpf", "strace -f --seccomp-bpf -e trace=(what a diagnosis needs) -o FILE",
         ("strace", "-f", "--seccomp-bpf", "-e", "trace=" + DIAGNOSIS_SET, "-o", "{file}", "--"),
         filtered=True, tool="strace"),
    Mode("default", "stucktrace run", ("{binary}", "run", "--"), filtered=True),
    Mode("all", "stucktrace run -e trace=all -o FILE",
         ("{binary}", "run", "-e", "trace=all", "-o", "{file}", "--")),
    Mode("strace-attach", "strace -f -o FILE -p PID",
         ("strace", "-f", "-o", "{file}", "-p", "{pid}"), "strace-attach", tool="strace"),
    Mode("attach", "stucktrace attach -e trace=all -o FILE PID",
         ("{binary}", "attach", "-e", "trace=all", "-o", "{file}", "{pid}"), "strace-attach"),
]
FAST_IDLE = Mode("fast-idle", "stucktrace run --fast-idle -e trace=all -o FILE",
                 ("{binary}", "run", "--fast-idle", "-e", "trace=all", "-o", "{file}", "--"))

# What the project wants to reach: workloads, mode, what is compared, at least or at most how much.
# `strace`: times faster than its strace mode; `native`, `bare`: times that run; `peak`: MiB.
# 0.9 and 1.05 stand for "no worse than": noise is about that large.
TARGETS = [
    (("dd", "find", "tar"), "all", "strace", ">=", 15.0),
    (("dd", "find", "tar"), "all", "bare", "<=", 1.5),
    (("python", "git"), "all", "strace", ">=", 3.0),
    (("pipe", "threads4", "threads8"), "all", "strace", ">=", 2.0),
    (("forks", "make", "loaded"), "all", "strace", ">=", 0.9),
    (("pipe",), "fast-idle", "strace", ">=", 5.0),
    (("pythons", "tars", "finds", "redis", "compile"), "default", "native", "<=", 1.05),
    (tuple(workload.name for workload in WORKLOADS if not workload.only), "all", "peak", "<=", 64.0),
]


def prepare(workload, size, folder):
    folder.mkdir(parents=True, exist_ok=True)
    if workload.prepare:
        workload.prepare(pathlib.Path(folder), size)
