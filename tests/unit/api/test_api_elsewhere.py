"""Rules that a server elsewhere decides: right, in time, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import uvloop

from netloom.api.app import make_app
from netloom.api.aside import Aside, do_aside
from netloom.api.identity.noauth import NoAuth
from netloom.api.parts import ApiParts
from netloom.api.rules import make_policy_source
from netloom.intent.catalog import CATALOG
from tests.unit.api.api_client import ADMIN, MEMBER, Headers, Memory, Reply, exchange

RUNNERS: list[Callable[[Any], Any]] = [asyncio.run, uvloop.run]


@dataclass
class Judge:
    """A policy server. `gate` holds its answers back; `says` decides by what it is sent."""

    says: Callable[[dict[str, Any]], bool] = lambda sent: True
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def judging(judge: Judge) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            sent = {name: json.loads(values[0]) for name, values in parse_qs(body).items()}
            judge.asked.append(sent)
            judge.gate.wait(20)
            answer = str(judge.says(sent)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/judge"
    finally:
        judge.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class House:
    """An API whose policy file is `rules`, as main composes it."""

    rules: dict[str, str]
    folder: Path
    timeout_s: float = 10.0
    memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        path = self.folder / "policy.yaml"
        path.write_text(json.dumps(self.rules))
        policy = make_policy_source(CATALOG, str(path), {"remote_timeout": self.timeout_s})
        parts = ApiParts(CATALOG, lambda: self.memory.snapshot, self.memory, NoAuth(), policy)
        self.app = Aside(make_app(parts), lambda: policy.elsewhere)

    async def send(self, method: str, path: str, who: Headers = MEMBER, **body: Any) -> Reply:
        return await exchange(self.app, method, path, json.dumps(body).encode() if body else b"", who)  # type: ignore[arg-type]


@pytest.mark.parametrize("run", RUNNERS, ids=["asyncio", "uvloop"])
def test_others_are_served_while_a_rule_is_asked_elsewhere(run: Callable[[Any], Any], tmp_path: Path) -> None:
    """One request waits for a policy server that does not answer; a hundred others are answered meanwhile."""
    judge = Judge()
    with judging(judge) as url:
        house = House({"create_network": url}, tmp_path)

        async def main() -> tuple[Reply, list[int], float]:
            slow = asyncio.ensure_future(house.send("POST", "/v2.0/networks", network={"name": "n"}))
            while not judge.asked:
                await asyncio.sleep(0.005)
            start = time.perf_counter()
            statuses = [(await house.send("GET", "/v2.0/networks")).status for _ in range(100)]
            took = time.perf_counter() - start
            assert not slow.done()
            judge.gate.set()
            return await slow, statuses, took

        made, statuses, took = run(main())
    assert statuses == [200] * 100
    assert took < 5, "the judge would have held them for 20 s"
    assert made.status == 201
    (sent,) = judge.asked
    assert sent["rule"] == "create_network"
    assert sent["target"]["name"] == "n"
    assert sent["credentials"]["project_id"] == "demo"


def test_many_wait_at_the_same_time(tmp_path: Path) -> None:
    """Twenty requests for the same slow server wait together, not one after the other."""
    judge = Judge()
    with judging(judge) as url:
        house = House({"create_network": url}, tmp_path)

        async def main() -> list[Reply]:
            waiting = [
                asyncio.ensure_future(house.send("POST", "/v2.0/networks", network={"name": f"n{n}"}))
                for n in range(20)
            ]
            while len(judge.asked) < 20:
                await asyncio.sleep(0.005)
            judge.gate.set()
            return await asyncio.gather(*waiting)

        made = asyncio.run(main())
    assert [reply.status for reply in made] == [201] * 20
    assert len({reply.json["network"]["id"] for reply in made}) == 20


def test_a_verdict_is_of_the_object_and_the_requester(tmp_path: Path) -> None:
    """Each object of a list is asked about; what is refused is not shown, and administrators are not asked about."""
    judge = Judge(lambda sent: bool(sent["target"]["name"] != "secret"))
    judge.gate.set()
    with judging(judge) as url:
        house = House({"get_network": url}, tmp_path)

        async def main() -> tuple[list[str], int]:
            for name in ("a", "secret", "b"):
                await house.send("POST", "/v2.0/networks", ADMIN, network={"name": name, "project_id": "demo"})
            shown = await house.send("GET", "/v2.0/networks?sort_key=name&sort_dir=asc")
            asked = len(judge.asked)
            await house.send("GET", "/v2.0/networks", ADMIN)
            return [network["name"] for network in shown.json["networks"]], len(judge.asked) - asked

        assert asyncio.run(main()) == (["a", "b"], 0)


@pytest.mark.parametrize("hold", [True, False], ids=["silent", "gone"])
def test_a_rule_that_cannot_be_asked_allows_nothing(hold: bool, tmp_path: Path) -> None:
    """A policy server that is silent, or gone, makes a 503 that names the rule; nothing is made."""
    judge = Judge()
    with judging(judge) as url:
        house = House({"create_network": url if hold else "http://127.0.0.1:1/x"}, tmp_path, timeout_s=0.2)
        reply = asyncio.run(house.send("POST", "/v2.0/networks", network={"name": "n"}))
    assert reply.error == (
        503, "ServiceUnavailable", "The policy rule create_network cannot be asked now. Try again later.",
    )  # fmt: skip
    assert house.memory.snapshot.count("network") == 0


def test_a_request_that_is_given_up_ends(tmp_path: Path) -> None:
    """A client that goes away while a rule is asked leaves nothing made."""
    judge = Judge()
    with judging(judge) as url:
        house = House({"create_network": url}, tmp_path)

        async def main() -> None:
            slow = asyncio.ensure_future(house.send("POST", "/v2.0/networks", network={"name": "n"}))
            while not judge.asked:
                await asyncio.sleep(0.005)
            slow.cancel()
            with pytest.raises(asyncio.CancelledError):
                await slow

        asyncio.run(main())
    assert house.memory.snapshot.count("network") == 0


def test_without_such_rules_requests_run_as_they_are(tmp_path: Path) -> None:
    """A policy that is decided here costs no stack of its own; one that changes is noticed."""
    assert not make_policy_source(CATALOG).elsewhere
    path = tmp_path / "policy.yaml"
    path.write_text('{"get_network": "role:member and not (role:x or http://h/y)"}')
    assert make_policy_source(CATALOG, str(path)).elsewhere


def test_aside_gives_what_the_work_gives() -> None:
    """Its value, its error; and it is just called where there is no request."""
    assert do_aside(lambda: 7, 1) == 7

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(do_aside(lambda: threading.current_thread().name, 5))
        with pytest.raises(ZeroDivisionError):
            do_aside(lambda: 1 // 0, 5)
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            do_aside(lambda: time.sleep(0.1), 0.01)
        raise LookupError("out")

    said: list[str] = []

    async def send(name: str) -> None:
        said.append(name)

    aside = Aside(app, lambda: True)
    with pytest.raises(LookupError, match="out"):
        asyncio.run(aside({}, None, send))
    aside.close()
    assert said[0].startswith("aside")
