"""The peer of the job queue: tasks that do nothing, on Celery with Redis as its broker.

celery -A peer worker        does them
peer.py enqueue N            enqueues N between two that say when they run; prints how long enqueueing took
peer.py ends                 waits until both have run; prints when the first enqueue was, when they ran
peer.py steady RATE SECONDS  enqueues steadily; prints p50 and p99 from then to the start, in milliseconds
"""

import os
import sys
import time

import redis
from celery import Celery

BROKER = os.environ["BROKER"]
app = Celery("peer", broker=BROKER)
app.conf.update(
    task_ignore_result=True,
    # Short tasks: taken from Redis many at a time, as Celery's documentation advises.
    worker_prefetch_multiplier=100,
    broker_connection_retry_on_startup=True,
)
# Waits for as long as it takes; the client would give up after seconds.
notes = redis.Redis.from_url(BROKER, socket_timeout=None)


@app.task
def noop(number):
    pass


@app.task
def note(name):
    notes.rpush("notes", f"{name} {time.time()}")


def enqueue(count):
    with app.producer_or_acquire() as producer:
        began = time.time()
        note.apply_async(("first",), producer=producer)
        for number in range(count):
            noop.apply_async((number,), producer=producer)
        note.apply_async(("last",), producer=producer)
        print(began, time.time() - began)


def ends():
    at = {}
    while "last" not in at:
        _, text = notes.blpop(["notes"])
        name, when = text.decode().split()
        at[name] = when
    print(at["first"], at["last"])


def steady(rate, seconds):
    sent, begun = [], {}
    with app.producer_or_acquire() as producer:
        start = time.time()
        for number in range(rate * seconds):
            time.sleep(max(0, start + number / rate - time.time()))
            note.apply_async((str(number),), producer=producer)
            sent.append(time.time())
    while len(begun) < len(sent):
        _, text = notes.blpop(["notes"])
        name, when = text.decode().split()
        begun[int(name)] = float(when)
    waits = sorted(max(0.0, begun[number] - at) * 1000 for number, at in enumerate(sent))
    print(waits[len(waits) // 2], waits[int((len(waits) - 1) * 0.99)])


if __name__ == "__main__":
    command, *numbers = sys.argv[1:]
    {"enqueue": enqueue, "ends": ends, "steady": steady}[command](*map(int, numbers))
