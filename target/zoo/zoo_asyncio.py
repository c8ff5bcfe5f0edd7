"""usage: zoo_asyncio.py wait|idle

Event loops of Python 3: one stuck, one idle.
"""

import asyncio
import subprocess
import sys


def ready():
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def loop_wait():
    async def wait():
        child = await asyncio.create_subprocess_exec(
            "head", "-c", "9999999", "/dev/zero", stdout=subprocess.PIPE)
        ready()
        await child.wait()

    asyncio.run(wait())


def loop_idle():
    async def serve():
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        ready()
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    {"wait": loop_wait, "idle": loop_idle}[sys.argv[1]]()
