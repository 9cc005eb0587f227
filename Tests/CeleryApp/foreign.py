"""Somebody else's application on the same virtual host: it speaks pickle and answers no remote control."""

import os

from celery import Celery

app = Celery("foreign", broker=os.environ["RHYTHM_APP_BROKER"])
app.conf.update(
    task_serializer="pickle",
    result_serializer="pickle",
    accept_content=["pickle"],
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="foreign.nothing")
def nothing():
    pass
