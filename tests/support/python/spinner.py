"""A thread that never rests: it runs through short calls while the main thread waits.

Prints "ready". The only legal stacks of the thread are prefixes of spin > first > second > third.
"""
import os
import threading


def third(value):
    return value + 1


def second(value):
    return third(value) + third(value)


def first(value):
    return second(value) - second(value)


def spin():
    value = 0
    while True:
        value = first(value)


worker = threading.Thread(target=spin, name='spinner')
worker.daemon = True
worker.start()
os.write(1, b'ready\n')
os.read(0, 1)
