from __future__ import annotations

from netloom.model.device import Guard, Link
from netloom.model.plan import Failure, Put, Remove, Thing
from netloom.reconcile.backoff import Backoff, Retries, describe_op

STEADY = Backoff(first_s=1.0, most_s=8.0, spread=0.0)
A = Put(Thing(("link", "a"), Link()))
B = Put(Thing(("guard", "b"), Guard()))


def fail(retries: Retries, now_s: float, retry: bool = True) -> Retries:
    return retries.note((A, B), [Failure(A, "no device", retry)], now_s, 0.5, STEADY)


def test_waits_grow_to_a_limit() -> None:
    """A device that stays away is tried ever less often, but never less than every few seconds."""
    waits, retries, now_s = [], Retries(), 0.0
    for _ in range(6):
        retries = fail(retries, now_s)
        wait_s = retries.find_due((A,), now_s)[1]
        assert wait_s is not None
        waits.append(wait_s)
        now_s += wait_s
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_one_bad_thing_delays_no_other() -> None:
    """While one device is waited for, the others are served."""
    assert fail(Retries(), 10.0).find_due((A, B), 10.5) == ((B,), 0.5)
    assert fail(Retries(), 10.0).find_due((A, B), 11.0) == ((A, B), None)


def test_success_forgets_the_failures() -> None:
    """A device that came back starts afresh."""
    retries = fail(fail(Retries(), 0.0), 1.0).note((A,), [], 3.0, 0.5, STEADY)
    assert retries == Retries()


def test_what_can_never_work_waits_for_another_wish() -> None:
    """A flow that the switch calls nonsense is not sent again until it is another flow."""
    retries = fail(Retries(), 0.0, retry=False)
    assert retries.find_due((A,), 1e9) == ((), None)
    other = Put(Thing(("link", "a"), Link(mtu=1400)))
    assert retries.find_due((other,), 0.0) == ((other,), None)
    assert retries.find_due((Remove(A.thing),), 0.0)[0] == (Remove(A.thing),)


def test_another_wish_counts_from_one() -> None:
    """A changed thing does not inherit the waits of the old one."""
    other = Put(Thing(("link", "a"), Link(mtu=1400)))
    retries = fail(fail(Retries(), 0.0), 0.0).note((other,), [Failure(other, "no")], 0.0, 0.5, STEADY)
    assert retries.find_due((other,), 0.0)[1] == 1.0


def test_what_nobody_wants_any_more_is_forgotten() -> None:
    """A port that was deleted leaves no memory of its failures."""
    retries = fail(Retries(), 0.0)
    assert retries.forget_missing((A,)) is retries
    assert retries.forget_missing((B,)) == Retries()


def test_hosts_do_not_try_in_step() -> None:
    """The wait is spread by chance, within the given part of it."""
    backoff = Backoff(1.0, 8.0, spread=0.5)
    assert (backoff.delay_s(1, 0.0), backoff.delay_s(1, 1.0)) == (0.5, 1.5)


def test_an_op_is_told_with_its_reason() -> None:
    """A log line says what was to be done and why."""
    assert describe_op(A) == "make link a because of host at revision 0 by host"
