# -*- coding: utf-8 -*-
"""Blocks several threads in known places and says where they are.

Prints, for each thread: "thread IDENT TID NAME", its frames innermost first as
"frame LINE FUNCTION FILE", then "ready". Ends when its standard input does. Runs on 2.7 and 3.
"""
import ctypes
import os
import sys
import threading
import traceback

try:
    import queue
except ImportError:
    import Queue as queue

NAMES = ['lock-waiter', 'pipe-reader', 'deep', 'callback', 'generated', 'timed']
if sys.version_info[0] >= 3:
    # One name for each width in which a str is kept.
    NAMES[1:4] = [u'Z\u00e4hler', u'\u043d\u0438\u0442\u044c', u'spool \U0001f9f5']

lock = threading.Lock()
lock.acquire()
tids = {}


def native_id():
    return ctypes.CDLL(None).syscall(186)  # gettid


def out(*words):
    line = u' '.join(w if isinstance(w, type(u'')) else str(w) for w in words) + u'\n'
    os.write(1, line.encode('utf-8'))


def entered():
    tids[threading.current_thread().ident] = native_id()


class Waiter(object):
    def descend(self, depth):
        if depth:
            return self.descend(
                depth - 1)
        try:
            for _ in [1]:
                value = (lambda one: (
                    one.acquire()))(lock)
        finally:
            value = None
        return value


def wait_for_lock():
    entered()
    Waiter().descend(3)


def wait_for_pipe():
    entered()
    (end, _keep) = os.pipe()
    tids['keep', end] = _keep
    os.read(end, 1)


def recurse(depth):
    if depth == 0:
        lock.acquire()
    else:
        recurse(depth - 1)


def wait_deep():
    entered()
    recurse(700)


def items():
    yield 1
    lock.acquire()
    yield 2


def wait_in_callback():
    entered()
    # Through C code twice: a sort key, and a generator driven by a constructor.
    sorted([1], key=lambda _: list(items()))


# A long function with long gaps between its lines, so that its line table needs long steps.
source = ['def generated(lock):']
for number in range(300):
    source.append('    v%d = %d + len("x" * %d)' % (number, number, number))
    if number % 60 == 0:
        source.extend([''] * 200)
source.extend(['    lock.acquire(', '', '    )', ''])
space = {}
exec(compile('\n'.join(source), '<generated>', 'exec'), space)


def wait_generated():
    entered()
    space['generated'](lock)


def wait_timed():
    entered()
    queue.Queue().get(timeout=1000)


def blocked(frame):
    """Whether a thread is at the call that blocks it (its line no longer changes)."""
    function = frame.f_code.co_name
    steps = {'recurse': 2, 'items': 2, '<lambda>': 1, 'wait_for_pipe': 4}
    line = frame.f_lineno - frame.f_code.co_firstlineno
    if function == 'generated':
        return line >= 1300
    return line == steps[function] if function in steps else function == 'wait'


def main():
    targets = [wait_for_lock, wait_for_pipe, wait_deep, wait_in_callback, wait_generated,
               wait_timed]
    threads = []
    for name, target in zip(NAMES, targets):
        thread = threading.Thread(target=target, name=name)
        thread.daemon = True
        thread.start()
        threads.append(thread)
    while True:
        frames = sys._current_frames()
        if all(t.ident in frames and blocked(frames[t.ident]) for t in threads):
            break
    for thread in threads:
        out('thread', thread.ident, tids[thread.ident], thread.name)
        tell(frames[thread.ident])
    out('thread', threading.current_thread().ident, native_id(), 'MainThread')
    here = sys._getframe()
    out('frame', here.f_lineno + 3, 'main', here.f_code.co_filename)
    tell(here.f_back)
    out('ready')
    os.read(0, 1)


def tell(frame):
    for entry in reversed(traceback.extract_stack(frame)):
        out('frame', entry[1], entry[2], entry[0])


main()
