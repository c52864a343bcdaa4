"""What an agent is made of: its papers, and what it tells of its host."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest

from netloom.feed.messages import Joined
from netloom.feed.pki import JoinError, encode_key, issue, load_key, make_authority, make_key, make_token
from netloom.main.hosts.agent import Papers, describe_host, join, make_facts, make_feed, run_agent
from netloom.main.options.host import HostOptions

NOW = datetime.datetime.now(datetime.UTC)


def make_options(folder: Path, server: str = "unix:/nowhere") -> HostOptions:
    return HostOptions("h1", folder / "state", server, folder, local_ip="192.0.2.1", tunnel_types=("vxlan",))


def make_papers(folder: Path, since: datetime.datetime) -> Papers:
    authority, key, papers = make_authority(NOW), make_key(), Papers(folder)
    papers.write(papers.key, encode_key(key))
    certificate = issue(authority, "h1", key.public_key(), since, server=False)
    papers.save(Joined(certificate.decode(), authority.certificate.decode()))
    return papers


def test_papers_are_for_the_agent_alone(tmp_path: Path) -> None:
    """The key can be read by its owner only, is replaced whole, and gives a TLS context."""
    papers = make_papers(tmp_path / "state", NOW)
    assert papers.whole
    assert stat.S_IMODE(papers.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(papers.folder.stat().st_mode) == 0o700
    papers.open_context()
    papers.write(papers.key, b"other")
    assert papers.key.read_bytes() == b"other"
    assert not list(papers.folder.glob("*.new"))


def test_a_certificate_is_renewed_in_time(tmp_path: Path) -> None:
    """A fresh certificate is kept; one near its end asks for the next with the same key."""
    assert make_papers(tmp_path / "new", NOW).make_renewal("h1") is None
    old = make_papers(tmp_path / "old", NOW - datetime.timedelta(days=3650))
    assert "CERTIFICATE REQUEST" in (old.make_renewal("h1") or "")
    load_key(old.key.read_bytes())


def test_a_token_for_another_host_is_no_use(tmp_path: Path) -> None:
    """The refusal names both hosts, before anybody is asked."""
    token = make_token("h2", "secret", make_authority(NOW).certificate)
    with pytest.raises(JoinError, match="for host h2, and this host is h1"):
        join(make_options(tmp_path), token)
    with pytest.raises(JoinError, match="where is the server"):
        join(make_options(tmp_path, ""), make_token("h1", "secret", make_authority(NOW).certificate))


def test_an_agent_that_never_joined_says_what_to_do(tmp_path: Path) -> None:
    """It does not start, and names the command."""
    with pytest.raises(JoinError, match="netloom agent token h1"):
        run_agent(make_options(tmp_path))


def test_a_fresh_agent_knows_no_slices_and_may_not_sweep(tmp_path: Path) -> None:
    """An empty state folder is an incomplete feed."""
    feed = make_feed(make_options(tmp_path))
    assert (feed.slices, feed.complete) == ({}, False)


def test_what_is_told_of_a_host_is_what_renders_its_flows(tmp_path: Path) -> None:
    """The API shows the tunnel address and types under Neutron's names, the same that the flows are made from."""
    options = make_options(tmp_path)
    told, facts = describe_host(options), make_facts(options)
    assert (told["tunneling_ip"], told["tunnel_types"]) == (facts.tunnel_ip, list(facts.tunnel_types))
    assert told["integration_bridge"] == facts.integration_bridge == "br-int"
