"""Bad input gets one clear line that names the cause, and nothing is left behind."""
import os
import pwd
import signal
import subprocess

from harness import (EXIT_CANNOT_RUN, EXIT_FAILURE, EXIT_NOT_FOUND, STUCKTRACE, Background,
                     Case, main, status_field, stucktrace, wait_until)

SLEEPER = "sleep"


def gone_pid():
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


class Errors(Case):
    def test_no_such_pid(self):
        pid = gone_pid()
        for command in ("attach", "explain", "watch"):
            self.assert_one_line_error(stucktrace(command, pid), EXIT_FAILURE, str(pid))

    def test_words_that_are_no_pid(self):
        for word in ("abc", "-5", "0", "99999999999999999999", "1.5"):
            result = stucktrace("explain", "--", word)
            self.assert_one_line_error(result, EXIT_FAILURE)

    def test_an_empty_value_is_no_value(self):
        """A variable that was not set would switch a limit off."""
        for option in ("--deadline", "--idle", "--grace", "--stuck-after", "--settle", "-e", "-o",
                       "--junit", "--baseline", "--assert"):
            with self.subTest(option=option):
                self.assert_one_line_error(stucktrace("run", option, "", "--", "true"),
                                           EXIT_FAILURE, option)
        for words in (("attach", "--for", "", "1"), ("explain", "--timeout", "", "1"),
                      ("watch", "--interval", "", "1")):
            self.assert_one_line_error(stucktrace(*words), EXIT_FAILURE, words[1])
        # A command's own words may be empty.
        self.assertEqual(stucktrace("run", "-q", "true", "").returncode, 0)

    def test_a_kernel_thread(self):
        if not os.path.exists("/proc/2/task"):
            self.skipTest("kthreadd is not visible in this pid namespace")
        self.assert_one_line_error(stucktrace("attach", 2), EXIT_FAILURE, "kernel thread")

    def test_a_zombie(self):
        child = subprocess.Popen(["true"])
        try:
            self.assertTrue(wait_until(lambda: status_field(child.pid, "State").startswith("Z")))
            self.assert_one_line_error(stucktrace("attach", child.pid), EXIT_FAILURE, "has ended")
        finally:
            child.wait()

    def test_an_ancestor(self):
        self.assert_one_line_error(stucktrace("attach", os.getpid()), EXIT_FAILURE, "ancestor")

    def test_already_traced_names_the_tracer(self):
        with Background([SLEEPER, "60"]) as target:
            with Background([STUCKTRACE, "attach", target.pid], stderr=subprocess.DEVNULL) as first:
                self.assertTrue(wait_until(
                    lambda: status_field(target.pid, "TracerPid") == str(first.pid)))
                result = stucktrace("attach", target.pid)
                self.assert_one_line_error(result, EXIT_FAILURE, str(first.pid))
                os.kill(first.pid, signal.SIGINT)
                first.process.wait(20)
            self.assertEqual(status_field(target.pid, "TracerPid"), "0")
            self.assertTrue(status_field(target.pid, "State").startswith("S"))

    def test_another_users_process(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become somebody else")
        nobody = pwd.getpwnam("nobody")

        def become():
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
        with Background([SLEEPER, "60"]) as target:
            probe = subprocess.run([STUCKTRACE, "--version"], preexec_fn=become,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if probe.returncode != 0:
                self.skipTest("the build tree is not readable for other users")
            result = stucktrace("attach", target.pid, preexec_fn=become)
            self.assert_one_line_error(result, EXIT_FAILURE, "user")

    def test_missing_and_unexecutable_commands(self):
        self.assert_one_line_error(stucktrace("run", "--", "/no/such/program"), EXIT_NOT_FOUND)
        self.assert_one_line_error(stucktrace("run", "--", "no-such-program"), EXIT_NOT_FOUND)
        plain = self.path("plain")
        with open(plain, "w") as file:
            file.write("text\n")
        self.assert_one_line_error(stucktrace("run", "--", plain), EXIT_CANNOT_RUN, "Permission")
        self.assert_one_line_error(stucktrace("run", "--", self.directory), EXIT_CANNOT_RUN)
        self.assert_one_line_error(stucktrace("run"), EXIT_FAILURE, "no command")

    def test_a_script_without_an_interpreter_line_runs_by_sh(self):
        script = self.path("script")
        with open(script, "w") as file:
            file.write("echo from sh; exit 3\n")
        os.chmod(script, 0o755)
        result = stucktrace("run", "-q", "--", script)
        self.assertEqual((result.returncode, result.stdout), (3, "from sh\n"), result.stderr)

    def test_a_damaged_executable_cannot_be_run(self):
        broken = self.path("broken")
        with open(broken, "wb") as file:
            file.write(b"\x7fELF" + b"\0" * 100)
        os.chmod(broken, 0o755)
        result = stucktrace("run", "-q", "--", broken)
        self.assertIn(result.returncode, (EXIT_CANNOT_RUN, EXIT_NOT_FOUND), result.stderr)

    def test_unwritable_output(self):
        for option in ("-o", "--json="):
            words = [option, "/no/such/dir/file"] if option == "-o" else [option + "/no/such/dir/f"]
            result = stucktrace("run", *words, "--", "true")
            self.assert_one_line_error(result, EXIT_FAILURE, "/no/such/dir")

    def test_a_full_disk_spares_the_command(self):
        result = stucktrace("run", "-o", "/dev/full", "--", "sh", "-c", "echo fine")
        self.assertIn("No space left", result.stderr)
        self.assertIn(result.returncode, (0, EXIT_FAILURE))

    def test_closed_stdout(self):
        with open("/dev/full", "w") as full:
            result = stucktrace("syscalls", stdout=full)
        self.assert_one_line_error(result, EXIT_FAILURE, "stdout")
        read_end, write_end = os.pipe()
        os.close(read_end)
        try:
            result = stucktrace("syscalls", stdout=write_end)
        finally:
            os.close(write_end)
        self.assert_one_line_error(result, EXIT_FAILURE, "stdout")

    def test_closed_descriptors_are_no_place_for_files(self):
        junit = self.path("junit.xml")
        closed = subprocess.run(
            ["sh", "-c", 'exec "$0" run --junit "$1" --json -- true <&- >&- 2>&-', STUCKTRACE, junit],
            timeout=60)
        self.assertEqual(closed.returncode, EXIT_FAILURE)  # the report could not be written
        with open(junit) as file:
            text = file.read()
        self.assertTrue(text.startswith("<?xml"), text)
        self.assertTrue(text.rstrip().endswith(">"), text)
        self.assertNotIn('{"schema', text)

    def test_foreign_and_missing_recordings(self):
        foreign = self.path("foreign")
        with open(foreign, "wb") as file:
            file.write(b"#!/bin/sh\necho hello\n" * 20)
        for command in (["replay", foreign], ["compare", foreign, foreign]):
            self.assert_one_line_error(stucktrace(*command), EXIT_FAILURE, "not a stucktrace")
        self.assert_one_line_error(stucktrace("replay", "/no/such.rec"), EXIT_FAILURE, "/no/such")
        self.assert_one_line_error(stucktrace("replay", self.directory), EXIT_FAILURE)
        empty = self.path("empty")
        open(empty, "w").close()
        self.assert_one_line_error(stucktrace("replay", empty), EXIT_FAILURE, "empty")

    def test_bad_options(self):
        for words in (["run", "--stuck-after", "soon", "--", "true"],
                      ["run", "-e", "trace=raed", "--", "true"],
                      ["run", "--announce", "(", "--", "true"],
                      ["run", "--attach-mode", "politely", "--", "true"],
                      ["attach", "--for", "x", "1"],
                      ["frobnicate"], []):
            self.assert_one_line_error(stucktrace(*words), EXIT_FAILURE)
        self.assertIn("read", stucktrace("run", "-e", "trace=raed", "--", "true").stderr)


class Statuses(Case):
    def test_the_commands_own_status(self):
        for status in (0, 1, 42, 255):
            result = stucktrace("run", "-q", "--", "sh", "-c", "exit %d" % status)
            self.assertEqual(result.returncode, status)
            self.assertEqual(result.stderr, "")

    def test_death_by_signal(self):
        result = stucktrace("run", "-q", "--", "sh", "-c", "kill -TERM $$")
        self.assertEqual(result.returncode, 128 + signal.SIGTERM)

    def test_own_options_end_at_the_command(self):
        result = stucktrace("run", "-q", "echo", "-q", "--json", "--", "-o")
        self.assertEqual(result.stdout, "-q --json -- -o\n")

    def test_sigpipe_is_as_it_was(self):
        result = stucktrace("run", "-q", "--", "sh", "-c", "yes | head -1")
        self.assertEqual((result.returncode, result.stdout), (0, "y\n"))

    def test_help_and_version(self):
        self.assertEqual(stucktrace("--version").returncode, 0)
        for command in ("run", "attach", "explain", "watch", "demo", "replay", "compare", "syscalls",
                        "doctor"):
            result = stucktrace(command, "--help")
            self.assertEqual(result.returncode, 0, command)
            self.assertIn(command, result.stdout)


if __name__ == "__main__":
    main()
