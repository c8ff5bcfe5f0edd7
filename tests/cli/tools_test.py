"""Everyday programs run the same traced and untraced: same output, same exit status.

What is compared is written so that it prints nothing that differs from run to run by itself. A
program that is not installed is skipped by name.
"""
import contextlib
import glob
import os
import shutil
import subprocess
import textwrap

from harness import (STUCKTRACE, Background, Case, main, status_field, stucktrace, wait_until)

LIMIT = 60.0
FIXED_TIME = "2020-01-02T03:04:05 +0000"


class Tools(Case):
    def environment(self):
        return dict(os.environ, LC_ALL="C", HOME=self.directory, TZ="UTC", GIT_CONFIG_NOSYSTEM="1",
                    GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a",
                    GIT_COMMITTER_EMAIL="a@b", GIT_AUTHOR_DATE=FIXED_TIME,
                    GIT_COMMITTER_DATE=FIXED_TIME)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(textwrap.dedent(text).lstrip())
        return self.path(name)

    def need(self, *programs):
        for program in programs:
            if not shutil.which(program):
                self.skipTest("no %s here" % program)

    def run_in(self, place, words):
        """stdout, stderr and status of a run in an empty directory of its own."""
        directory = self.path(place)
        os.mkdir(directory)
        os.chmod(self.directory, 0o755)
        done = subprocess.run([str(word) for word in words], cwd=directory,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=LIMIT, encoding="utf-8",
                              env=self.environment())
        shutil.rmtree(directory)
        return done

    def attached_run_in(self, place, words, mode):
        """The same of a process that is attached to before it becomes the program."""
        directory = self.path(place)
        os.mkdir(directory)
        files = [open(self.path(name), "w+", encoding="utf-8") for name in ("stdout", "stderr")]
        with contextlib.ExitStack() as stack:
            for file in files:
                stack.enter_context(file)
            # Its stdin has ended by then, as in the other runs.
            program = subprocess.Popen(
                ["sh", "-c", 'read line; exec "$@"', "sh"] + [str(word) for word in words],
                cwd=directory, stdin=subprocess.PIPE, stdout=files[0], stderr=files[1],
                env=self.environment())
            stack.callback(program.kill)
            tool = stack.enter_context(
                Background([STUCKTRACE, "attach", "-q", "--attach-mode", mode, program.pid],
                           stderr=subprocess.PIPE))
            self.assertTrue(wait_until(
                lambda: status_field(program.pid, "TracerPid") not in ("", "0")
                or tool.process.poll() is not None))
            program.stdin.close()
            status = program.wait(LIMIT)
            told = tool.process.communicate(timeout=LIMIT)[1]
            self.assertEqual((tool.process.returncode, told), (0, ""))
            texts = []
            for file in files:
                file.seek(0)
                texts.append(file.read())
        shutil.rmtree(directory)
        return subprocess.CompletedProcess(words, status, *texts)

    def same(self, *words, contains=None, modes=("seize", "attach"), more=()):
        native = self.run_in("run", words)
        if contains is not None:
            self.assertIn(contains, native.stdout, native.stderr)
        expected = (native.stdout, native.stderr, native.returncode)
        for mode in modes:
            traced = self.run_in("run", [STUCKTRACE, "run", "-q", "--attach-mode", mode]
                                 + list(more) + ["--"] + list(words))
            self.assertEqual((traced.stdout, traced.stderr, traced.returncode), expected, mode)
            attached = self.attached_run_in("run", words, mode)
            self.assertEqual((attached.stdout, attached.stderr, attached.returncode), expected,
                             "attached to by " + mode)

    def shell(self, shell):
        self.need(shell)
        self.same(shell, self.write("script", r"""
            trap 'echo trapped USR1' USR1
            kill -USR1 $$
            seq 1 1000 | sort -rn | head -3
            (exit 7); echo "status $?"
            sh -c 'kill -TERM $$'; echo "status $?"
            cat <<END | tr a-z A-Z
            here is a document of $(echo many | wc -c) characters
            END
            for i in 1 2 3 4 5; do (sleep 0.0$i; exit $i) & done
            wait; echo "waited $?"
            false | true; echo "pipe $?"
            x=$(yes | head -c 100000 | wc -c); echo "yes $x"
            exec 3>file; echo text >&3; exec 3>&-; cat file
            trap 'echo at the end' EXIT
            exit 9
            """), contains="at the end")

    def test_sh(self):
        self.shell("sh")

    def test_bash(self):
        self.shell("bash")

    def test_zsh(self):
        self.shell("zsh")

    def test_job_control(self):
        self.need("bash")
        # /proc calls the stop of a traced process t, that of another T: the kernel's doing.
        self.same("bash", self.write("script", r"""
            set -m
            sleep 100 & job=$!
            state() { sed -n 's/^State:\t\(.\).*/\1/p' /proc/$job/status | tr t T; }
            until [ "$(state)" = S ]; do :; done
            kill -STOP $job; until [ "$(state)" = T ]; do :; done
            echo "stopped"; jobs | sed 's/ *sleep.*//'
            kill -CONT $job; until [ "$(state)" = S ]; do :; done
            echo "goes on"
            kill -TSTP $job; until [ "$(state)" = T ]; do :; done
            bg %1 >/dev/null; until [ "$(state)" = S ]; do :; done
            kill %1; wait %1; echo "status $?"
            sh -c 'kill -STOP $$; exit 4' & job=$!
            until [ "$(state)" = T ]; do :; done
            fg %1 >/dev/null; echo "status $?"
            """), contains="status 143")

    def test_make_and_gcc(self):
        self.need("make", "gcc")
        source = self.write("program.c", """
            #include <stdio.h>
            int main(int n, char** v) { printf("%s %d\\n", "built", n); return 3; }
            """)
        makefile = self.write("Makefile", """
            all: one two three
            \t./one; test $$? = 3
            \t-./two a b
            one two three: %%: %s
            \tgcc -Wall -O1 -o $@ $<
            broken:
            \tgcc -c /nonexistent.c
            """ % source)
        self.same("make", "-s", "-j4", "-f", makefile, "all", contains="built 3")
        self.same("make", "-s", "-f", makefile, "broken")

    def test_git(self):
        self.need("git")
        self.same("sh", self.write("script", """
            git init -q -b main there && cd there || exit 1
            for i in 1 2 3; do seq $i 100 >file$i; git add file$i; git commit -q -m "number $i"; done
            git checkout -q -b other HEAD~1; seq 5 >new; git add new; git commit -q -m other
            git merge -q -m merged main; git log --stat --format='%H %s'
            git gc -q; git fsck --no-progress; git count-objects
            git clone -q . ../copy; git -C ../copy diff HEAD~1 --shortstat; git grep -c 1
            git show nothing
            """), contains="number 3")

    def test_python(self):
        self.same("python3", self.write("script.py", """
            import asyncio, multiprocessing, os, signal, subprocess, sys, threading

            def square(x):
                return x * x

            async def echo():
                process = await asyncio.create_subprocess_exec(
                    'cat', stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
                return (await process.communicate(b'through cat'))[0]

            if __name__ == '__main__':
                with multiprocessing.Pool(3) as pool:
                    print(sum(pool.map(square, range(1000))))
                found = []
                threads = [threading.Thread(target=found.append, args=(i,)) for i in range(50)]
                [t.start() for t in threads]; [t.join() for t in threads]
                print(sorted(found) == list(range(50)))
                print(asyncio.run(echo()))
                signal.signal(signal.SIGALRM, lambda *_: print('alarm'))
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                signal.pause()
                print(subprocess.run(['sh', '-c', 'kill -9 $$']).returncode)
                pid = os.fork()
                if pid == 0:
                    os._exit(42)
                print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                sys.exit('the end')
            """), contains="through cat")

    def test_node(self):
        self.need("node")
        self.same("node", self.write("script.js", """
            const { execFileSync, spawn } = require('child_process');
            const { Worker, isMainThread, parentPort } = require('worker_threads');
            if (!isMainThread) { parentPort.postMessage(6 * 7); return; }
            console.log(execFileSync('sh', ['-c', 'echo from a child']).toString().trim());
            new Worker(__filename).on('message', answer => {
              console.log('worker', answer);
              const child = spawn('sleep', ['100']);
              child.on('exit', (code, signal) => { console.log(code, signal); process.exit(5); });
              child.kill('SIGTERM');
            });
            """), contains="worker 42")

    def test_java(self):
        self.need("java")
        # A JVM takes a while under a tracer: once is enough.
        self.same("java", self.write("Main.java", """
            import java.util.concurrent.*;
            public class Main {
              public static void main(String[] arguments) throws Exception {
                ExecutorService pool = Executors.newFixedThreadPool(8);
                int sum = 0;
                var all = new java.util.ArrayList<Future<Integer>>();
                for (int i = 0; i < 100; i++) { final int x = i; all.add(pool.submit(() -> x * x)); }
                for (var one : all) sum += one.get();
                pool.shutdown();
                System.out.println("sum " + sum);
                try { Object none = null; none.hashCode(); } catch (NullPointerException e) {
                  System.out.println("null caught");  // by SIGSEGV
                }
                Process child = new ProcessBuilder("sh", "-c", "echo child; exit 3").start();
                System.out.println(new String(child.getInputStream().readAllBytes()).trim()
                                   + " " + child.waitFor());
                System.gc();
                System.exit(4);
              }
            }
            """), contains="sum 328350", modes=("seize",))

    def test_redis(self):
        self.need("redis-server", "redis-cli")
        self.same("sh", self.write("script", """
            redis-server --port 0 --unixsocket $PWD/socket --dir $PWD --save '' >log 2>&1 & server=$!
            ask() { redis-cli -s $PWD/socket "$@"; }
            until ask ping >/dev/null 2>&1; do :; done
            i=0; while [ $i -lt 20 ]; do ask set key$i value$i >/dev/null; i=$((i+1)); done
            ask eval 'for i=1,1000 do redis.call("rpush","list",i) end return 1' 0
            ask llen list; ask get key7; ask bgsave
            until [ "$(ask info persistence | tr -d '\\r' | grep rdb_bgsave_in_progress)" = \
rdb_bgsave_in_progress:0 ]; do :; done
            ask info persistence | tr -d '\\r' | grep rdb_last_bgsave_status; ask dbsize
            (ask blpop queue 10; echo popped) & ask rpush queue element >/dev/null; wait $!
            ask shutdown nosave; wait $server; echo "status $?"; ls dump.rdb
            """), contains="dump.rdb")

    def test_postgres(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        if not found:
            self.skipTest("no PostgreSQL here")
        script = self.write("script", """
            PATH=%s:$PATH
            initdb -D data -A trust -N --no-locale -U me >/dev/null || exit 1
            pg_ctl -D data -w -l log -o "-F -k $PWD -c listen_addresses=" start >/dev/null
            ask() { psql -h $PWD -U me -d postgres -At "$@"; }
            ask -c 'create table t (n int primary key, s text)' \
                -c "insert into t select g, md5(g::text) from generate_series(1, 20000) g"
            ask -c 'select count(*), max(s) from t where n %% 7 = 3' -c 'select pg_sleep(0.1)' \
                -c 'set max_parallel_workers_per_gather = 2' -c 'select 1/0' \
                -c 'set statement_timeout = 50; select pg_sleep(100)'
            ask -c 'begin; lock t; select pg_sleep(0.3); commit' >other &
            ask -c 'vacuum t' -c 'checkpoint' -c 'select count(*) from t'; wait $!; cat other
            pg_ctl -D data -m fast -w stop >/dev/null; echo "status $?"
            pg_controldata data | grep 'cluster state'
            """ % os.path.dirname(found[-1]))
        words = ["sh", script]
        if os.geteuid() == 0:
            self.need("runuser")
            # The server refuses to be root.
            words = ["runuser", "-u", "nobody", "--", "sh", "-c",
                     'd=$(mktemp -d) && cd $d && sh "$0"; s=$?; rm -r $d; exit $s', script]
        self.same(*words, contains="shut down", modes=("seize",))

    def untouched(self):
        """Without the filter that would be visible to the program itself, where there is one."""
        text = stucktrace("run", "--help").stdout
        return ["--no-seccomp"] if "--no-seccomp" in text else []

    def test_strace_as_a_tracee(self):
        self.need("strace")
        self.same("strace", "-f", "-e", "trace=getpgid,exit_group", "-e", "signal=none",
                  "sh", "-c", "exit 3", more=self.untouched())

    def test_gdb_as_a_tracee(self):
        self.need("gdb")
        # The pid is the one thing that differs.
        self.same("sh", "-c", "gdb -nx -batch -ex starti -ex 'print $_siginfo.si_signo' -ex continue "
                  "-ex 'print $_exitcode' --args sh -c 'exit 6' 2>/dev/null | "
                  "sed -n 's/process [0-9]*/process/; /^[[$]/p'",
                  contains="= 6", more=self.untouched())


if __name__ == "__main__":
    main()
