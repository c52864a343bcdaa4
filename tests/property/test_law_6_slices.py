"""Law 6: slices kept current change by change are what they would be if computed whole, however one got there."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.agents.agent import report_host
from netloom.intent.errors import ApiError
from netloom.intent.snapshot import Change
from netloom.model.delta import SliceDelta, apply_delta, squash_deltas
from netloom.model.digest import change_digest, digest_rows
from netloom.model.slices import Slice, find_leads
from netloom.resolve.slices import SliceBook, resolve_slice
from tests.unit.intent.intent_kit import World

HOSTS = ("h1", "h2")
TOLD = {"tunneling_ip": "192.0.2.9", "tunnel_types": ["vxlan"]}
Step = Callable[["Recorder"], object]


class Recorder(World):
    """A world that keeps the changes of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[Change] = []

    def take(self, outcome):  # type: ignore[no-untyped-def]
        self.changes += outcome.changes
        return super().take(outcome)

    def nth(self, kind: str, n: int) -> str:
        ids = sorted(self.snapshot.records(kind))
        return ids[n % len(ids)] if ids else "00000000-0000-4000-8000-ffffffffffff"

    def change(self, kind: str, n: int, changes: dict[str, object]) -> None:
        self.update(kind, {"id": self.nth(kind, n)}, None, **changes)

    def remove(self, kind: str, n: int) -> None:
        self.delete(kind, {"id": self.nth(kind, n)})


def attempt(work: Callable[[], object]) -> None:
    try:
        work()
    except ApiError:
        pass


pick = st.integers(0, 4)
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(lambda: lambda w: w.create("network", {})),
    st.builds(lambda n: lambda w: w.create("subnet", {
        "network_id": w.nth("network", n), "cidr": "10.0.0.0/24", "ip_version": 4}), pick),
    st.builds(lambda n, h: lambda w: w.create("port", {
        "network_id": w.nth("network", n), "binding:host_id": h}), pick, st.sampled_from((*HOSTS, ""))),
    st.builds(lambda n, h: lambda w: w.change("port", n, {"binding:host_id": h}), pick,
              st.sampled_from((*HOSTS, ""))),
    st.builds(lambda n: lambda w: w.change("port", n, {"admin_state_up": False}), pick),
    st.builds(lambda n: lambda w: w.change("network", n, {"name": "x", "mtu": 1400}), pick),
    st.builds(lambda n: lambda w: w.remove("port", n), pick),
    st.builds(lambda n: lambda w: w.remove("network", n), pick),
    st.builds(lambda h, n: lambda w: w.run(lambda s, c: report_host(
        s, c, h, {"tunneling_ip": f"192.0.2.{n + 1}", "tunnel_types": ["vxlan"]}, "nova")),
        st.sampled_from(HOSTS), pick),
)  # fmt: skip


def same(a: Slice | None, b: Slice | None) -> bool:
    return (a is None) == (b is None) and (a is None or b is None or dict(a.rows) == dict(b.rows))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(steps, st.booleans()), min_size=3, max_size=25))
def test_law_6_a_followed_slice_is_what_it_would_be_if_computed_whole(story: list[tuple[Step, bool]]) -> None:
    """Whatever is asked, and however many commits are taken at once."""
    world = Recorder()
    for host in HOSTS:
        world.run(lambda s, c, host=host: report_host(s, c, host, TOLD, "nova"))  # type: ignore[misc]
    book = SliceBook(world.snapshot)
    held: dict[str, Slice | None] = {}
    digests: dict[str, int] = {}
    for name in [f"host/{host}" for host in HOSTS]:
        found = held[name] = book.follow(name)
        digests[name] = digest_rows(found.rows if found else {})
    world.changes.clear()
    for step, commit in story:
        attempt(lambda step=step: step(world))  # type: ignore[misc]
        for network in world.snapshot.records("network"):
            if f"network/{network}" not in held and commit:
                held[f"network/{network}"] = book.follow(f"network/{network}")
                found = held[f"network/{network}"]
                digests[f"network/{network}"] = digest_rows(found.rows if found else {})
        if commit:
            check_advance(book, world, held, digests)


def check_advance(book: SliceBook, world: Recorder, held: dict[str, Slice | None], digests: dict[str, int]) -> None:
    deltas = book.advance(world.changes, world.snapshot)
    world.changes.clear()
    for name, delta in deltas.items():
        before = held[name]
        digests[name] = change_digest(
            digests[name], before.rows if before and not delta.whole else {}, delta.put, delta.drop
        )
        held[name] = apply_delta(before, delta)
    for name, kept in held.items():
        whole = resolve_slice(world.snapshot, name)
        assert same(book.slice(name), whole), name
        assert book.leads(name) == find_leads(whole.rows if whole else {}), name
        assert same(kept, whole), name
        if kept is not None:
            assert digests[name] == digest_rows(kept.rows)


def test_two_deltas_squashed_do_what_they_do_in_turn() -> None:
    """A slow host that is told once of two commits is where a fast one is."""
    start = Slice("network/n", 1, {})
    one = SliceDelta("network/n", 1, 2, {"a": 1, "b": 2})  # type: ignore[dict-item]
    two = SliceDelta("network/n", 2, 3, {"b": 3}, ("a",))  # type: ignore[dict-item]
    turn = apply_delta(apply_delta(start, one), two)
    assert turn is not None and turn == apply_delta(start, squash_deltas(one, two))
    assert repr(dict(turn.rows)) == "{'b': 3}"
