# -*- coding: utf-8 -*-
"""Threads that hold and want locks in every way; the thread's name says what is true of it.

"X-waiter" waits for the lock that "X-holder" holds. Prints "ready" when every thread is past its
last step before the wait it stays in. Ends when its standard input does. Runs on 2.7 and 3.
"""
import multiprocessing
import os
import threading

started = []


def thread(name, target):
    """Starts it and waits until it is about to block."""
    there = threading.Event()
    one = threading.Thread(target=target, args=(there.set,), name=name)
    one.daemon = True
    one.start()
    there.wait()
    started.append(one)
    return one


def for_ever():
    os.read(0, 1)


def block(there):
    there()
    for_ever()


def wait_for(lock):
    def run(there):
        there()
        with lock:
            pass
    return run


def hold(lock):
    def run(there):
        with lock:
            there()
            for_ever()
    return run


def hold_outside(lock):
    """The block is open in a frame further out, beside another that is closed again."""
    other = threading.Lock()

    def run(there):
        with other:
            pass
        try:
            with lock:
                with other:
                    pass
                value = [block(there)]
        finally:
            value = None
        return value
    return run


def hold_and_join(lock, joined):
    def run(there):
        with lock:
            there()
            joined.join()
    return run


def hold_by_call(lock):
    def run(there):
        lock.acquire()
        there()
        for_ever()
    return run


def cross(first, second, go):
    def run(there):
        with first:
            there()
            go.wait()
            with second:
                pass
    return run


def condition_wait(condition):
    def run(there):
        with condition:
            there()
            condition.wait()
    return run


def released_inside(lock):
    def run(there):
        with lock:
            lock.release()
            there()
            for_ever()
    return run


def take_twice(there):
    lock = threading.Lock()
    lock.acquire()
    there()
    lock.acquire()


def queue_wait(there):
    try:
        import queue
        get = queue.SimpleQueue().get
    except (ImportError, AttributeError):
        get = threading.Event().wait
    there()
    get()


def event_wait(there):
    event = threading.Event()
    there()
    event.wait()


def pair(name, lock, holder=hold):
    thread(name + '-holder', holder(lock))
    thread(name + '-waiter', wait_for(lock))


def main():
    idle = thread('idle', block)
    pair('plain', threading.Lock())
    pair('outer', threading.Lock(), hold_outside)
    pair('recursive', threading.RLock(), hold_by_call)
    pair('nested', threading.RLock())
    pair('shared', multiprocessing.Lock())
    pair('condition', threading.Condition())
    pair('joining', threading.Lock(), lambda lock: hold_and_join(lock, idle))
    pair('called', threading.Lock(), hold_by_call)

    go, left, right = threading.Event(), threading.Lock(), threading.Lock()
    thread('left', cross(left, right, go))
    thread('right', cross(right, left, go))
    go.set()

    # Open blocks that do not hold their lock any more: somebody else took it.
    lock = threading.Lock()
    thread('sleeper', condition_wait(threading.Condition(lock)))
    lock.acquire()
    thread('sleeper-waiter', wait_for(lock))
    given = threading.Lock()
    thread('giver', released_inside(given))
    given.acquire()
    thread('giver-waiter', wait_for(given))

    thread('alone', take_twice)
    thread('queue', queue_wait)
    thread('event', event_wait)
    os.write(1, b'ready\n')
    for_ever()


main()
