#!/usr/bin/env python3
"""Join a process before draining its queue: a hang that only the join's time-out breaks.

usage: queue_join_hang.py [BYTES [JOIN_SECONDS]]

P starts S. S runs a shell command that prints BYTES bytes, puts them on a multiprocessing.Queue,
says goodbye and returns. P waits JOIN_SECONDS for S, then takes the bytes, then waits for S again.
Queue.put only hands the object to a hidden feeder thread. When the object does not fit into the
pipe behind the queue, that thread cannot finish before P reads, and S cannot exit before the thread
has finished. Up to the pipe's capacity (65536 bytes) it never hangs; above, it always does.

Runs unchanged under Python 2.7 and 3.
"""

from __future__ import print_function

import multiprocessing
import os
import subprocess
import sys


def say(text):
    """A line that leaves the process now, also when stdout is a pipe."""
    print(text)
    sys.stdout.flush()


def find_shell():
    for name in ("zsh", "sh"):
        for directory in os.environ.get("PATH", "/usr/bin:/bin").split(os.pathsep):
            path = os.path.join(directory, name)
            if os.access(path, os.X_OK):
                return path
    return "/bin/sh"


def produce(queue, size):
    """What S does: run a command, hand over its output, say goodbye, return."""
    command = "head -c %d /dev/zero | tr '\\0' x" % size
    shell = subprocess.Popen([find_shell(), "-c", command], stdout=subprocess.PIPE)
    output = shell.communicate()[0]
    queue.put(output)
    say("All done! Goodbye!")


def fork_context():
    """The start method of the story is fork; later Pythons have to be asked for it."""
    if hasattr(multiprocessing, "get_context"):
        return multiprocessing.get_context("fork")
    return multiprocessing


def main(arguments):
    try:
        size = int(arguments[0]) if arguments else 200000
        patience = float(arguments[1]) if len(arguments) > 1 else 5.0
    except ValueError:
        size = patience = -1
    if size < 0 or patience < 0 or len(arguments) > 2:
        sys.stderr.write(__doc__.split("\n\n")[1] + "\n")
        return 2

    context = fork_context()
    queue = context.Queue()
    process = context.Process(target=produce, args=(queue, size))
    process.start()

    process.join(patience)
    if process.is_alive():
        say("S is still running after %g s, although it said goodbye" % patience)
    else:
        say("S has ended")
    output = queue.get()
    say("got %d bytes" % len(output))
    process.join()
    say("S ended with status %d" % process.exitcode)
    return 0 if len(output) == size and process.exitcode == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
