"""usage: zoo_asyncio.py wait|idle

Event loops of Python 3: one stuck, one idle.
"""

import asyncio
import subprocess
import sys


def ready():
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def run(main):
    if hasattr(asyncio, "run"):  # since 3.7
        asyncio.run(main)
    else:
        asyncio.get_event_loop().run_until_complete(main)


def loop_wait():
    async def wait():
        child = await asyncio.create_subprocess_exec(
            "head", "-c", "9999999", "/dev/zero", stdout=subprocess.PIPE)
        ready()
        await child.wait()

    run(wait())


def loop_idle():
    async def serve():
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        ready()
        await asyncio.Event().wait()
        server.close()

    run(serve())


if __name__ == "__main__":
    {"wait": loop_wait, "idle": loop_idle}[sys.argv[1]]()
