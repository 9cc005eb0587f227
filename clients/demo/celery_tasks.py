"""The Celery application of `make demo-celery`: three steps over real files, as an ordinary worker runs them.

Each takes the hand-off in its first argument and returns it in a list. Arguments that the demo needs are keyword
arguments: out (where batches go) and pace (seconds the step takes at least, so that there is something to look at).
"""
import hashlib
import os
import tarfile
import time

from celery import Celery

app = Celery("celery_tasks", broker=os.environ["DEMO_BROKER"], backend=os.environ["DEMO_RESULTS"])
app.conf.update(
    task_track_started=True,
    result_extended=True,
    result_expires=None,
    task_queue_max_priority=10,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    timezone="UTC",
)


def paced(task, items, pace, name):
    """Gives (item, size) one by one, so slowly that all take `pace` seconds, and reports the bytes that are done."""
    total = sum(size for _, size in items)
    done = 0
    reported = began = time.monotonic()
    for count, (item, size) in enumerate(items, start=1):
        yield item
        done += size
        ahead = began + pace * count / len(items) - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        if time.monotonic() - reported >= 0.2 or count == len(items):
            reported = time.monotonic()
            task.update_state(
                state="STARTED",
                meta={
                    "name": name, "done": done, "total": total, "units": "bytes",
                    "fraction_done": done / total if total else 1.0,
                },
            )


def checksum_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def manifest(batch):
    with open(os.path.join(batch, "files"), encoding="utf-8", errors="surrogateescape") as lines:
        return [line.rstrip("\n") for line in lines]


def replace(path, lines):
    """The file appears whole or not at all: an attempt that is stopped leaves nothing half-written."""
    with open(path + ".tmp", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(line + "\n" for line in lines)
    os.replace(path + ".tmp", path)


@app.task(bind=True, name="inspect")
def inspect(self, source, *, out, workflow_id, pace=0, **kwargs):
    """Finds the files and makes a batch. Hands on: the batch's folder."""
    source = os.path.abspath(source)
    batch = os.path.join(out, workflow_id)
    os.makedirs(batch, exist_ok=True)
    found = []
    for root, _, names in os.walk(source):
        for name in names:
            path = os.path.join(root, name)
            if "\n" not in path and os.path.isfile(path) and not os.path.islink(path) and os.access(path, os.R_OK):
                found.append((os.path.relpath(path, source), os.path.getsize(path)))
    replace(os.path.join(batch, "files"), list(paced(self, sorted(found), pace, "inspect")))
    replace(os.path.join(batch, "source"), [source])
    return [batch, {"files": len(found)}]


@app.task(bind=True, name="checksum")
def checksum(self, batch, *, pace=0, **kwargs):
    """Takes the checksum of every file. Hands on: the batch's folder."""
    source = open(os.path.join(batch, "source"), encoding="utf-8").read().rstrip("\n")
    files = [(path, os.path.getsize(os.path.join(source, path))) for path in manifest(batch)]
    lines = [f"{checksum_of(os.path.join(source, path))}  {path}" for path in paced(self, files, pace, "checksum")]
    replace(os.path.join(batch, "manifest.sha256"), lines)
    return [batch]


@app.task(bind=True, name="archive")
def archive(self, batch, *, pace=0, **kwargs):
    """Packs the files. Hands on: the archive."""
    source = open(os.path.join(batch, "source"), encoding="utf-8").read().rstrip("\n")
    files = [(path, os.path.getsize(os.path.join(source, path))) for path in manifest(batch)]
    partial = os.path.join(batch, self.request.id + ".tmp")
    with tarfile.open(partial, "w") as packed:
        for path in paced(self, files, pace, "archive"):
            packed.add(os.path.join(source, path), arcname=path, recursive=False)
    os.replace(partial, os.path.join(batch, "batch.tar"))
    return [os.path.join(batch, "batch.tar")]
