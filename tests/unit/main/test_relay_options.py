"""What a relay is told, and what it is refused with."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest

from netloom.feed.pki import JoinError
from netloom.main.options.checks import OptionError
from netloom.main.options.host import load_host_options
from netloom.main.options.relay import is_relay_role, load_relay_options
from netloom.main.options.server import load_server_options
from netloom.main.servers.broker import load_bus
from netloom.main.servers.relay import join_relay


def test_a_relay_is_a_server_in_another_role(tmp_path: Path) -> None:
    """The same file may say which; without a word it is a server."""
    path = tmp_path / "netloom.conf"
    path.write_text("[netloom]\nrole = relay\nupstream = s1:9697, [2001:db8::1]:9697\nfeed_listen = 0.0.0.0:9700\n")
    assert is_relay_role((path,), {}) and not is_relay_role((), {})
    options = load_relay_options((path,), {"state_path": str(tmp_path), "netloom.nats_servers": "nats://b:4222"})
    assert options.upstream == ("s1:9697", "[2001:db8::1]:9697") and options.listen == ("0.0.0.0:9700",)
    assert options.nats_servers == ("nats://b:4222",) and options.state_path == tmp_path


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, "upstream"),
        ({"netloom.upstream": "nowhere"}, "host:port"),
        ({"netloom.upstream": "s:1", "netloom.nats_servers": "b:4222"}, "nats://"),
    ],
)
def test_a_relay_that_cannot_be_is_told_why(given: dict[str, str], word: str) -> None:
    """No server to follow, an address that is none, a broker without a scheme: the option is named."""
    with pytest.raises(OptionError, match=word):
        load_relay_options((), given)


def test_a_hosts_token_makes_no_relay(tmp_path: Path) -> None:
    """It is said before anybody is asked."""
    options = load_relay_options((), {"state_path": str(tmp_path), "netloom.upstream": f"unix:{tmp_path}/none"})
    with pytest.raises(JoinError, match="relay/r1"):
        join_relay(options, f"h1:secret:{'0' * 64}")
    with pytest.raises(JoinError, match="none"):
        join_relay(options, f"relay/r1:secret:{'0' * 64}")


def test_a_host_may_have_several_ways(tmp_path: Path) -> None:
    """Relays and servers, with commas between them; each is checked."""
    options = load_host_options((), {"netloom.feed_server": "r1:9697, r2:9697,unix:/run/s"})
    assert options.feed_server == "r1:9697,r2:9697,unix:/run/s"
    with pytest.raises(OptionError, match="host:port"):
        load_host_options((), {"netloom.feed_server": "r1:9697,r2"})


def test_the_brokers_password_is_a_secret() -> None:
    """It is struck out of what is logged."""
    given = {"netloom.nats_servers": "nats://net:opensesame@b:4222"}
    assert "opensesame" in load_server_options((), given).log.secrets


def test_a_broker_without_its_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to install."""
    found = builtins.__import__

    def load(name: str, *rest: object, **more: object) -> object:
        if "nats" in name or "nats_bus" in str(rest):
            raise ImportError(name)
        return found(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", load)
    with pytest.raises(OptionError, match=r"netloom\[nats\]"):
        load_bus(["nats://b:4222"])
