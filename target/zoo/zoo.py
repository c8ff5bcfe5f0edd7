"""usage: zoo.py BEHAVIOUR

Hangs and healthy look-alikes of Python programs; runs under 2.7 and 3.
"""

import multiprocessing
import os
import subprocess
import sys
import threading
import time

TOO_MUCH = 1 << 20


def ready():
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def put(queue, size):
    queue.put(b"x" * size)
    sys.stdout.write("All done! Goodbye!\n")
    sys.stdout.flush()


def join_before_drain():
    queue = multiprocessing.Queue()
    worker = multiprocessing.Process(target=put, args=(queue, TOO_MUCH))
    ready()
    worker.start()
    worker.join()
    queue.get()


def get_from_the_dead():
    queue = multiprocessing.Queue()
    worker = multiprocessing.Process(target=os.getpid)
    worker.start()
    worker.join()
    ready()
    queue.get()


def popen_wait():
    child = subprocess.Popen(["head", "-c", str(TOO_MUCH), "/dev/zero"], stdout=subprocess.PIPE)
    ready()
    child.wait()


def popen_stdin_left_open():
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    ready()
    child.wait()


def lock_twice():
    lock = threading.Lock()
    lock.acquire()
    ready()
    lock.acquire()


def lock_abba():
    locks = [threading.Lock(), threading.Lock()]
    met = [threading.Event(), threading.Event()]

    def take(first):
        with locks[first]:
            met[first].set()
            met[1 - first].wait()
            with locks[1 - first]:
                pass

    threads = [threading.Thread(target=take, args=(at,)) for at in (0, 1)]
    for thread in threads:
        thread.start()
    ready()
    for thread in threads:
        thread.join()


def thread_at_exit():
    """The interpreter joins a thread that waits for work nobody will give it."""
    thread = threading.Thread(target=threading.Event().wait)
    thread.start()
    ready()


def nested_future():
    from concurrent.futures import ThreadPoolExecutor
    pool = ThreadPoolExecutor(1)
    outer = pool.submit(lambda: pool.submit(int).result())
    ready()
    outer.result()


def fork_under_lock():
    """A child inherits a lock that another thread of its parent held."""
    lock = threading.Lock()
    held = threading.Event()

    def hold():
        with lock:
            held.set()
            time.sleep(600)

    owner = threading.Thread(target=hold)
    owner.daemon = True
    owner.start()
    held.wait()
    child = os.fork()
    if child == 0:
        lock.acquire()
    ready()
    os.waitpid(child, 0)


def die(_):
    os._exit(1)


def pool_worker_dies():
    pool = multiprocessing.Pool(1)
    ready()
    pool.apply(die, (0,))


# Healthy from here on.

def idle_pool(method):
    context = multiprocessing.get_context(method) if sys.version_info[0] > 2 else multiprocessing
    pool = context.Pool(2)
    pool.map(abs, range(4))
    ready()
    return pool


def pool_fork_sleep():
    pool = idle_pool("fork")
    time.sleep(600)
    pool.close()


def pool_spawn_sleep():
    pool = idle_pool("spawn")
    time.sleep(600)
    pool.close()


def pool_fork_input():
    pool = idle_pool("fork")
    sys.stdin.readline()
    pool.close()


def pool_forkserver_input():
    pool = idle_pool("forkserver")
    sys.stdin.readline()
    pool.close()


def executor_idle():
    from concurrent.futures import ProcessPoolExecutor
    pool = ProcessPoolExecutor(2)
    list(pool.map(abs, range(4)))
    ready()
    sys.stdin.readline()


def manager_idle():
    manager = multiprocessing.Manager()
    shared = manager.dict()
    ready()
    sys.stdin.readline()
    shared.clear()


def queue_worker_idle():
    queue = multiprocessing.Queue()
    worker = multiprocessing.Process(target=queue.get)
    worker.start()
    ready()
    sys.stdin.readline()
    queue.put(None)


def thread_worker_idle():
    work = threading.Event()
    thread = threading.Thread(target=work.wait)
    thread.start()
    ready()
    sys.stdin.readline()
    work.set()


def http_server_idle():
    from http.server import HTTPServer, SimpleHTTPRequestHandler
    server = HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    ready()
    server.serve_forever()


def wait_for_a_sleeper():
    child = subprocess.Popen(["sleep", "600"], stdout=subprocess.PIPE)
    ready()
    child.communicate()


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")]()
