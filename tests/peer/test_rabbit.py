"""A real server, a real RabbitMQ, and oslo.messaging's listener, which other services use."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from netloom.notify.place import StorePlace
from netloom.store.engine import open_reader
from tests.faults.server import Server
from tests.faults.test_nova_is_told import ask
from tests.peer.judges import ROOT, VENV, install, plain_environment
from tests.peer.rabbit import Rabbit, is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason="RabbitMQ is not installed: scripts/setup judges")


@contextmanager
def run_listener(url: str) -> Iterator[queue.Queue[dict[str, Any]]]:
    """What it hears, as it comes."""
    install()
    command = [str(VENV / "bin" / "python"), str(ROOT / "tests/peer/notification_listener.py"), url]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=plain_environment()
    )
    heard: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                heard.put(json.loads(line))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert heard.get(timeout=60) == {"ready": True}
        yield heard
    finally:
        process.kill()
        process.wait()
        thread.join()
        assert process.stdout is not None
        process.stdout.close()


def take(heard: queue.Queue[dict[str, Any]], type: str, within_s: float = 60) -> dict[str, Any]:
    """The next message of a type; others are passed over."""
    end = time.monotonic() + within_s
    while True:
        message = heard.get(timeout=max(end - time.monotonic(), 0.01))
        if message["type"] == type:
            return message


def test_other_services_hear_what_happens(tmp_path: Path) -> None:
    """What is sent before anybody listens, what comes later, and what happened while the broker was gone."""
    broker = Rabbit(tmp_path / "rabbit")
    broker.start()
    options = {
        "transport_url": broker.url, "oslo_messaging_notifications.driver": "messagingv2",
        "oslo_messaging_rabbit.amqp_durable_queues": "true", "host": "api-1",
    }  # fmt: skip
    server = Server(tmp_path / "s", extra=tuple(w for n, v in options.items() for w in ("--set", f"{n}={v}")))
    try:
        server.start()
        network = ask(server, "POST", "networks", network={"name": "early"})["network"]
        wait_queue(server)
        broker.stop()  # kill -9
        ask(server, "PUT", f"networks/{network['id']}", network={"name": "meanwhile"})
        broker.start()
        with run_listener(broker.url) as heard:
            made = take(heard, "network.create.end")
            assert made["payload"]["network"]["name"] == "early" and made["publisher"] == "network.api-1"
            assert made["context"]["request_id"].startswith("req-")
            assert take(heard, "network.update.end")["payload"]["network"]["name"] == "meanwhile"
            ask(server, "DELETE", f"networks/{network['id']}")
            assert take(heard, "network.delete.end")["payload"]["network_id"] == network["id"]
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()
        broker.stop()


def wait_queue(server: Server) -> None:
    """Until the broker has confirmed what was told so far."""
    store, end = open_reader(f"sqlite:///{server.state}/netloom.db"), time.monotonic() + 60
    try:
        while StorePlace(store, "rabbit").load() is None:
            assert time.monotonic() < end, server.log.read_text()[-2000:]
            time.sleep(0.05)
    finally:
        store.close()
