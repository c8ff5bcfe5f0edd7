"""`watch` in a terminal of its own (tmux): what it shows, how it answers to keys, what it leaves."""
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from harness import (EXIT_FAILURE, PATIENCE, SEED, STUCKTRACE, WRITE, Background, Case, blocked_in,
                     children, main, stucktrace, task_states, wait_until)

TMUX = shutil.which("tmux")
POOL = """
import threading, time
gate = threading.Event()
for _ in range(299):
    threading.Thread(target=gate.wait, daemon=True).start()
print('ready', flush=True)
time.sleep(1000)
"""
HOSTILE = """
import time
with open('/proc/self/comm', 'wb') as file:
    file.write(b'a\\x1b[7m\\xff\\x9b2J')
print('ready', flush=True)
time.sleep(1000)
"""


class Terminal:
    """A terminal with a shell in it, on a tmux server of its own."""

    def __init__(self, directory, columns=80, lines=24, **environment):
        # A name of its own: the server before may still be on its way out.
        self.socket = os.path.join(tempfile.mkdtemp(dir=directory), "tmux")
        words = ["env"] + ["%s=%s" % item for item in environment.items()] + ["PS1=shell> ", "sh"]
        # A run without a user's locale would make tmux itself show ASCII only.
        self.call("-u", "-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", lines,
                  "-c", directory, shlex.join(words))
        self.until(lambda screen: "shell>" in screen)

    def call(self, *words):
        done = subprocess.run([TMUX, "-S", self.socket] + [str(word) for word in words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, encoding="utf-8", errors="backslashreplace",
                              timeout=PATIENCE)
        if done.returncode != 0:
            raise AssertionError("tmux %s: %s" % (words, done.stderr))
        return done.stdout

    def close(self):
        subprocess.run([TMUX, "-S", self.socket, "kill-server"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=PATIENCE, check=False)

    def screen(self, *options):
        return self.call("capture-pane", "-p", *options)

    def type(self, line):
        self.call("send-keys", "-l", line)
        self.call("send-keys", "Enter")

    def keys(self, *keys):
        self.call("send-keys", *keys)

    def until(self, condition, *options):
        """The screen once the condition holds for it."""
        seen = []

        def holds():
            seen[:] = [self.screen(*options)]
            return condition(seen[0])
        if not wait_until(holds):
            raise AssertionError("not seen in time; last on the screen:\n" + seen[0])
        return seen[0]

    def shows(self, *texts):
        return self.until(lambda screen: all(text in screen for text in texts))


@unittest.skipUnless(TMUX, "needs tmux for a terminal")
class Watch(Case):
    def terminal(self, **options):
        terminal = Terminal(self.directory, **options)
        self.addCleanup(terminal.close)
        return terminal

    def start(self, words):
        """A target of which the first line of output says that it is ready."""
        target = Background(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(target.__exit__)
        target.process.stdout.readline()
        return target

    def sleeper(self):
        return self.start(["sh", "-c", "echo ready; sleep 1000; true"])

    def birth_case(self):
        target = Background([sys.executable, SEED, "200000", "600"])
        self.addCleanup(target.__exit__)
        self.assertTrue(wait_until(
            lambda: any(blocked_in(child, WRITE) for child in children(target.pid))))
        return target

    def watch(self, terminal, *words):
        """Types the command; its status and the terminal's settings are told after it."""
        command = shlex.join([STUCKTRACE, "watch"] + [str(word) for word in words])
        terminal.type("stty -g >before; %s; echo status=$?; stty -g >after" % command)
        return terminal.shows("stucktrace watch")

    def assert_left_clean(self, terminal, status):
        screen = terminal.shows("status=%d" % status)
        self.assertTrue(wait_until(lambda: os.path.exists(self.path("after"))
                                   and os.path.getsize(self.path("after")) > 0))
        with open(self.path("before")) as before, open(self.path("after")) as after:
            self.assertEqual(before.read(), after.read())
        # The shell's own screen is back.
        self.assertNotIn("q quit", screen)
        self.assertEqual(terminal.call("display-message", "-p", "#{alternate_on} #{cursor_flag}"),
                         "0 1\n")

    def test_the_birth_case_in_80_columns(self):
        target = self.birth_case()
        child = children(target.pid)[0]
        terminal = self.terminal()
        self.watch(terminal, target.pid)

        def stuck_rows(screen):
            return [line for line in screen.splitlines() if line.startswith("! ")]
        terminal.shows("STUCK until", "QueueFeederThread", "3 stuck")
        # The terminal may have got as far as the first lines only.
        screen = terminal.until(lambda text: len(stuck_rows(text)) == 3)
        self.assertLessEqual(max(map(len, screen.splitlines())), 80)
        rows = stuck_rows(screen)
        self.assertRegex(rows[0], r"^! %d +P1 .* reads pipe:.* P2 .* s$" % target.pid)
        self.assertRegex(rows[1], r"^! └─%d +P2 " % child)
        self.assertRegex(rows[2], r"^!   └─\d+ +P2\.T2 QueueFeeder.* writes pipe:")

        terminal.keys("r")
        terminal.shows("waits for", "Esc back")
        terminal.keys("End")
        terminal.shows("Remedy")
        terminal.keys("Escape")
        terminal.shows("SINCE")
        terminal.keys("End", "t")
        terminal.shows("Python, innermost first", "_feed", "Native, innermost first")
        terminal.keys("t", "?")
        terminal.shows("One row a thread")
        terminal.keys("?", "s")
        terminal.shows("stuck first", "PID/TID")
        terminal.keys("s", "s", "Home", "f")
        terminal.shows("[+2 threads of 1 more process")
        terminal.keys("Enter")
        terminal.shows("QueueFeeder")

        terminal.keys("w")
        terminal.shows("wrote stucktrace-%d-1.json" % target.pid)
        with open(self.path("stucktrace-%d-1.json" % target.pid)) as file:
            report = json.load(file)
        self.assertEqual(report["schema"], "stucktrace.report/1")
        self.assertEqual(report["findings"][0]["rule"], "pipe-full-after-announce")
        terminal.keys("w")
        terminal.shows("wrote stucktrace-%d-2.json" % target.pid)

        terminal.keys("q")
        self.assert_left_clean(terminal, 0)

    def test_follows_the_size_of_the_terminal(self):
        target = self.birth_case()
        terminal = self.terminal()
        self.watch(terminal, target.pid)
        terminal.shows("STUCK until")
        for columns, lines in ((50, 12), (120, 40), (20, 5), (80, 24)):
            terminal.call("resize-window", "-x", columns, "-y", lines)
            screen = terminal.until(
                lambda text, lines=lines: text.rstrip("\n").count("\n") == lines - 1
                and text.rstrip("\n").splitlines()[-1].startswith("q quit"))
            self.assertLessEqual(max(map(len, screen.splitlines())), columns)
        terminal.keys("q")
        self.assert_left_clean(terminal, 0)

    def test_hundreds_of_threads_are_folded_and_can_be_walked_through(self):
        target = self.start([sys.executable, "-c", POOL])
        terminal = self.terminal()
        self.watch(terminal, target.pid)
        terminal.shows("300 threads", "299 threads")
        terminal.keys("F")
        terminal.until(lambda screen: screen.count(".T") > 10)
        terminal.keys("End")
        terminal.shows("P1.T300")
        terminal.keys("PageUp", "Home")
        terminal.shows("P1.T2 ")
        terminal.keys("q")
        self.assert_left_clean(terminal, 0)

    def test_every_way_out_restores_the_terminal(self):
        target = self.sleeper()
        for number, status in ((signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131),
                               (signal.SIGINT, 0)):
            with self.subTest(signal=number):
                terminal = Terminal(self.directory)
                try:
                    self.watch(terminal, target.pid)
                    terminal.shows("SINCE")
                    os.kill(self.watcher(target.pid), number)
                    self.assert_left_clean(terminal, status)
                    os.unlink(self.path("after"))
                finally:
                    terminal.close()
        terminal = self.terminal()
        self.watch(terminal, target.pid)
        terminal.shows("SINCE")
        terminal.keys("C-c")
        self.assert_left_clean(terminal, 0)

    def watcher(self, target):
        """The process id of the only stucktrace that watches this process."""
        words = [os.fsencode(STUCKTRACE), b"watch", b"%d" % target]
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open("/proc/%s/cmdline" % name, "rb") as file:
                    if file.read().split(b"\0")[:3] == words:
                        return int(name)
            except OSError:
                pass
        return self.fail("no watcher of %d" % target)

    def test_stops_and_goes_on_like_any_job(self):
        target = self.sleeper()
        terminal = self.terminal()
        terminal.type(shlex.join([STUCKTRACE, "watch", str(target.pid)]))
        terminal.shows("SINCE")
        terminal.keys("C-z")
        terminal.until(lambda screen: "SINCE" not in screen and "shell>" in screen
                       and "topped" in screen)
        with open("/proc/%d/stat" % self.watcher(target.pid)) as file:
            self.assertEqual(file.read().rsplit(")", 1)[1].split()[0], "T")
        terminal.type("fg")
        terminal.shows("SINCE", "q quit")
        terminal.keys("q")
        terminal.until(lambda screen: "SINCE" not in screen and "shell>" in screen)

    def test_no_stop_is_lost_while_it_draws(self):
        target = self.sleeper()
        terminal = self.terminal()
        terminal.type(shlex.join([STUCKTRACE, "watch", str(target.pid)]))
        terminal.shows("SINCE")
        watcher = self.watcher(target.pid)
        for number in range(60):
            # It draws anew, and the second signal comes at one moment of that or another.
            os.kill(watcher, signal.SIGWINCH)
            moment = time.perf_counter() + number * 5e-6
            while time.perf_counter() < moment:
                pass
            os.kill(watcher, signal.SIGTSTP)
            self.assertTrue(wait_until(lambda: {state for state, _ in task_states(watcher).values()}
                                       == {"T"}), number)
            terminal.until(lambda screen: "q quit" not in screen)
            terminal.type("fg")
            terminal.shows("q quit")

    def test_the_end_of_the_target_is_told_and_the_picture_stays(self):
        target = self.sleeper()
        terminal = self.terminal()
        self.watch(terminal, target.pid)
        terminal.shows("sleep 1000")
        os.killpg(target.pid, signal.SIGKILL)
        target.process.wait()
        screen = terminal.shows("ENDED", "have ended")
        self.assertIn("P1", screen)
        terminal.keys("Down")
        terminal.keys("q")
        self.assert_left_clean(terminal, 0)

    def test_an_unreaped_target_has_ended_as_well(self):
        target = self.start(["sh", "-c", "echo ready; exec sleep 1000"])
        terminal = self.terminal()
        self.watch(terminal, "--exit", target.pid)
        terminal.shows("SINCE")
        os.kill(target.pid, signal.SIGKILL)
        terminal.shows("the watched processes have ended")
        self.assert_left_clean(terminal, 0)

    def test_new_and_vanished_processes_are_marked(self):
        target = self.start(["sh", "-c", "echo ready; sleep 1000; sleep 2000; sleep 3000"])
        terminal = self.terminal()
        self.watch(terminal, "--interval", "300ms", target.pid)
        terminal.shows("sleep 1000", "SINCE")
        os.kill(children(target.pid)[0], signal.SIGKILL)
        screen = terminal.until(lambda text: re.search(r"^\+ .*sleep 2000", text, re.MULTILINE)
                                and re.search(r"^- .*sleep 1000 +gone", text, re.MULTILINE))
        self.assertIn(" P3 ", screen)
        terminal.until(lambda text: "gone" not in text and not re.search("^[+]", text, re.MULTILINE))
        terminal.keys("q")
        self.assert_left_clean(terminal, 0)

    def test_pause(self):
        target = self.start(["sh", "-c", "echo ready; sleep 1000; sleep 2000; true"])
        terminal = self.terminal()
        self.watch(terminal, "--interval", "300ms", target.pid)
        terminal.shows("sleep 1000")
        terminal.keys("p")
        terminal.shows("PAUSED")
        os.kill(children(target.pid)[0], signal.SIGKILL)
        self.assertTrue(wait_until(lambda: children(target.pid)))
        terminal.keys("Down")
        self.assertIn("sleep 1000", terminal.shows("PAUSED"))
        terminal.keys("p")
        terminal.shows("sleep 2000")

    def test_colours(self):
        target = self.birth_case()
        for words, environment, colored in (([], {}, True), ([], {"NO_COLOR": "1"}, False),
                                            (["--color=never"], {}, False),
                                            (["--color=always"], {"NO_COLOR": "1"}, True)):
            with self.subTest(words=words, environment=environment):
                terminal = Terminal(self.directory, **environment)
                try:
                    self.watch(terminal, target.pid, *words)
                    terminal.shows("STUCK until")
                    red = re.search(r"\x1b\[[0-9;]*31m", terminal.screen("-e"))
                    self.assertEqual(red is not None, colored)
                finally:
                    terminal.close()

    def test_a_plain_c_locale(self):
        target = self.birth_case()
        terminal = self.terminal(LC_ALL="C")
        self.watch(terminal, target.pid)
        screen = terminal.shows("STUCK until", "QueueFeeder")
        self.assertEqual(screen, screen.encode("ascii", "replace").decode())
        self.assertIn("`-", screen)

    def test_hostile_names(self):
        target = self.start([sys.executable, "-c", HOSTILE])
        terminal = self.terminal()
        self.watch(terminal, target.pid)
        screen = terminal.shows("SINCE", r"a\x1b[7m\xff")
        self.assertIn("q quit", screen)

    def test_several_roots(self):
        first, second = self.sleeper(), self.sleeper()
        terminal = self.terminal()
        self.watch(terminal, first.pid, second.pid)
        terminal.shows("4 processes", "%d " % first.pid, "%d " % second.pid)
        os.killpg(first.pid, signal.SIGKILL)
        first.process.wait()
        terminal.shows("2 processes")
        self.assertNotIn("ENDED", terminal.screen())
        terminal.keys("q")
        self.assert_left_clean(terminal, 0)

    def test_a_terminal_that_cannot_move_its_cursor(self):
        terminal = self.terminal(TERM="dumb")
        terminal.type("%s watch %d; echo status=$?" % (STUCKTRACE, self.sleeper().pid))
        terminal.shows("status=125", "stucktrace explain")


class WithoutATerminal(Case):
    def test_advises_what_works(self):
        with Background(["sleep", "60"]) as target:
            result = stucktrace("watch", target.pid)
            self.assert_one_line_error(result, EXIT_FAILURE, "terminal", "stucktrace explain")

    def test_bad_usage(self):
        self.assert_one_line_error(stucktrace("watch"), EXIT_FAILURE)
        self.assert_one_line_error(stucktrace("watch", "abc"), EXIT_FAILURE, "abc")
        for interval in ("0", "50ms", "often"):
            self.assert_one_line_error(stucktrace("watch", "--interval", interval, os.getpid()),
                                       EXIT_FAILURE, "--interval")


if __name__ == "__main__":
    main()
