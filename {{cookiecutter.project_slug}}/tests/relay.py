"""A way to a server that can be closed, cut and silent."""

import asyncio
from contextlib import suppress


class Relay:
    """Stands on a port of this machine before a server; `answering` says whether it passes on."""

    def __init__(self, host: str | None, port: int) -> None:
        self._server_address = host or "127.0.0.1", port
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.answering = asyncio.Event()
        self.answering.set()

    async def listen(self) -> None:
        """Take connections, at the port of before."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Take no connections, and cut those that there are."""
        self.answering.set()
        self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Cut all connections, as the end of the server would."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def translate(self, data: bytes) -> bytes:
        """Return what is passed on in place of this."""
        return data

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(*self._server_address)
        self._writers |= {writer, requests}
        await asyncio.gather(self._pipe(reader, requests), self._pipe(answers, writer))

    async def _pipe(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self.answering.wait()
                target.write(self.translate(data))
        target.close()
