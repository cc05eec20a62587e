"""Messages for the workers and for batches, by the service's own code and in its environment.

python mail.py enqueue COUNT PAUSE        queue them, each after a pause in seconds
python mail.py bare COUNT CONCURRENCY     send them without a queue, so many at once
python mail.py batch COUNT                send them a hundred in each call
"""

import asyncio
import sys
import time
from uuid import uuid4

from app.database import open_database
from app.mail.batch import send_in_batches
from app.mail.client import open_poststack
from app.mail.log import MailLog
from app.mail.message import Message
from app.mail.sender import send
from app.queue.publisher import open_publisher
from app.settings import Settings
from uvicorn.loops.auto import auto_loop_factory


def message() -> Message:
    """Make a message that says when it began, which the stand-in for PostStack reads."""
    return Message(
        sender="hello@acme.dev",
        recipient="ada@acme.dev",
        subject="Your order",
        html="<p>Thank you.</p>" * 40,
        text=f"Thank you. began={time.time():.6f}=",
        idempotency_key=f"bench:{uuid4()}",
    )


async def enqueue(count: int, pause: float) -> None:
    """Queue messages: in turn with pauses, or eight at a time."""
    settings = Settings()
    async with (
        open_database(settings) as database,
        open_poststack(settings) as poststack,
        open_publisher(settings, database, poststack, MailLog(database)) as publisher,
    ):
        if pause:
            for _ in range(count):
                await publisher.publish(message())
                await asyncio.sleep(pause)
            return
        for _ in range(0, count, 8):
            await asyncio.gather(*(publisher.publish(message()) for _ in range(8)))


async def bare(count: int, concurrency: int) -> None:
    """Send messages with as many tasks as the worker has."""
    messages = iter([message() for _ in range(count)])
    async with open_poststack(Settings(), max_retries=0) as poststack:

        async def caller() -> None:
            for each in messages:
                await send(poststack, each)

        await asyncio.gather(*(caller() for _ in range(concurrency)))


async def batch(count: int) -> None:
    """Send messages a hundred in each call, one call after the other."""
    messages = [message() for _ in range(count)]
    async with open_poststack(Settings()) as poststack:
        await send_in_batches(poststack, messages)


# The loop that arq's worker has.
with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
    match sys.argv[1:]:
        case ["enqueue", count, pause]:
            runner.run(enqueue(int(count), float(pause)))
        case ["bare", count, concurrency]:
            runner.run(bare(int(count), int(concurrency)))
        case ["batch", count]:
            runner.run(batch(int(count)))
