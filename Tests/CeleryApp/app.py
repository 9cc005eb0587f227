"""The Celery application of the tests: ordinary workers run it, with tasks for every way in which an attempt can go.

Settings come from the environment, see `settings()`. Tasks get the hand-off in their first argument and return it in
a list, as every step of a workflow does. Each leaves a line in MARKS/ID.runs when it begins; those that wait look for
MARKS/ID.gate, and a brief one leaves a line in MARKS/ID.finishes when it has come to its end. Begin and end of all of
them are in MARKS/record, see `recorder.py`.
"""

import datetime
import decimal
import json
import os
import signal
import time
import uuid

from celery import Celery, Task
from celery.exceptions import Ignore
from recorder import Recorder


def variable(name, default=""):
    return os.environ.get("RHYTHM_APP_" + name, default)


def is_on(name, default):
    return variable(name, default) == "1"


def settings():
    chosen = {
        "task_track_started": is_on("TRACK_STARTED", "1"),
        "result_extended": is_on("RESULT_EXTENDED", "1"),
        "task_acks_late": is_on("ACKS_LATE", "0"),
        "task_reject_on_worker_lost": is_on("REJECT_ON_WORKER_LOST", "0"),
        "worker_send_task_events": is_on("EVENTS", "0"),
        "worker_prefetch_multiplier": int(variable("PREFETCH", "1")),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "result_expires": None,
        "timezone": "UTC",
    }
    if variable("MAX_PRIORITY"):
        chosen["task_queue_max_priority"] = int(variable("MAX_PRIORITY"))
    if variable("QUEUE_TYPE"):
        chosen["task_default_queue_type"] = variable("QUEUE_TYPE")
        chosen["task_create_missing_queue_type"] = variable("QUEUE_TYPE")
    chosen.update(json.loads(variable("SETTINGS", "{}")))
    return chosen


app = Celery(
    "app",
    broker=variable("BROKER", "amqp://guest:guest@127.0.0.1:5672//"),
    backend=variable("BACKEND", "mongodb://127.0.0.1:27017/celery"),
)
app.conf.update(settings())

MARKS = variable("MARKS")


# Marks and gates


def append(name, line):
    with open(os.path.join(MARKS, name), "a", encoding="utf-8") as file:
        file.write(line)


def mark(task):
    if MARKS:
        append("order", f"{task.request.id}\n")
        append(f"{task.request.id}.runs", "run\n")


def gate_is_open(task):
    return bool(MARKS) and os.path.exists(os.path.join(MARKS, f"{task.request.id}.gate"))


def wait_at_gate(task):
    while not gate_is_open(task):
        time.sleep(0.01)


def tick(task, done, total, units="units", name="counting"):
    task.update_state(
        state="STARTED",
        meta={"name": name, "done": done, "total": total, "units": units, "fraction_done": done / total},
    )


# The tasks, as functions of the bound task. They are registered below, some with more than one base.


def echo(self, *args, **kwargs):
    """What the worker was given."""
    given = {key: kwargs.get(key) for key in ("workflow_id", "step", "app_id")}
    request = self.request
    return [
        {
            **given, "task_id": request.id, "task": self.name, "attempt": 1, "args": list(args), "kwargs": kwargs,
            "retries": request.retries, "parent_id": request.parent_id, "root_id": request.root_id,
            "group": request.group, "priority": request.delivery_info.get("priority"),
            "queue": request.delivery_info.get("routing_key"), "pid": os.getpid(),
        }
    ]


def nothing(self, value=None, **kwargs):
    mark(self)


def forward(self, value=None, **kwargs):
    mark(self)
    return [value]


def add(self, value=0, amount=1, seconds=0.0, **kwargs):
    mark(self)
    time.sleep(seconds)
    return [value + amount]


def fail(self, value=None, message="failed as it was told to", **kwargs):
    mark(self)
    raise ValueError(message)


def hold(self, value=None, **kwargs):
    mark(self)
    wait_at_gate(self)
    return ["held"]


def stubborn(self, value=None, **kwargs):
    """Ends well when it is told to end."""
    told = []
    before = signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    try:
        mark(self)
        while not told and not gate_is_open(self):
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, before)
    return ["anyway"]


def immune(self, value=None, **kwargs):
    """Only SIGKILL ends it before its gate opens."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        mark(self)
        wait_at_gate(self)
    finally:
        signal.signal(signal.SIGTERM, before)
    return ["anyway"]


def reluctant(self, value=None, **kwargs):
    """Comes to an end of its own when it is told to stop, later than its worker has written that it is revoked."""
    told = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    try:
        mark(self)
        while not told and not gate_is_open(self):
            time.sleep(0.01)
        time.sleep(0.5)
    finally:
        signal.signal(signal.SIGTERM, before)
    return ["anyway"]


def count(self, value=None, total=3, delay=0.05, **kwargs):
    mark(self)
    for done in range(1, total + 1):
        tick(self, done, total)
        time.sleep(delay)
    return []


def slow(self, value=None, seconds=20.0, delay=0.1, **kwargs):
    mark(self)
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        tick(self, round(passed, 2), seconds, units="s", name="sleeping")
        time.sleep(min(delay, seconds - passed))
    return [value]


def clock(self, value=None, wait=5.0, updates=20, delay=0.15, **kwargs):
    """Reports the time as its progress, after a while and again and again; returns all that it has reported."""
    mark(self)
    time.sleep(wait)
    reported = []
    for _ in range(updates):
        reported.append(time.time())
        tick(self, reported[-1], 2 * reported[-1], units="s", name="clock")
        time.sleep(delay)
    time.sleep(1)
    return [reported]


def sleep(self, value=None, seconds=1.0, **kwargs):
    mark(self)
    time.sleep(seconds)
    return [value]


def brief(self, value=None, **kwargs):
    mark(self)
    time.sleep(0.05)
    if MARKS:
        append(f"{self.request.id}.finishes", "finish\n")


def retry_twice(self, value=None, countdown=0.2, **kwargs):
    mark(self)
    if self.request.retries < 2:
        raise self.retry(exc=OSError(f"try {self.request.retries + 1}"), countdown=countdown, max_retries=3)
    return [self.request.retries]


def suicide(self, value=None, **kwargs):
    """Takes its pool process with it, once: after its gate has opened it survives."""
    mark(self)
    if not gate_is_open(self):
        os.kill(os.getpid(), signal.SIGKILL)
    return [value]


def huge(self, value=None, mebibytes=1, **kwargs):
    mark(self)
    return ["x" * (int(mebibytes) << 20)]


def special(self, value=None, **kwargs):
    """What is no JSON for most readers."""
    mark(self)
    return [
        {
            "nan": float("nan"), "infinity": float("inf"), "minus": float("-inf"), "big": 10**30,
            "date": datetime.datetime(2020, 2, 29, 12, 30, 1, 5, tzinfo=datetime.timezone.utc),
            "uuid": uuid.UUID(int=7), "decimal": decimal.Decimal("1.10"), "text": "grüße \U0001f600 \x00",
        }
    ]


def ignore(self, value=None, **kwargs):
    mark(self)
    raise Ignore()


def announce(self, value=None, state="FAILURE", meta=None, waits=True, then="return", traceback=None, **kwargs):
    """Stores a state of its choice, and ends only once its gate is open."""
    mark(self)
    self.update_state(state=state, meta=meta, traceback=traceback)
    if waits:
        wait_at_gate(self)
    if then == "ignore":
        raise Ignore()
    return ["at last"]


def unserializable(self, value=None, **kwargs):
    mark(self)
    return [lambda: None]


def as_object(self, value=None, **kwargs):
    mark(self)
    return {"a": 1}


def modest(self, value):
    """Takes nothing but its argument."""
    mark(self)
    return [value]


def leave(self, value=None, **kwargs):
    mark(self)
    raise SystemExit(3)


def flaky(self, value=None, until="", how="fail", **kwargs):
    """Fails, or takes its pool process with it, until there is a file MARKS/UNTIL."""
    mark(self)
    if not os.path.exists(os.path.join(MARKS, until)):
        if how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(f"there is no {until} yet")
    return [value]


def library_progress(self, value=None, total=3, delay=0.05, **kwargs):
    """As tasks of the original library report."""
    mark(self)
    progress = sca_rhythm.progress.Progress(self, name="copying", total=total, units="items", throttle_time=0)
    for done in range(1, total + 1):
        progress.update(done)
        time.sleep(delay)
    return [value]


def real_workflow(self, value=None, **kwargs):
    """As the README tells authors of such tasks."""
    mark(self)
    return [self.workflow.workflow["rhythm_private"]["workflow_id"]]


def without_workflow(self, value=None, **kwargs):
    """A step of the library's that needs nothing of its workflow."""
    mark(self)
    self.update_progress({"done": 0.5})
    given = {key: kwargs.get(key) for key in ("workflow_id", "step", "app_id")}
    return [{**given, "knows": self.workflow is not None}]


recorder = Recorder(os.path.join(MARKS, "record")) if MARKS else None


def register(name, function, **options):
    app.task(recorder.recorded(function) if recorder else function, name=name, bind=True, **options)


PLAIN = {
    "echo": echo, "pass": nothing, "forward": forward, "add": add, "fail": fail, "hold": hold, "stubborn": stubborn,
    "immune": immune, "count": count, "clock": clock, "slow": slow, "sleep": sleep, "retry_twice": retry_twice, "suicide": suicide,
    "huge": huge, "special": special, "ignore": ignore, "unserializable": unserializable, "object": as_object,
    "leave": leave, "modest": modest, "nothing": nothing, "brief": brief, "reluctant": reluctant, "flaky": flaky,
    "announce": announce, "limited": forward,
}

for name in variable("WITHOUT").split():
    del PLAIN[name]

for name, function in PLAIN.items():
    register(name, function)

try:
    import sca_rhythm
    import sca_rhythm.progress
except ImportError:
    sca_rhythm = None

if sca_rhythm is not None:
    of_workflows = {**PLAIN, "progress": library_progress, "real": real_workflow, "bare": without_workflow}
    for name, function in of_workflows.items():
        register("workflow." + name, function, base=sca_rhythm.WorkflowTask)

    # HANDOFF says where a worker stands still while it hands one step over to the next, until MARKS/handoff.gate is
    # there: before it sends the next one, or between sending it and writing down its old copy of the workflow.
    if variable("HANDOFF"):
        send = sca_rhythm.Workflow.wf_send_task

        def stand_still():
            append("handoff", "here\n")
            while not os.path.exists(os.path.join(MARKS, "handoff.gate")):
                time.sleep(0.01)

        def slow_send(self, *args, **kwargs):
            if variable("HANDOFF") == "before":
                stand_still()
            send(self, *args, **kwargs)
            if variable("HANDOFF") == "after":
                stand_still()

        sca_rhythm.Workflow.wf_send_task = slow_send
