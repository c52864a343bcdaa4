"""Shapes in the words of tc, both ways: pure, so that it can be tested without a kernel.

Classes are numbered from 1 in the order of the shape; the total, where there is one, is class 0xfff0 above them. Tests
are u32 keys: addresses as offsets from the network header, the sender's MAC as offsets before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from netloom.model.address import ip_int, ip_text, mac_int, mac_text
from netloom.model.device import Shape, ShapeClass, fit_burst
from netloom.model.plan import Op, Put

MAJOR = "4e4c"
HANDLE = f"{MAJOR}:"
TOTAL = 0xFFF0
QUEUED = 64
"""Packets that wait in a shared queue, over all classes: fewer than fill the buffer of the socket that a switch in
userspace sends by (208 KiB), or who sends most would have most of that, whatever the classes say."""
LEAST_QUEUED = 8
_QDISC = re.compile(rf"^qdisc htb {MAJOR}: dev (\S+) root", re.MULTILINE)
_CLASS = re.compile(rf"^class htb {MAJOR}:([0-9a-f]+) .*?rate (\S+) ceil (\S+) .*?burst ([0-9.]+[KMG]?b)", re.MULTILINE)
_FLOW = re.compile(rf"flowid {MAJOR}:([0-9a-f]+)")
_KEY = re.compile(r"^\s*match ([0-9a-f]{8})/([0-9a-f]{8}) at (-?\d+)", re.MULTILINE)
SOURCE, DESTINATION, MAC_HIGH, MAC_LOW = 12, 16, -8, -4
_RATES = {"bit": 1, "Kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9, "Tbit": 10**12}
_SIZES = {"b": 1, "Kb": 1024, "Mb": 1024**2, "Gb": 1024**3}


def find_shaped(text: str) -> list[str]:
    """The devices with a root queue of ours, from `tc qdisc show`."""
    return _QDISC.findall(text)


def render_commands(device: str, op: Op) -> Iterator[tuple[str, bool]]:
    """Batches for `tc -batch`, and whether one may fail: a queue that is not there need not be taken away."""
    yield f"qdisc del dev {device} root handle {HANDLE}\n", True
    if isinstance(op, Put):
        switched = not op.thing.key[1]
        yield "".join(f"{line}\n" for line in render_shape(device, op.thing.value, switched)), False


def render_shape(device: str, shape: Shape, switched: bool = True) -> Iterator[str]:
    """`switched`: a switch sends by the device, and in user space by one socket for all classes."""
    yield f"qdisc add dev {device} root handle {HANDLE} htb default {find_default(shape):x}"
    parent = HANDLE
    if shape.total:
        parent = f"{MAJOR}:{TOTAL:x}"
        burst = fit_burst(max(shape.total // 250, 13), shape.total)
        yield class_line(device, HANDLE, TOTAL, ShapeClass(shape.total, shape.total, burst))
    for number, one in enumerate(shape.classes, 1):
        yield class_line(device, parent, number, one)
        keys = render_keys(one)
        if shape.total or (keys and switched):
            yield f"qdisc add dev {device} parent {MAJOR}:{number:x} pfifo limit {count_waiting(shape, one)}"
        if keys:
            what = "protocol all prio 1" if one.mac else "protocol ip prio 2"
            yield f"filter add dev {device} parent {HANDLE} {what} u32 {keys} flowid {MAJOR}:{number:x}"


def count_waiting(shape: Shape, one: ShapeClass) -> int:
    """Packets of a class that wait; of classes that share a total, by its rate: when the switch stands still for a
    moment all last as long, or those with less would get what is promised to who has nothing left to send."""
    if not shape.total:
        return max(QUEUED // len(shape.classes), LEAST_QUEUED)
    return max(QUEUED * one.rate // sum(each.rate for each in shape.classes), LEAST_QUEUED)


def find_default(shape: Shape) -> int:
    """The class of all that no other takes; 0: it passes unlimited."""
    return next((n for n, one in enumerate(shape.classes, 1) if not render_keys(one)), 0)


def class_line(device: str, parent: str, number: int, one: ShapeClass) -> str:
    size = one.burst * 125  # kbit are 125 bytes
    return (
        f"class add dev {device} parent {parent} classid {MAJOR}:{number:x} htb "
        f"rate {one.rate}kbit ceil {one.ceil}kbit burst {size} cburst {size}"
    )


def render_keys(one: ShapeClass) -> str:
    keys = []
    if one.source:
        keys.append(f"match u32 {ip_int(one.source):#010x} 0xffffffff at {SOURCE}")
    if one.destination:
        keys.append(f"match u32 {ip_int(one.destination):#010x} 0xffffffff at {DESTINATION}")
    if one.mac:
        mac = mac_int(one.mac)
        keys.append(f"match u32 {mac >> 16:#010x} 0xffffffff at {MAC_HIGH}")
        keys.append(f"match u16 {mac & 0xFFFF:#06x} 0xffff at {MAC_LOW}")
    return " ".join(keys)


# -- and back ----------------------------------------------------------------------------------------------------------


def parse_shape(classes: str, filters: str) -> Shape | None:
    """What a queue of ours holds, from `tc class show` and `tc filter show`; None where that is nothing of ours."""
    found = {
        int(n, 16): (parse_rate(rate), parse_rate(ceil), burst) for n, rate, ceil, burst in _CLASS.findall(classes)
    }
    tests = parse_filters(filters)
    total = found.pop(TOTAL, (0, 0, ""))[1]
    if sorted(found) != list(range(1, len(found) + 1)):
        return None
    made = (make_class(found[number], tests.get(number, {})) for number in sorted(found))
    return Shape(tuple(made), total)


def make_class(found: tuple[int, int, str], keys: dict[int, int]) -> ShapeClass:
    rate, ceil, burst = found
    mac = ""
    if MAC_HIGH in keys:
        mac = mac_text(keys[MAC_HIGH] << 16 | keys.get(MAC_LOW, 0) >> 16)
    source, destination = (ip_text(keys[at], 4) if at in keys else "" for at in (SOURCE, DESTINATION))
    return ShapeClass(rate, ceil, parse_burst(burst, rate), source, destination, mac)


def parse_filters(text: str) -> dict[int, dict[int, int]]:
    """By class, the keys of its filter: offset → value."""
    out: dict[int, dict[int, int]] = {}
    for part in re.split(r"^filter ", text, flags=re.MULTILINE):
        flow = _FLOW.search(part)
        if flow:
            out[int(flow[1], 16)] = {int(at): int(value, 16) for value, _, at in _KEY.findall(part)}
    return out


def parse_rate(text: str) -> int:
    """kbit/s."""
    number, unit = re.match(r"([0-9.]+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr]
    return round(float(number) * _RATES[unit or "bit"] / 1000)


def parse_burst(text: str, rate: int) -> int:
    """kbit, to the step that the rate allows (see `fit_burst`)."""
    number, unit = re.match(r"([0-9.]+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr]
    step = fit_burst(1, rate)
    return round(float(number) * _SIZES[unit or "b"] / 125 / step) * step
