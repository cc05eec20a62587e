"""The API's connections to RabbitMQ: opened when needed, and cut when RabbitMQ hangs."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from amqp.exceptions import AMQPError, MessageNacked
from anyio import CapacityLimiter, to_thread
from celery import Celery
from kombu.connection import Connection
from kombu.exceptions import KombuError

BROKER_TIMEOUT = 2.0
"""Seconds in which a waiting caller learns that RabbitMQ does not answer."""

MAX_CONNECTIONS = 8
"""Connections of one process, each used by one thread at a time."""

BROKER_ERRORS = (KombuError, AMQPError, OSError)
"""What Celery, kombu and py-amqp raise when RabbitMQ is down, refuses, or takes too long."""

Work = Callable[[Connection], object]


class ConnectionPool:
    """Connections for callers on the event loop, though kombu blocks."""

    def __init__(self, celery: Celery) -> None:
        self._threads = CapacityLimiter(MAX_CONNECTIONS)
        self._idle: asyncio.LifoQueue[InterruptibleConnection] = asyncio.LifoQueue()
        for _ in range(MAX_CONNECTIONS):
            self._idle.put_nowait(InterruptibleConnection(celery))

    async def run(self, work: Work) -> None:
        """Call `work` with an open connection, or raise one of `BROKER_ERRORS` within 2 seconds.

        It may be called twice, where the first connection has died.
        """
        failures = 0
        async with asyncio.timeout(BROKER_TIMEOUT):
            while True:
                connection = await self._idle.get()
                reused = connection.reserve()
                # A task of its own: the connection is not idle before its thread has ended.
                running = asyncio.create_task(self._run(connection, work))
                try:
                    return await asyncio.shield(running)
                except BROKER_ERRORS as error:
                    if isinstance(error.__cause__, MessageNacked):
                        await asyncio.sleep(0.1)  # a queue that was made just now
                    elif not reused:  # otherwise this connection has died, not RabbitMQ
                        failures += 1
                        if failures > 1:
                            raise
                        # While 8 connections make one queue, RabbitMQ may close some.
                        await asyncio.sleep(0.1)
                finally:
                    if not running.done():
                        connection.interrupt()
                        # Nobody waits for it any more; asyncio would log that nobody looked.
                        running.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _run(self, connection: "InterruptibleConnection", work: Work) -> None:
        try:
            await to_thread.run_sync(connection.run, work, limiter=self._threads)
        finally:
            self._idle.put_nowait(connection)

    async def close(self) -> None:
        """Close all of them, each when its thread has ended."""
        for _ in range(MAX_CONNECTIONS):
            (await self._idle.get()).close()


class InterruptibleConnection:
    """A connection for one thread at a time, which another thread can interrupt.

    A RabbitMQ that hangs would otherwise keep the thread for as long as it does, and 8 such
    threads the next callers out, even when it is back.
    """

    def __init__(self, celery: Celery) -> None:
        self._connection: Connection = celery.connection_for_write(connect_timeout=BROKER_TIMEOUT)
        self._socket: socket.socket | None = None
        self._interrupted = False

    def reserve(self) -> bool:
        """Prepare for the next thread; tells whether it finds an open connection."""
        self._interrupted = False
        return bool(self._connection.connected)

    def run(self, work: Work) -> None:
        """Do the work, and connect first where that is still to do."""
        try:
            self._connection.ensure_connection(max_retries=0)
            self._socket = self._connection.connection.sock
            if not self._interrupted:  # while it connected, which has a timeout of its own
                work(self._connection)
        except BaseException:
            self.close()
            raise

    def interrupt(self) -> None:
        """Wake the thread that waits for RabbitMQ."""
        self._interrupted = True
        if self._socket:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket without AMQP's goodbye, which would wait for RabbitMQ."""
        self.interrupt()
        self._connection.collect()
        if self._socket:
            self._socket.close()  # kombu may have opened another one meanwhile, and lost this one
