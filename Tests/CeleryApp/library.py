"""The original library as its users have it: makes, starts, pauses, resumes and reads workflows.

    library.py COMMAND [ARGUMENT ...]

Prints one line: VALUE and JSON. The settings are those of `app.py`.
"""

import datetime
import json
import os
import sys
import time

import sca_rhythm
from app import app


def create(text):
    """A workflow of this description that nobody has started."""
    return sca_rhythm.Workflow(app, **json.loads(text)).workflow["_id"]


def start(identifier, *args):
    sca_rhythm.Workflow(app, identifier).start(*[json.loads(arg) for arg in args])


def begin(text, *args):
    """A workflow of this description, made and started."""
    identifier = create(text)
    start(identifier, *args)
    return identifier


def pause(identifier):
    return sca_rhythm.Workflow(app, identifier).pause()


def resume(identifier, *options):
    return sca_rhythm.Workflow(app, identifier).resume(force="force" in options)


def resume_slowly(identifier):
    """A resume whose process is slow between sending the task and writing its copy of the workflow: by then the task
    has begun, failed and written both down."""
    workflow = sca_rhythm.Workflow(app, identifier)
    send = workflow.wf_send_task

    def slow_send(*args, **kwargs):
        runs = sum(len(step.get("task_runs", [])) for step in workflow.workflow["steps"])
        send(*args, **kwargs)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            now = workflow.wf_col.find_one({"_id": identifier})
            begun = [run["task_id"] for step in now["steps"] for run in step.get("task_runs", [])]
            if len(begun) > runs and app.backend.get_status(begun[-1]) == "FAILURE" and now["_status"] == "FAILURE":
                return
            time.sleep(0.02)
        raise TimeoutError("the task did not fail")

    workflow.wf_send_task = slow_send
    return workflow.resume()


WRITES = {
    "start": lambda workflow: workflow.start(1),
    "pause": lambda workflow: workflow.pause(),
    "resume": lambda workflow: workflow.resume(),
    "force": lambda workflow: workflow.resume(force=True, args=[1]),
    "update": lambda workflow: workflow.update(),
    "begin": lambda workflow: workflow.on_step_start(workflow.workflow["steps"][0]["name"], "somebody"),
    "fail": lambda workflow: workflow.on_step_failure(),
    "end": lambda workflow: workflow.on_step_success((1,), workflow.workflow["steps"][-1]["name"]),
    # The HTTP service.
    "delete": lambda workflow: workflow.wf_col.delete_one({"_id": workflow.workflow["_id"]}).deleted_count,
}


def writes(identifier, *names):
    """Some of what the library and its HTTP service write, each after a fresh read."""
    return {name: WRITES[name](sca_rhythm.Workflow(app, identifier)) for name in names}


def late_update(identifier, ready, go):
    """A process that has read the workflow long before it writes its copy."""
    workflow = sca_rhythm.Workflow(app, identifier)
    open(ready, "w", encoding="utf-8").close()
    deadline = time.monotonic() + 60
    while not os.path.exists(go) and time.monotonic() < deadline:
        time.sleep(0.02)
    workflow.on_step_failure()


def embellished(identifier, *options):
    workflow = sca_rhythm.Workflow(app, identifier)
    return workflow.get_embellished_workflow(last_task_run=True, prev_task_runs="all" in options)


def document(identifier):
    return sca_rhythm.Workflow(app, identifier).workflow


def delete_field(identifier, name):
    """What an operator does by hand in the database."""
    workflow = sca_rhythm.Workflow(app, identifier)
    workflow.wf_col.update_one({"_id": identifier}, {"$unset": {name: ""}})


def purge(queue):
    """Drops what waits in a queue; how many messages that were."""
    with app.connection_for_write() as connection:
        return connection.default_channel.queue_purge(queue)


def waiting(queue):
    with app.connection_for_read() as connection:
        return connection.default_channel.queue_declare(queue, passive=True).message_count


def shown(value):
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return str(value)


COMMANDS = {
    "create": create, "begin": begin, "start": start, "pause": pause, "resume": resume, "resume_slowly": resume_slowly,
    "embellished": embellished, "document": document, "delete_field": delete_field, "purge": purge,
    "waiting": waiting, "writes": writes, "late_update": late_update,
}

# The library prints what it cannot read.
output, sys.stdout = sys.stdout, sys.stderr
result = COMMANDS[sys.argv[1]](*sys.argv[2:])
print("VALUE " + json.dumps(result, default=shown), file=output, flush=True)
