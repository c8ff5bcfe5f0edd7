"""Stacks of programs whose code or tables are not those of C: seen from outside, nothing stopped."""
import os
import shutil
import subprocess

from harness import PATIENCE, Background, Case, children, main, stucktrace, task_states, wait_until

GO = """
package main

import "os/exec"

func inner() { exec.Command("sleep", "1000").Run() }
func main()  { inner() }
"""

NODE = """
function innerWait() { require('child_process').spawnSync('sleep', ['1000']); }
function outer() { innerWait(); }
outer();
"""


# Waits for somebody to write to a FIFO.
JAVA = """
public class Waits {
  static void innerWait(String path) throws Exception { new java.io.FileInputStream(path).close(); }
  static void outerWait(String path) throws Exception { innerWait(path); }
  public static void main(String[] words) throws Exception { outerWait(words[0]); }
}
"""


class Runtimes(Case):
    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text.lstrip())
        return self.path(name)

    def stacks_of(self, *words):
        with Background(words, cwd=self.directory) as target:
            self.assertTrue(wait_until(lambda: children(target.pid)))
            seen = []

            def both():
                seen[:] = [stucktrace("explain", "--stacks", target.pid).stdout]
                return all(frame in seen[0] for frame in self.frames)
            self.assertTrue(wait_until(both), seen[0])
            self.assertEqual({tracer for _, tracer in task_states(target.pid).values()}, {"0"})
            return seen[0].split("\nStacks\n")[1]

    def test_go_stripped_or_not(self):
        if not shutil.which("go"):
            self.skipTest("no go here")
        self.write("main.go", GO)
        self.write("go.mod", "module waits\n\ngo 1.18\n")
        self.frames = ["at main.inner ", "at main.main ", "at runtime.goexit "]
        for flags in ("", "-s -w"):
            with self.subTest(flags):
                subprocess.run(["go", "build", "-ldflags", flags, "-o", "waits", "."], check=True,
                               cwd=self.directory, timeout=300,
                               env=dict(os.environ, GOCACHE=self.path("cache"), GOFLAGS="-mod=mod"))
                stacks = self.stacks_of(self.path("waits"))
                self.assertRegex(stacks, r"at main\.inner \S*main\.go:5")
                self.assertIn("at os/exec.(*Cmd).Wait ", stacks)
                self.assertIn("at runtime.futex ", stacks)
                main_thread = stacks.split("thread:")[1]
                self.assertNotIn("ends early", main_thread.split("  P")[0])

    def test_javascript_by_the_map_for_perf(self):
        if not shutil.which("node"):
            self.skipTest("no node here")
        script = self.write("waits.js", NODE)
        self.frames = ["innerWait"]
        stacks = self.stacks_of("node", "--perf-basic-prof", "--interpreted-frames-native-stack", script)
        self.assertRegex(stacks, r"innerWait \S*waits\.js:1")
        self.assertRegex(stacks, r"outer \S*waits\.js:2|Builtins_InterpreterEntryTrampoline")

    def test_java_by_the_map_for_perf(self):
        for tool in ("java", "javac", "jcmd"):
            if not shutil.which(tool):
                self.skipTest("no %s here" % tool)
        self.write("Waits.java", JAVA)
        subprocess.run(["javac", "Waits.java"], check=True, cwd=self.directory, timeout=300)
        os.mkfifo(self.path("fifo"))
        frames = ["FileInputStream.open0(", "Waits.innerWait(", "Waits.outerWait(", "Waits.main("]
        words = ["java", "-Xmx64m", "-Xcomp", "-XX:TieredStopAtLevel=1", "-XX:+PreserveFramePointer",
                 "-XX:CompileCommand=dontinline,Waits.*", "-cp", ".", "Waits", "fifo"]
        with Background(words, cwd=self.directory) as target:
            seen = []

            def all_frames():
                # Till the machine is there to answer, and has compiled them.
                subprocess.run(["jcmd", str(target.pid), "Compiler.perfmap"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, timeout=PATIENCE)
                seen[:] = [stucktrace("explain", "--stacks", target.pid).stdout]
                return all(frame in seen[0] for frame in frames)
            try:
                self.assertTrue(wait_until(all_frames), seen)
            finally:
                if os.path.exists("/tmp/perf-%d.map" % target.pid):
                    os.unlink("/tmp/perf-%d.map" % target.pid)
            places = [seen[0].index(frame) for frame in frames]
            self.assertEqual(places, sorted(places), seen[0])
            self.assertEqual({tracer for _, tracer in task_states(target.pid).values()}, {"0"})


if __name__ == "__main__":
    main()
