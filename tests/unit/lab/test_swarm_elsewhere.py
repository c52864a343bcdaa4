"""What a swarm asks for before it joins a server that runs already."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from netloom.lab.shell import LabError
from netloom.lab.swarm import Wanted
from netloom.lab.swarm_elsewhere import Elsewhere, check_joining, check_server, find_feed, parse_joining
from netloom.lab.swarm_job import Asked, read_joining, refuse_elsewhere
from netloom.lab.swarm_plan import Shape

NO_MORE = Asked(changes=1, restart=False, verify=False)


def test_hosts_connect_where_the_api_is_unless_told_otherwise() -> None:
    """A server listens for hosts on port 9697 of its machine."""
    assert find_feed("http://192.0.2.1:9696", "") == "192.0.2.1:9697"
    assert find_feed("http://[2001:db8::1]:9696", "") == "[2001:db8::1]:9697"
    assert find_feed("http://192.0.2.1:9696", "10.0.0.1:1") == "10.0.0.1:1"


def test_a_host_gets_its_own_token_and_no_other() -> None:
    """A process of hosts is told the tokens of its hosts alone."""
    joining = parse_joining("h00001:secret:print\nh00002:other:print\n")
    server = Elsewhere(Path(), "http://192.0.2.1:9696", "192.0.2.1:9697", "t", joining)
    assert server.find_papers(["h00002", "h00003"]) == {"joining": {"h00002": "h00002:other:print"}}
    assert server.headers == {"X-Auth-Token": "t"}


def test_hosts_that_cannot_join_are_named_with_the_command_that_helps(tmp_path: Path) -> None:
    """Who joined before, in the same folder, needs no other token."""
    papers = tmp_path / "hosts/h00002/cert.pem"
    papers.parent.mkdir(parents=True)
    papers.touch()
    with pytest.raises(LabError, match=r"h00003, h00004, h00005 and 1 more cannot join.*netloom agent token.* 6"):
        check_joining(Shape(hosts=6), {"h00001": "h00001:s:f"}, tmp_path)
    check_joining(Shape(hosts=2), {"h00001": "h00001:s:f"}, tmp_path)


@pytest.mark.parametrize(
    ("wanted", "asked", "words"),
    [
        (Wanted(), Asked(1, restart=True, verify=False), "--restart"),
        (Wanted(relays=1), NO_MORE, "--relay"),
        (Wanted(), Asked(1, restart=False, verify=True), "--check .* --database"),
        (Wanted(database="sqlite:///x"), NO_MORE, "--database"),
    ],
)
def test_what_cannot_be_done_to_somebody_elses_server_is_refused(wanted: Wanted, asked: Asked, words: str) -> None:
    """The message names the option."""
    with pytest.raises(LabError, match=words):
        refuse_elsewhere(wanted, asked)


def test_a_file_of_tokens_that_is_not_there_is_named(tmp_path: Path) -> None:
    """As the option that named it."""
    with pytest.raises(LabError, match=f"--join-tokens {tmp_path}/none cannot be read"):
        read_joining(str(tmp_path / "none"))


@pytest.mark.parametrize(("status", "words"), [(401, "--token"), (403, "an administrator's"), (503, "says 503: later")])
def test_a_server_that_refuses_is_told_of_in_words(status: int, words: str) -> None:
    """A token that is missing is asked for."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, text="later")

    async def ask() -> None:
        async with httpx.AsyncClient(base_url="http://192.0.2.1", transport=httpx.MockTransport(answer)) as http:
            await check_server(http)

    with pytest.raises(LabError, match=words):
        asyncio.run(ask())


def test_a_server_that_does_not_answer_is_told_of_in_words() -> None:
    """It is the URL that is doubted."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    async def ask() -> None:
        async with httpx.AsyncClient(base_url="http://192.0.2.1", transport=httpx.MockTransport(refuse)) as http:
            await check_server(http)

    with pytest.raises(LabError, match=r"no answer from http://192\.0\.2\.1.*--server"):
        asyncio.run(ask())
