"""What tasks themselves write down about their runs, in one file that all processes append to: `RhythmTesting/Judge`
reads it, and nothing else, when it decides whether steps ran as they may.

A line is a word and fields, `begin workflow=w1 step=s0 id=... run=... pid=... start=... at=...`, with values
percent-encoded, and written at once, so that the order of the lines is the order in which things happened. `run` names
one run of a task, `start` is the process' start time from /proc: with the pid it names a process for good. `at` is in
nanoseconds of the clock that counts since boot.
"""

import functools
import hashlib
import json
import os
import time
import urllib.parse

# What is longer than this is told by a digest.
LONGEST_VALUE = 200


def process_start(pid):
    """The start time of a process that has not ended; nothing for one that only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def shown(value):
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError):
        text = repr(value)
    if len(text) > LONGEST_VALUE:
        text = "sha1:" + hashlib.sha1(text.encode()).hexdigest()
    return text


def line(word, **fields):
    pairs = (f"{key}={urllib.parse.quote(str(value), safe='-_.:/@,')}" for key, value in fields.items() if value is not None)
    return f"{word} {' '.join(pairs)}\n"


def parsed(text):
    words = text.split()
    fields = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    return words[0] if words else "", {key: urllib.parse.unquote(value) for key, value in fields.items()}


class Recorder:
    def __init__(self, path):
        self.path = path

    def append(self, word, **fields):
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, line(word, **fields).encode())
        finally:
            os.close(file)

    def others(self, workflow, run):
        """Runs of the workflow that began before this one, whose end nobody has written, and whose process lives."""
        with open(self.path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        open_runs = {}
        for word, fields in map(parsed, lines):
            if fields.get("workflow") != workflow:
                continue
            if word == "begin" and fields["run"] == run:
                break
            if word == "begin":
                open_runs[fields["run"]] = fields
            elif word == "end":
                open_runs.pop(fields.get("run"), None)
        return [fields for fields in open_runs.values() if process_start(fields["pid"]) == fields["start"]]

    def recorded(self, function):
        """The same task, which tells of its begin and of its end, however it ends, if it only can."""

        @functools.wraps(function)
        def run(task, *args, **kwargs):
            named = kwargs.pop("record", None) or {}
            workflow = named.get("workflow", kwargs.get("workflow_id"))
            step = named.get("step", kwargs.get("step"))
            if not workflow or not step:
                return function(task, *args, **kwargs)
            pid, at = os.getpid(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            who = {
                "workflow": workflow, "step": step, "id": task.request.id, "run": f"{pid}.{at}", "pid": pid,
                "start": process_start(pid),
            }
            self.append(
                "begin", **who, at=at, worker=task.request.hostname, retries=task.request.retries,
                late=int(bool(task.acks_late if task.acks_late is not None else task.app.conf.task_acks_late)),
                redelivered=int(bool((task.request.delivery_info or {}).get("redelivered"))),
                given=shown(args[0]) if args else None)
            for other in self.others(workflow, who["run"]):
                self.append("beside", **who, at=time.clock_gettime_ns(time.CLOCK_BOOTTIME), other=other["run"])
            outcome, gave = "", None
            try:
                value = function(task, *args, **kwargs)
                outcome = "success"
                gave = shown(value[0]) if isinstance(value, (list, tuple)) and value else None
                return value
            except BaseException as error:
                outcome = type(error).__name__
                raise
            finally:
                self.append(
                    "end", **who, at=time.clock_gettime_ns(time.CLOCK_BOOTTIME), outcome=outcome, gave=gave)

        return run
