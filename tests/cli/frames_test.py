"""The native frames of real programs are, frame by frame, those that eu-stack and gdb find."""
import os
import re
import shutil
import subprocess
import unittest

from harness import PATIENCE, TARGETS, Background, Case, frames_of, interpreters, main, wait_until

# The programs are looked at often enough in one build; under sanitizers once more tells nothing new.
SHORT = bool(os.environ.get("STUCKTRACE_SHORT_TESTS"))

PYTHON = """
import threading, time
lock = threading.Lock(); lock.acquire()
def inner():
    time.sleep(1000)
def outer():
    inner()
waiter = threading.Thread(target=lock.acquire); waiter.daemon = True; waiter.start()
outer()
"""

JAVA = """
public class Waits {
  public static void main(String[] words) throws Exception { new java.io.FileInputStream(words[0]).close(); }
}
"""

GDB = """
python
gdb.execute('set backtrace past-main on'); gdb.execute('set backtrace past-entry on')
for thread in gdb.selected_inferior().threads():
    thread.switch()
    frame = gdb.newest_frame()
    while frame is not None:
        # Frames that take no room on the stack are gdb's own reading of the code.
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            print('FRAME %d %x' % (thread.ptid[1], frame.pc()))
        try:
            frame = frame.older()
        except gdb.error:
            break
end
"""


def by_eu_stack(pid):
    text = subprocess.run(["eu-stack", "-p", str(pid)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          encoding="utf-8", errors="replace", timeout=PATIENCE).stdout
    stacks = {}
    for line in text.splitlines():
        if line.startswith("TID "):
            frames = stacks.setdefault(int(line[4:].rstrip(":")), [])
        elif line.startswith("#"):
            frames.append(int(line.split()[1], 16))
    return stacks


def by_gdb(pid, script):
    text = subprocess.run(["gdb", "-nx", "-batch", "-p", str(pid), "-x", script], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8",
                          errors="replace", timeout=PATIENCE,
                          env=dict(os.environ, DEBUGINFOD_URLS="")).stdout
    stacks = {}
    for tid, address in re.findall(r"^FRAME (\d+) ([0-9a-f]+)$", text, re.MULTILINE):
        stacks.setdefault(int(tid), []).append(int(address, 16))
    return stacks


def differences(pid, other):
    """What stucktrace and the other one tell differently of threads that stood still; None: nothing to compare."""
    before = frames_of(pid)
    theirs = other(pid)
    ours = frames_of(pid)
    still = [tid for tid, stack in ours.items() if before.get(tid) == stack]
    if not still or not theirs:
        return None
    return {tid: (ours[tid], theirs.get(tid)) for tid in still if theirs.get(tid) != ours[tid]}


@unittest.skipUnless(shutil.which("eu-stack"), "no eu-stack here")
class Frames(Case):
    def setUp(self):
        super().setUp()
        self.write("frames.gdb", GDB)
        os.mkfifo(self.path("fifo"))

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text.lstrip())
        return self.path(name)

    def need(self, *programs):
        for program in programs:
            if not shutil.which(program):
                self.skipTest("no %s here" % program)

    def check(self, threads, *words, gdb=True, **options):
        """The program comes to have so many blocked threads, whose frames are told alike."""
        others = [by_eu_stack]
        if gdb and shutil.which("gdb"):
            others.append(lambda pid: by_gdb(pid, self.path("frames.gdb")))
        with Background(words, cwd=self.directory, stderr=subprocess.DEVNULL, **options) as target:
            self.assertTrue(wait_until(lambda: len(frames_of(target.pid)) >= threads))
            for other in others:
                told = [None]

                # At first they may still be on their way to where they stay.
                def alike():
                    told[0] = differences(target.pid, other)
                    return told[0] == {}
                self.assertTrue(wait_until(alike), told[0])

    def test_of_cpp(self):
        self.check(4, "sh", "-c", 'exec 3<>fifo; exec "$0" 3 <&3', os.path.join(TARGETS, "deep_threads"))

    def test_of_c(self):
        self.check(1, "sh", "-c", "exec 3<>fifo; exec cat <&3")

    def test_of_bash(self):
        self.need("bash")
        self.check(1, "bash", "-c", "exec 3<>fifo; read line <&3; echo")

    def test_of_every_python(self):
        script = self.write("waits.py", PYTHON)
        found = sorted(interpreters().items())
        for version, python in found[-1:] if SHORT else found:
            with self.subTest(version=version):
                self.check(2, python, script)

    def test_of_redis(self):
        self.need("redis-server")
        self.check(4, "redis-server", "--port", "0", "--unixsocket", self.path("socket"), "--save", "")

    def test_of_node(self):
        self.need("node")
        self.check(5, "node", "-e", "setTimeout(() => {}, 1e6)")

    def test_of_java(self):
        self.need("java", "javac")
        self.write("Waits.java", JAVA)
        subprocess.run(["javac", "Waits.java"], check=True, cwd=self.directory, timeout=300)
        # Where code of the machine's own has no tables gdb guesses.
        self.check(8, "java", "-Xmx64m", "-cp", ".", "Waits", "fifo", gdb=False)


if __name__ == "__main__":
    main()
