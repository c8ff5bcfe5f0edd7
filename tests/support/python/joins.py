# -*- coding: utf-8 -*-
"""Threads that wait for the end of something in every way; the name says what for.

"joins" waits for the thread "idle", a name with a number for the process of that number. Prints "ready" when all are on
their way; the looker waits until they are there. The main thread then leaves, and so waits at exit
for "last", the one thread that is no daemon. Everything ends when standard input does.
Runs on 2.7 and 3.
"""
import multiprocessing
import os
import subprocess
import sys
import threading


def for_ever(*_):
    os.read(0, 1)


def thread(name, target, daemon=True):
    one = threading.Thread(target=target, name=name)
    one.daemon = daemon
    one.start()
    return one


if __name__ == '__main__':
    idle = thread('idle', for_ever)
    thread('last', for_ever, daemon=False)
    thread('joins', idle.join)
    thread('joins with a limit', lambda: idle.join(5000))

    # Not for an end: a lock, an event, a condition of the program's own.
    lock = threading.Lock()
    lock.acquire()
    thread('lock', lock.acquire)
    thread('event', threading.Event().wait)

    if hasattr(multiprocessing, 'get_context'):
        multiprocessing = multiprocessing.get_context('fork')
    child = multiprocessing.Process(target=for_ever, name='worker')
    child.daemon = True
    child.start()
    thread('process %d' % child.pid, child.join)
    thread('process with a limit %d' % child.pid, lambda: child.join(5000))
    cat = subprocess.Popen(['cat'], stdout=subprocess.PIPE)
    thread('popen %d' % cat.pid, cat.wait)
    if sys.version_info >= (3, 3):
        thread('popen with a limit %d' % cat.pid, lambda: cat.wait(5000))
    os.write(1, b'ready\n')
