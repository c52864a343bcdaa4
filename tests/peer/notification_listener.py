"""Reads notifications as other OpenStack services do, by oslo.messaging; prints one line of JSON for each. Runs in the
environment that has oslo.messaging; imports nothing of ours.

    python notification_listener.py rabbit://guest:guest@127.0.0.1:5672/
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from typing import Any

import oslo_messaging
from oslo_config import cfg


def say(found: dict[str, Any]) -> None:
    """In one write: several threads hear at a time, and `print` writes the end of a line for itself."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


class Endpoint:
    def info(self, ctxt: Any, publisher_id: str, event_type: str, payload: Any, metadata: Any) -> None:
        found = {"publisher": publisher_id, "type": event_type, "payload": payload, "context": dict(ctxt)}
        say(found)


def main() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("[oslo_messaging_rabbit]\namqp_durable_queues = true\n")
        file.flush()
        conf = cfg.ConfigOpts()
        conf([], project="listener", default_config_files=[file.name])
    transport = oslo_messaging.get_notification_transport(conf, url=sys.argv[1])
    targets = [oslo_messaging.Target(topic="notifications", exchange="neutron")]
    listener = oslo_messaging.get_notification_listener(transport, targets, [Endpoint()], executor="threading")
    listener.start()
    say({"ready": True})
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main()
