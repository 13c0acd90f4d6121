"""A TCP proxy whose connections can be cut, stalled or slowed to a trickle."""

import asyncio
import threading


class Proxy:
    """Listens on a port of its own and forwards to `target_port` once that is set. Thread: any; its work is done on one of its own."""

    def __init__(self):
        self.target_port = None
        self._writers = set()
        self._swallowed = set()
        self._open = None  # cleared: nothing is forwarded, connections stay
        self._answers = None  # cleared: what the far end says is held back
        self._hold_from = None
        self._bytes_per_second = 0
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)

    def _run(self, started):
        asyncio.set_event_loop(self._loop)
        self._open = asyncio.Event()
        self._open.set()
        self._answers = asyncio.Event()
        self._answers.set()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()

    async def _accept(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.close()
            return
        pair = {writer, far_writer}
        self._writers |= pair
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer, self._answers))
        self._writers -= pair
        self._swallowed -= pair
        for end in pair:
            end.close()

    async def _pump(self, reader, writer, gate=None):
        seen = b""  # the end of what went before: bytes that are looked for may come in two parts
        try:
            while data := await reader.read(self._bytes_per_second or 65536):
                await self._open.wait()
                if gate:
                    await gate.wait()
                elif wanted := self._hold_from:
                    seen += data
                    if wanted in seen:
                        self._answers.clear()
                    seen = seen[-len(wanted) + 1 :]
                else:
                    seen = b""
                if writer in self._swallowed:
                    continue
                writer.write(data)
                await writer.drain()
                if self._bytes_per_second:
                    await asyncio.sleep(len(data) / self._bytes_per_second)
            if writer not in self._swallowed:
                writer.write_eof()
        except OSError:
            writer.close()

    def _do(self, function, *arguments):
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (function(*arguments), done.set()))
        assert done.wait(10)

    def cut(self):
        """Every connection is reset; new ones are let in."""
        self._do(lambda: [writer.transport.abort() for writer in self._writers])

    def stall(self):
        """A black hole: connections stay, new ones are taken, nothing comes through."""
        self._do(lambda: self._open.clear())

    def swallow(self):
        """The connections that there are stay open and carry nothing any more; new ones are as they should be."""
        self._do(lambda: self._swallowed.update(self._writers))

    def flow(self):
        self._do(lambda: self._open.set())

    def hold_answers_from(self, request):
        """Requests go through; once these bytes have, nothing comes back any more."""
        self._do(lambda: setattr(self, "_hold_from", request))

    def answers_held(self):
        return not self._answers.is_set()

    def let_answers(self):
        self._do(lambda: (setattr(self, "_hold_from", None), self._answers.set()))

    def throttle(self, bytes_per_second):
        """0: as fast as it goes."""
        self._do(lambda: setattr(self, "_bytes_per_second", bytes_per_second))

    def close(self):
        async def end():
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self._loop)
        self._thread.join(10)
