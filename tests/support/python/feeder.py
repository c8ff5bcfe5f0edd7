"""A child that cannot exit: its queue's feeder thread writes to a pipe that nobody reads.

Prints "child PID", then "ready", and waits for the child.
"""
import multiprocessing
import os


def work(channel):
    channel.put('x' * 300000)


if __name__ == '__main__':
    channel = multiprocessing.Queue()
    child = multiprocessing.Process(target=work, args=(channel,))
    child.start()
    os.write(1, ('child %d\nready\n' % child.pid).encode())
    child.join(500)
