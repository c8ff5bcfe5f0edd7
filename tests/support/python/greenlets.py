# -*- coding: utf-8 -*-
"""Greenlets that are suspended in every way, and where they are by the interpreter's own word.

Prints, for each suspended greenlet, "TYPE FUNCTION:LINE ..." innermost first, then "ready". Others
run, have ended, or have not begun. Ends when its standard input does; prints nothing where there is
no module greenlet, or the interpreter is older than 3.9.
"""
import gc
import os
import sys

try:
    from greenlet import getcurrent, greenlet
except ImportError:
    sys.exit(0)
if sys.version_info < (3, 9):
    sys.exit(0)

hub = None


class Worker(greenlet):
    pass


def pause():
    hub.switch()


def deep(depth):
    if depth:
        return deep(depth - 1)
    pause()


def generated():
    yield 1
    pause()


def through_c():
    # C code between the frames.
    return sorted([1], key=lambda _: list(generated()))


def short():
    return 1


def tell(one):
    frame, line = one.gr_frame, type(one).__name__
    while frame is not None:
        line += ' %s:%d' % (frame.f_code.co_name, frame.f_lineno)
        frame = frame.f_back
    os.write(1, (line + '\n').encode())


def loop(main):
    workers = [kind(target) for target in (pause, lambda: deep(3), through_c, lambda: deep(40))
               for kind in (greenlet, Worker)]
    for one in workers:
        one.switch()
        if one is workers[3]:
            gc.freeze()
        if one is workers[5]:
            gc.collect()
    ended = greenlet(short)
    ended.switch()
    waiting = greenlet(short)
    for one in workers + [main]:
        tell(one)
    os.write(1, b'ready\n')
    os.read(0, 1)
    return waiting


def begin():
    global hub
    hub = greenlet(loop)
    hub.switch(getcurrent())


begin()
