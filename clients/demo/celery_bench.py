"""The Celery application of bench-celery, and its side that speaks Python: the original library, a plain chain, figures.

Steps do nothing but write down when they ran. Whatever orchestrates them is measured by these marks alone: nobody asks
the database meanwhile.

    celery_bench.py library|chain WORKFLOWS STEPS IN_FLIGHT    runs them, prints figures as a line of JSON
    celery_bench.py marks WORKFLOWS STEPS BEGAN                figures of what somebody else has run
    celery_bench.py clear                                      forgets marks and results
    celery_bench.py report FILE                                the table of all figures (NAME LOAD JSON a line)
"""
import json
import os
import statistics
import sys
import time

from celery import Celery, chain
from sca_rhythm import Workflow, WorkflowTask

app = Celery("celery_bench", broker=os.environ.get("DEMO_BROKER"), backend=os.environ.get("DEMO_RESULTS"))
app.conf.update(
    task_track_started=True, result_extended=True, result_expires=None, broker_connection_retry_on_startup=True,
)
MARKS = os.environ.get("DEMO_MARKS", "marks")
QUEUE = "bench"


def mark(number, step, began):
    """One write, so that lines of several processes do not mix."""
    file = os.open(MARKS, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{number} {step} {began:.6f} {time.time():.6f}\n".encode())
    os.close(file)


@app.task(bind=True, base=WorkflowTask, name="bench.library")
def of_library(self, number, **kwargs):
    mark(number, kwargs["step"], time.time())
    return number, {}


@app.task(name="bench.plain")
def plain(number, **kwargs):
    mark(number, kwargs["step"], time.time())
    return number, {}


@app.task(name="bench.chain")
def of_chain(number, step):
    mark(number, step, time.time())
    return number, {}


def marks():
    with open(MARKS, encoding="utf-8") as lines:
        for line in lines:
            number, step, began, ended = line.split()
            yield int(number), int(step.lstrip("s")), float(began), float(ended)


def is_over(workflows, steps):
    try:
        with open(MARKS, "rb") as file:
            return file.read().count(b"\n") >= workflows * steps
    except FileNotFoundError:
        return False


def ended(steps):
    try:
        with open(MARKS, encoding="utf-8") as lines:
            return sum(1 for line in lines if line.split()[1].lstrip("s") == str(steps - 1))
    except FileNotFoundError:
        return 0


def figures(workflows, steps, began):
    end = time.time() + 300
    while not is_over(workflows, steps):
        if time.time() > end:
            sys.exit("bench-celery: the steps do not end")
        time.sleep(0.02)
    runs = {}
    for number, step, start, stop in marks():
        if (number, step) in runs:
            sys.exit(f"bench-celery: step {step} of workflow {number} ran twice")
        runs[number, step] = (start, stop)
    took = max(stop for _, stop in runs.values()) - began
    gaps = [
        (runs[number, step + 1][0] - runs[number, step][1]) * 1000
        for number in range(workflows) for step in range(steps - 1)
    ]
    return {"workflows_per_s": workflows / took, "took_ms": took * 1000, "gap_p50_ms": statistics.median(gaps)}


def start_library(number, steps):
    shape = [{"name": f"s{step}", "task": "bench.library", "queue": QUEUE} for step in range(steps)]
    Workflow(app, steps=shape, name="bench", app_id="bench").start(number)


def start_chain(number, steps):
    chain(*[of_chain.si(number, f"s{step}").set(queue=QUEUE) for step in range(steps)]).apply_async()


def run(start, workflows, steps, in_flight):
    began = time.time()
    for number in range(workflows):
        while number - in_flight >= ended(steps):
            time.sleep(0.002)
        start(number, steps)
    return figures(workflows, steps, began)


def clear():
    if os.path.exists(MARKS):
        os.unlink(MARKS)
    for name in ("celery_taskmeta", "workflow_meta"):
        app.backend.database[name].delete_many({})


def report(path):
    """Medians, and the ratios that count. Higher is better for workflows_per_s, lower for the others."""
    values = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            name, load, text = line.split(" ", 2)
            for key, value in json.loads(text).items():
                values.setdefault((load, key), {}).setdefault(name, []).append(value)
    print(f"{'load':8} {'figure':16} {'rhythm':>18} {'sca-rhythm':>18} {'plain chain':>18} {'vs sca-rhythm':>14} {'vs chain':>9}")
    for (load, key), found in sorted(values.items()):
        middle = {name: statistics.median(each) for name, each in found.items()}
        cells = [
            f"{middle[name]:.1f} ({min(found[name]):.1f}-{max(found[name]):.1f})" for name in ("rhythm", "library", "chain")
        ]
        better = [
            middle["rhythm"] / middle[name] if key == "workflows_per_s" else middle[name] / middle["rhythm"]
            for name in ("library", "chain")
        ]
        print(f"{load:8} {key:16} " + " ".join(f"{cell:>18}" for cell in cells) + f" {better[0]:14.2f} {better[1]:9.2f}")
    print("medians (least-most); a ratio above 1 says that rhythm is better; chain keeps no record of its workflows")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "report":
        report(arguments[0])
    elif command == "clear":
        clear()
    elif command == "marks":
        print(json.dumps(figures(int(arguments[0]), int(arguments[1]), float(arguments[2]))))
    else:
        starter = {"library": start_library, "chain": start_chain}[command]
        print(json.dumps(run(starter, *map(int, arguments))))
