"""A worker that sends the first message and the last of COUNT, and nothing between them.

The time from the one to the other is the queue's own: what batches of mail could gain at most.
"""

import os
from multiprocessing import Value
from typing import Any

from app.queue import worker

count = int(os.environ["COUNT"])
jobs = Value("i", 0)  # Celery's processes are forked later, and share it
really_send = worker.send


async def send(*message: Any, **options: Any) -> str:
    """Count, and pretend."""
    with jobs.get_lock():
        jobs.value += 1
        number = jobs.value
    if number in {1, count}:
        return await really_send(*message, **options)
    return "em_1"


worker.send = send
celery = getattr(worker, "celery", None)

if __name__ == "__main__":
    worker.main()
