"""The service's connections to RabbitMQ: opened when needed, and cut when RabbitMQ hangs."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from amqp.exceptions import AMQPError, MessageNacked
from anyio import CapacityLimiter, to_thread
from celery import Celery
from kombu.connection import Connection
from kombu.exceptions import KombuError

PATIENCE = 2.0
"""Seconds in which a caller who waits learns that RabbitMQ does not answer."""

CONNECTIONS = 8
"""How many there are at most, each used by a thread of its own."""

UNAVAILABLE = (KombuError, AMQPError, OSError)
"""What Celery, kombu and py-amqp raise when RabbitMQ is away, refuses, or takes too long."""

Work = Callable[[Connection], object]


class Connections:
    """A pool for callers on the event loop, though kombu blocks."""

    def __init__(self, celery: Celery) -> None:
        self._threads = CapacityLimiter(CONNECTIONS)
        self._idle: asyncio.LifoQueue[Line] = asyncio.LifoQueue()
        for _ in range(CONNECTIONS):
            self._idle.put_nowait(Line(celery))

    async def use(self, work: Work) -> None:
        """Do it with an open connection, or raise one of `UNAVAILABLE` within `PATIENCE`.

        It may be done twice, where the first connection has died.
        """
        failures = 0
        async with asyncio.timeout(PATIENCE):
            while True:
                line = await self._idle.get()
                reused = line.take()
                # A task of its own: the line is not idle before its thread has ended.
                working = asyncio.create_task(self._run(line, work))
                try:
                    return await asyncio.shield(working)
                except UNAVAILABLE as error:
                    if isinstance(error.__cause__, MessageNacked):
                        await asyncio.sleep(0.1)  # a queue that was made just now
                    elif not reused:  # otherwise this connection has died, not RabbitMQ
                        failures += 1
                        if failures > 1:
                            raise
                        # While 8 connections make one queue, RabbitMQ may close some.
                        await asyncio.sleep(0.1)
                finally:
                    if not working.done():
                        line.cut()
                        # Nobody waits for it any more; asyncio would log that nobody looked.
                        working.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _run(self, line: "Line", work: Work) -> None:
        try:
            await to_thread.run_sync(line.run, work, limiter=self._threads)
        finally:
            self._idle.put_nowait(line)

    async def close(self) -> None:
        """Close all of them, each when its thread has ended."""
        for _ in range(CONNECTIONS):
            (await self._idle.get()).close()


class Line:
    """A connection to RabbitMQ for one thread at a time, which can be cut under its hands.

    A RabbitMQ that hangs would otherwise keep the thread for as long as it does, and 8 such
    threads the next callers out, even when it is back.
    """

    def __init__(self, celery: Celery) -> None:
        self._connection: Connection = celery.connection_for_write(connect_timeout=PATIENCE)
        self._socket: socket.socket | None = None
        self._cut = False

    def take(self) -> bool:
        """Prepare for the next thread; tells whether it finds an open connection."""
        self._cut = False
        return bool(self._connection.connected)

    def run(self, work: Work) -> None:
        """Do the work, and connect first where that is still to do."""
        try:
            self._connection.ensure_connection(max_retries=0)
            self._socket = self._connection.connection.sock
            if not self._cut:  # while it connected, which has a timeout of its own
                work(self._connection)
        except BaseException:
            self.close()
            raise

    def cut(self) -> None:
        """Wake the thread that waits for RabbitMQ."""
        self._cut = True
        if self._socket:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection without a word; a polite close would wait for RabbitMQ."""
        self.cut()
        self._connection.collect()
        if self._socket:
            self._socket.close()  # kombu may have opened another one meanwhile, and lost this one
