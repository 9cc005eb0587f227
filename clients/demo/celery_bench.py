"""The Celery application of bench-celery, and its side that speaks Python: the original library, a plain chain, figures.

Steps do nothing but write down when they ran. Whatever orchestrates them is measured by these marks alone: nobody asks
the database meanwhile but for its counter of requests, before and after.

    celery_bench.py begin                                      forgets marks and results, remembers the counters
    celery_bench.py library|chain WORKFLOWS STEPS IN_FLIGHT    runs them, prints figures as a line of JSON
    celery_bench.py marks WORKFLOWS STEPS BEGAN                figures of what somebody else has run
    celery_bench.py status READS                               reads the status of a workflow of the library
    celery_bench.py reads READS MS                             figures of what somebody else has read
    celery_bench.py report FILE                                the table of all figures (NAME LOAD JSON a line)
"""
import contextlib
import io
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
# A line for every process group: its name and the id of its leader.
PROCESSES = os.environ.get("DEMO_PROCESSES", "processes")
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


@app.task(bind=True, base=WorkflowTask, name="bench.bare")
def bare(self, number, **kwargs):
    """As the library's, for a server that sends it without a document, and so without the step's name."""
    number, step = number if isinstance(number, list) else (number, 0)
    mark(number, f"s{step}", time.time())
    return [number, step + 1], {}


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


def cpu_seconds():
    """CPU seconds of every process group so far, by name."""
    with open(PROCESSES, encoding="utf-8") as lines:
        names = {int(line.split()[1]): line.split()[0] for line in lines}
    used = dict.fromkeys(names.values(), 0.0)
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/stat", encoding="utf-8") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # After the name: state, parent, process group, and from the twelfth on user and system time, own and children's.
        group = int(fields[2])
        if group in names:
            used[names[group]] += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return used


def counters():
    status = app.backend.database.client.admin.command("serverStatus")
    return {"requests": status["network"]["numRequests"], "cpu": cpu_seconds()}


def begin():
    clear()
    with open(MARKS + ".before", "w", encoding="utf-8") as file:
        json.dump(counters(), file)


def costs(count):
    """What was used since `begin`, for each of `count`: database requests, and CPU in ms (that is: s per 1,000)."""
    with open(MARKS + ".before", encoding="utf-8") as file:
        before = json.load(file)
    now = counters()
    used = {name: now["cpu"][name] - before["cpu"].get(name, 0) for name in now["cpu"]}
    workers = used.pop("bench", 0)
    return {
        "requests": (now["requests"] - before["requests"]) / count,
        "cpu_ms": 1000 * sum(used.values()) / count, "worker_cpu_ms": 1000 * workers / count,
    }


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
    each = costs(workflows * steps)
    return {
        "workflows_per_s": workflows / took, "gap_p50_ms": statistics.median(gaps),
        "gap_p95_ms": statistics.quantiles(gaps, n=20)[-1], "requests_per_step": each["requests"],
        "cpu_ms_per_step": each["cpu_ms"], "worker_cpu_ms_per_step": each["worker_cpu_ms"],
    }


def read_status(reads):
    """Of the workflow that ran last, as the library's service reads it."""
    newest = app.backend.database["workflow_meta"].find_one({"app_id": "bench"}, sort=[("created_at", -1)])
    before = counters()["requests"]
    times = []
    # With newer Celery the library prints a line for every step.
    with contextlib.redirect_stdout(io.StringIO()):
        for _ in range(reads):
            began = time.perf_counter()
            Workflow(app, newest["_id"]).get_embellished_workflow()
            times.append((time.perf_counter() - began) * 1000)
    # The counter was asked once.
    requests = (counters()["requests"] - before - 1) / reads
    return {"status_ms": statistics.median(times), "requests_per_status": requests}


def start_library(number, steps):
    shape = [{"name": f"s{step}", "task": "bench.library", "queue": QUEUE} for step in range(steps)]
    Workflow(app, steps=shape, name="bench", app_id="bench").start(number)


def start_chain(number, steps):
    chain(*[of_chain.si(number, f"s{step}").set(queue=QUEUE) for step in range(steps)]).apply_async()


def connect():
    """To broker and database, as whoever starts workflows has been for long."""
    app.backend.database.command("ping")
    with app.producer_pool.acquire(block=True) as producer:
        producer.connection.ensure_connection()
        assert producer.channel.is_open


def run(start, workflows, steps, in_flight):
    connect()
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


def ratio(key, ours, other):
    """How much better ours is."""
    over, under = (ours, other) if key == "workflows_per_s" else (other, ours)
    return f"{over / under:.2f}" if over is not None and under else "-"


def report(path):
    """Medians, and the ratios that count. Higher is better for workflows_per_s, lower for the others."""
    values = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            name, load, text = line.split(" ", 2)
            for key, value in json.loads(text).items():
                values.setdefault((load, key), {}).setdefault(name, []).append(value)
    print(
        f"{'load':8} {'figure':22} {'rhythm':>18} {'its tasks':>18} {'bare':>18} {'sca-rhythm':>18} {'plain chain':>18}"
        f" {'vs sca-rhythm':>14} {'its tasks':>10} {'bare':>6} {'vs chain':>9}"
    )
    for (load, key), found in sorted(values.items()):
        middle = {name: statistics.median(each) for name, each in found.items()}
        cells = [
            f"{middle[name]:.1f} ({min(found[name]):.1f}-{max(found[name]):.1f})" if name in middle else "-"
            for name in ("rhythm", "rhythm-same", "rhythm-bare", "library", "chain")
        ]
        pairs = [("rhythm", "library"), ("rhythm-same", "library"), ("rhythm-bare", "library"), ("rhythm", "chain")]
        better = [ratio(key, middle.get(ours), middle.get(name)) for ours, name in pairs]
        print(
            f"{load:8} {key:22} " + " ".join(f"{cell:>18}" for cell in cells)
            + f" {better[0]:>14} {better[1]:>10} {better[2]:>6} {better[3]:>9}"
        )
    print("medians (least-most); a ratio above 1 says that rhythm is better; chain keeps no record of its workflows;")
    print("its tasks: rhythm runs the tasks of sca-rhythm (WorkflowTask), unchanged, instead of plain ones; bare: such")
    print("tasks with --bare-task, for which it stores no document and they none")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "report":
        report(arguments[0])
    elif command == "begin":
        begin()
    elif command == "status":
        print(json.dumps(read_status(int(arguments[0]))))
    elif command == "reads":
        print(json.dumps({"status_ms": float(arguments[1]), "requests_per_status": costs(int(arguments[0]))["requests"]}))
    elif command == "marks":
        print(json.dumps(figures(int(arguments[0]), int(arguments[1]), float(arguments[2]))))
    else:
        starter = {"library": start_library, "chain": start_chain}[command]
        print(json.dumps(run(starter, *map(int, arguments))))
