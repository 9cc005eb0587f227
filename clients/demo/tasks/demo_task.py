"""What the demo's tasks have in common: reading the invocation, reporting on the descriptor made for it."""
import hashlib
import json
import os
import sys
import time


class Task:
    """One attempt as the server started it."""

    def __init__(self):
        invocation = json.load(sys.stdin)
        self.workflow_id = invocation["workflow_id"]
        self.task_id = invocation["task_id"]
        self.args = invocation["args"]
        self.kwargs = invocation["kwargs"]
        self._report = os.fdopen(int(os.environ["RHYTHM_REPORT_FD"]), "w", buffering=1)
        self._last = 0.0

    def log(self, line):
        """Writes to the attempt's log (`rhythm logs`)."""
        print(line, flush=True)

    def progress(self, name, done, total, units):
        """Says how far it is, at most five times a second, and the last time for sure."""
        now = time.monotonic()
        if now - self._last >= 0.2 or done >= total:
            self._last = now
            self._send({"progress": {"name": name, "done": done, "total": total, "units": units}})

    def result(self, *values):
        """Says what the step returns; the first value is the next step's argument."""
        self._send({"result": list(values)})

    def paced(self, items):
        """Gives the items one by one, so slowly that all of them take `pace` seconds."""
        pace = float(self.kwargs.get("pace", 0))
        began = time.monotonic()
        for count, item in enumerate(items, start=1):
            yield item
            ahead = began + pace * count / len(items) - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)

    def _send(self, message):
        self._report.write(json.dumps(message) + "\n")


def files_below(folder):
    """(path below the folder, size) of every regular file that can be read."""
    found = []
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            if "\n" not in path and os.path.isfile(path) and not os.path.islink(path) and os.access(path, os.R_OK):
                found.append((os.path.relpath(path, folder), os.path.getsize(path)))
    if not found:
        raise SystemExit(f"{folder}: there is no readable file in it")
    return sorted(found)


def files_in_manifest(batch):
    """(path, checksum) of every file of a batch."""
    with open(os.path.join(batch, "manifest.sha256"), encoding="utf-8", errors="surrogateescape") as manifest:
        return [(line.rstrip("\n")[66:], line[:64]) for line in manifest]


def checksum(path):
    """SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
