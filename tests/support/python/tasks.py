# -*- coding: utf-8 -*-
"""Tasks of asyncio at rest in every way, and where they are by the interpreter's own word.

Prints, for each task, "task NAME" ("-": it has none), "runs COROUTINE", "awaits WHAT" and its
frames innermost first as "frame LINE FUNCTION FILE", then "ready". Ends when its standard input
does. Python 3.7 or later.
"""
import asyncio
import os
import sys

WAITS = {}
GENERATORS = []


async def leaf(event):
    await event.wait()


async def middle(event):
    return await leaf(
        event)


class Server:
    async def serve(self, event):
        async with Held(event):
            pass


class Held:
    def __init__(self, event):
        self.event = event

    async def __aenter__(self):
        await middle(self.event)

    async def __aexit__(self, *_):
        pass


async def for_task(task):
    await task


async def for_many(event):
    await asyncio.gather(middle(event), leaf(event), loop.create_future())


async def numbers(future):
    yield 1
    await future


async def for_generator(future):
    GENERATORS.append(numbers(future))
    async for number in GENERATORS[0]:
        last = number
    return last


async def for_future(future):
    await asyncio.wait_for(future, 5000)


async def has_ended():
    return 1


def spawn(coroutine, awaits, name=None):
    task = loop.create_task(coroutine)
    if name is not None and hasattr(task, 'set_name'):
        task.set_name(name)
    WAITS[task] = awaits
    return task


async def main(event):
    ended = spawn(has_ended(), '')
    spawn(middle(event), 'Future')
    server = spawn(Server().serve(event), 'Future', u'S\u00e9rver')
    spawn(for_task(server), u'S\u00e9rver' if hasattr(server, 'set_name') else 'Task', 'waiter')
    spawn(for_many(event), 'gather of 3', 'many')
    spawn(for_generator(loop.create_future()), 'Future', 'generator')
    spawn(for_future(loop.create_future()), 'Future', 'timed')
    await ended
    await leaf(event)


def out(*words):
    os.write(1, (u' '.join(str(word) for word in words) + u'\n').encode('utf-8'))


def frames(coroutine):
    """Of the coroutines that await each other, innermost first."""
    found = []
    while coroutine is not None:
        if type(coroutine).__name__ == 'async_generator_asend':
            coroutine = GENERATORS[0]
        frame = getattr(coroutine, 'cr_frame', None) or getattr(coroutine, 'ag_frame', None)
        if frame is None:
            break
        found.insert(0, (frame.f_lineno, frame.f_code.co_name, frame.f_code.co_filename))
        coroutine = getattr(coroutine, 'cr_await', None) or getattr(coroutine, 'ag_await', None)
    return found


def tell():
    known = [task for task in asyncio.all_tasks(loop) if not task.done()]
    if not all(task._fut_waiter for task in known):
        loop.call_soon(tell)
        return
    for task in known:
        out('task', task.get_name() if hasattr(task, 'get_name') else '-')
        out('runs', task._coro.__qualname__)
        out('awaits', WAITS.get(task, 'Future'))
        for frame in frames(task._coro):
            out('frame', *frame)
    out('ready')
    loop.add_reader(0, loop.stop)


if not hasattr(asyncio, 'all_tasks'):
    sys.exit(0)
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
there = asyncio.Event()
WAITS[loop.create_task(main(there))] = 'Future'
loop.call_soon(tell)
loop.run_forever()
