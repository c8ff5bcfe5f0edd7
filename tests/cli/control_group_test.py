"""What run ends through a control group of its own, that it leaves none behind, and does without."""
import json
import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree

from harness import PATIENCE, STUCKTRACE, Background, Case, children, main, status_field, stucktrace, wait_until

EXIT_DEADLINE = 124
NAME = "stucktrace-run-"
SLEEP = "600"  # longer than any of this takes

TELL = "import ctypes, os, signal, subprocess, sys, time\n" \
       "def tell(name, what=None):\n" \
       "    path = os.path.join(sys.argv[1], name)\n" \
       "    open(path + '.part', 'w').write(str(os.getpid() if what is None else what))\n" \
       "    os.rename(path + '.part', path)\n" \
       "def told(name):\n" \
       "    while not os.path.exists(os.path.join(sys.argv[1], name)):\n" \
       "        time.sleep(0.01)\n" \
       "    return open(os.path.join(sys.argv[1], name)).read()\n" \
       "def group():\n" \
       "    return [line[3:].strip() for line in open('/proc/self/cgroup') if line.startswith('0::')][0]\n"

# A daemon that somebody else takes in, then one that takes it over from stucktrace (PTRACE_SEIZE)
# and ends: nobody traces the daemon any more, and nobody of the tree is its parent.
TAKEN_OVER = TELL + """
if os.fork() == 0:
    os.setsid()
    daemon = os.fork()
    if daemon == 0:
        told('taken')
        signal.signal(signal.SIGTERM, lambda *_: tell('asked'))
        subprocess.Popen(['sleep', '%s'], stdin=subprocess.DEVNULL)
        tell('daemon')
        while True:
            time.sleep(%s)
    tell('born', daemon)
    os._exit(0)
os.wait()
if os.fork() == 0:
    libc = ctypes.CDLL(None, use_errno=True)
    tell('seized', libc.ptrace(0x4206, int(told('born')), None, None))
    os._exit(0)
os.wait()
tell('taken')
told('daemon')
tell('main')
if sys.argv[2] == 'stay':
    time.sleep(%s)
os._exit(3)
""" % (SLEEP, SLEEP, SLEEP)

# What manages groups itself, as init systems and containers do.
MANAGER = TELL + """
own = [line.split()[4] for line in open('/proc/self/mountinfo') if ' - cgroup2 ' in line][-1]
own = os.path.normpath(own + group())
os.makedirs(own + '/services/one')
os.makedirs(own + '/services/none')
if os.fork() == 0:
    open(own + '/services/one/cgroup.procs', 'w').write('0')
    tell('service-group', group())
    tell('service')
    time.sleep(%s)
told('service')
tell('main')
if sys.argv[2] == 'stay':
    time.sleep(%s)
os.kill(int(told('service')), signal.SIGKILL)
os.wait()
""" % (SLEEP, SLEEP)


def own_group():
    with open("/proc/self/cgroup") as file:
        return next((line[3:].strip() for line in file if line.startswith("0::")), None)


def home():
    """The directory of our own group, "" where stucktrace can have none below it."""
    if own_group() is None:
        return ""
    with open("/proc/self/mountinfo") as file:
        mounts = [line.split()[4] for line in file if " - cgroup2 " in line]
    path = mounts[-1].rstrip("/") + own_group() if mounts else ""
    return path if path and os.access(path, os.W_OK) else ""


def alive(pid):
    return status_field(pid, "State")[:1] not in ("", "Z", "X")


def has_group(run):
    """One of this run of stucktrace."""
    return any(name.split(".")[0] == NAME + str(run.pid) for name in os.listdir(home()))


class Groups(Case):
    def setUp(self):
        super().setUp()
        if not home():
            self.skipTest("no control group can be made here")

    def told(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def pid_of(self, name):
        return int(self.told(name))

    def command(self, code, *words):
        return ["--", sys.executable, "-S", "-c", code, self.directory, *words]

    def start(self, *words, **options):
        options.setdefault("stderr", subprocess.PIPE)
        return Background([STUCKTRACE, "run", "-q", *words], **options)

    def ended(self, run, status, patience=PATIENCE):
        stderr = run.process.communicate(timeout=patience)[1]
        self.assertEqual(run.process.returncode, status, stderr)
        self.assertFalse(has_group(run), stderr)
        return stderr

    def wait_for(self, name):
        self.assertTrue(wait_until(lambda: os.path.exists(self.path(name))), name)


class Escaped(Groups):
    def test_a_daemon_that_was_taken_over_is_asked_and_ended(self):
        for filtered in ([], ["--no-seccomp"]):
            with self.subTest(filtered):
                for name in os.listdir(self.directory):
                    os.unlink(self.path(name))
                report, junit = self.path("report.json"), self.path("junit.xml")
                with self.start("--deadline", "1h", "--grace", "500ms", "--json=" + report, "--junit", junit,
                                *filtered,
                                *self.command(TAKEN_OVER, "stay")) as run:
                    self.wait_for("main")
                    daemon = self.pid_of("daemon")
                    self.assertEqual(self.told("seized"), "0")
                    self.assertEqual(status_field(daemon, "TracerPid"), "0")
                    self.assertNotIn(int(status_field(daemon, "PPid")), (run.pid, self.pid_of("main")))
                    run.process.terminate()
                    words = " ".join(self.ended(run, 128 + signal.SIGTERM).split())
                self.assertTrue(os.path.exists(self.path("asked")))
                self.assertFalse(alive(daemon))
                with open(report) as file:
                    told = json.load(file)
                self.assertIn(daemon, [process["pid"] for process in told["processes"]])
                # The daemon and its child, which it made when nobody traced it any more.
                known = {process["pid"]: process["known"] for process in told["ended"]["processes"]}
                self.assertEqual((known[daemon], known[self.pid_of("main")]), ("control-group", "traced"))
                self.assertEqual(list(known.values()).count("control-group"), 2, known)
                sentence = "%d processes are ended: " % len(known)
                alone = r"by the control group alone: (\w+ \(pid \d+\), )?\w+ \(pid %d\)" % daemon
                self.assertIn(sentence, words)
                self.assertRegex(words, alone)
                story = xml.etree.ElementTree.parse(junit).getroot().find(".//error").text
                self.assertIn(sentence, " ".join(story.split()))
                self.assertRegex(" ".join(story.split()), alone)

    def test_it_has_the_same_deadline_when_it_is_all_that_is_left(self):
        with self.start("--deadline", "3s", "--grace", "100ms", *self.command(TAKEN_OVER, "")) as run:
            stderr = self.ended(run, 3)
        self.assertIn("what it left behind", " ".join(stderr.split()))
        self.assertFalse(alive(self.pid_of("daemon")))

    def test_without_a_limit_of_the_time_it_goes_on_where_it_would_have_been(self):
        with self.start("--fail-on", "stuck", "--no-seccomp", *self.command(TAKEN_OVER, ""),
                        stderr=subprocess.DEVNULL) as run:
            self.assertEqual(run.process.wait(PATIENCE), 3)
            self.assertFalse(has_group(run))
        daemon = self.pid_of("daemon")
        try:
            self.assertTrue(alive(daemon))
            with open("/proc/%d/cgroup" % daemon) as file:
                self.assertIn("0::%s\n" % own_group(), file.read())
        finally:
            for pid in children(daemon) + [daemon]:
                os.kill(pid, signal.SIGKILL)


class Removed(Groups):
    def test_after_every_end(self):
        for options, command, status in (
                (["--deadline", "1h"], ["sh", "-c", "exit 7"], 7),
                (["--deadline", "1s"], ["sleep", SLEEP], EXIT_DEADLINE),
                (["--idle", "500ms"], ["sleep", SLEEP], EXIT_DEADLINE),
                (["--fail-on", "stuck"], ["true"], 0),
                (["--close-orphans"], ["true"], 0),
                (["--deadline", "1h"], [self.directory], 126),
                (["--deadline", "1h"], [self.path("none")], 127),
                (["--deadline", "1h"], ["sh", "-c", "kill -9 $$"], 137)):
            with self.subTest(options + command):
                with self.start(*options, "--", *command) as run:
                    self.ended(run, status)

    def test_what_was_killed_leaves_it_to_the_next(self):
        with self.start("--deadline", "1h", *self.command(TELL + "tell('main')\ntime.sleep(%s)\n" % SLEEP),
                        stderr=subprocess.DEVNULL) as run:
            self.wait_for("main")
            self.assertTrue(has_group(run))
            # Another one sees that it is in use.
            self.assertEqual(stucktrace("run", "-q", "--deadline", "1h", "--", "true").returncode, 0)
            self.assertTrue(has_group(run))
            self.assertTrue(alive(self.pid_of("main")))
            run.process.kill()
            run.process.wait()
            self.assertTrue(wait_until(lambda: not alive(self.pid_of("main"))))

            def gone():
                stucktrace("run", "-q", "--deadline", "1h", "--", "true")
                return not has_group(run)
            self.assertTrue(wait_until(gone))


class Manager(Groups):
    def test_groups_made_within_work_and_end_with_it(self):
        with self.start("--deadline", "1h", *self.command(MANAGER, "stay")) as run:
            self.wait_for("main")
            self.assertRegex(self.told("service-group"), "/%s%d/services/one$" % (NAME, run.pid))
            run.process.terminate()
            self.ended(run, 128 + signal.SIGTERM)
        self.assertFalse(alive(self.pid_of("service")))

    def test_those_it_leaves_empty_are_removed(self):
        with self.start("--deadline", "1h", *self.command(MANAGER, "")) as run:
            self.ended(run, 0)


class Without(Case):
    def test_no_limit_no_group(self):
        if own_group() is None:
            self.skipTest("no control groups here")
        result = stucktrace("run", "-q", "--kill-on-exit", "--", "cat", "/proc/self/cgroup")
        self.assertIn("0::%s\n" % own_group(), result.stdout)

    def test_an_ordinary_user_goes_on_without(self):
        program = shutil.copy(STUCKTRACE, "/tmp/stucktrace-for-anybody-%d" % os.getpid())
        self.addCleanup(os.unlink, program)
        os.chmod(program, 0o755)
        as_other = (lambda: os.setuid(65534)) if os.geteuid() == 0 else None
        if as_other is None and home():
            self.skipTest("whoever may make groups here is no ordinary user")
        done = subprocess.run([program, "run", "-v", "--deadline", "1s", "--grace", "100ms", "--",
                               "sh", "-c", "sleep %s & sleep %s" % (SLEEP, SLEEP)],
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
                              timeout=PATIENCE, preexec_fn=as_other, cwd="/")
        self.assertEqual(done.returncode, EXIT_DEADLINE, done.stderr)
        self.assertRegex(done.stderr, r"(?m)^stucktrace: no control group for the tree: ")


if __name__ == "__main__":
    main()
