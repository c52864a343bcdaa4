"""Match fields as OXM: what each field is called on the wire, and matches from values to bytes and back.

The table is the one place that knows classes and numbers (ovs-fields(7)). A field is written in its preferred form and
read in every form that Open vSwitch may answer with.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from netloom.model.flow import WIDTH, Match, Test

OXM_OF, NXM_OF, NXM_NX, ERICSSON, EXPERIMENTER = 0x8000, 0x0000, 0x0001, 0x1000, 0xFFFF
ONF_ID = 0x4F4E4600

Code = tuple[int, int]

_CODES: dict[str, tuple[Code, ...]] = {
    "in_port": ((OXM_OF, 0),), "nx_in_port": ((NXM_OF, 0),), "metadata": ((OXM_OF, 2),),
    "eth_dst": ((OXM_OF, 3), (NXM_OF, 1)),
    "eth_src": ((OXM_OF, 4), (NXM_OF, 2)), "eth_type": ((OXM_OF, 5), (NXM_OF, 3)),
    "vlan_tci": ((NXM_OF, 4),), "vlan_vid": ((OXM_OF, 6),), "vlan_pcp": ((OXM_OF, 7),),
    "ip_dscp": ((OXM_OF, 8),), "ip_proto": ((OXM_OF, 10), (NXM_OF, 6)),
    "ip_src": ((OXM_OF, 11), (NXM_OF, 7)), "ip_dst": ((OXM_OF, 12), (NXM_OF, 8)),
    "tcp_src": ((OXM_OF, 13), (NXM_OF, 9)), "tcp_dst": ((OXM_OF, 14), (NXM_OF, 10)),
    "udp_src": ((OXM_OF, 15), (NXM_OF, 11)), "udp_dst": ((OXM_OF, 16), (NXM_OF, 12)),
    "sctp_src": ((OXM_OF, 17),), "sctp_dst": ((OXM_OF, 18),),
    "icmp_type": ((OXM_OF, 19), (NXM_OF, 13)), "icmp_code": ((OXM_OF, 20), (NXM_OF, 14)),
    "arp_op": ((OXM_OF, 21), (NXM_OF, 15)), "arp_spa": ((OXM_OF, 22), (NXM_OF, 16)),
    "arp_tpa": ((OXM_OF, 23), (NXM_OF, 17)), "arp_sha": ((OXM_OF, 24), (NXM_NX, 17)),
    "arp_tha": ((OXM_OF, 25), (NXM_NX, 18)), "ipv6_src": ((OXM_OF, 26), (NXM_NX, 19)),
    "ipv6_dst": ((OXM_OF, 27), (NXM_NX, 20)), "icmpv6_type": ((OXM_OF, 29), (NXM_NX, 21)),
    "icmpv6_code": ((OXM_OF, 30), (NXM_NX, 22)), "nd_target": ((OXM_OF, 31), (NXM_NX, 23)),
    "nd_sll": ((OXM_OF, 32), (NXM_NX, 24)), "nd_tll": ((OXM_OF, 33), (NXM_NX, 25)),
    "tun_id": ((OXM_OF, 38), (NXM_NX, 16)), "tcp_flags": ((NXM_NX, 34), (OXM_OF, 42)),
    "ip_frag": ((NXM_NX, 26),), "nw_ttl": ((NXM_NX, 29),), "tun_src": ((NXM_NX, 31),), "tun_dst": ((NXM_NX, 32),),
    "pkt_mark": ((NXM_NX, 33),), "conj_id": ((NXM_NX, 37),),
    "ct_state": ((NXM_NX, 105),), "ct_zone": ((NXM_NX, 106),), "ct_mark": ((NXM_NX, 107),),
    "ct_label": ((NXM_NX, 108),), "tun_ipv6_src": ((NXM_NX, 109),), "tun_ipv6_dst": ((NXM_NX, 110),),
    "ct_nw_proto": ((NXM_NX, 119),), "ct_nw_src": ((NXM_NX, 120),), "ct_nw_dst": ((NXM_NX, 121),),
    "ct_ipv6_src": ((NXM_NX, 122),), "ct_ipv6_dst": ((NXM_NX, 123),),
    "ct_tp_src": ((NXM_NX, 124),), "ct_tp_dst": ((NXM_NX, 125),),
    "nd_reserved": ((ERICSSON, 1),), "nd_options_type": ((ERICSSON, 2),),
    **{f"reg{n}": ((NXM_NX, n),) for n in range(16)},
}  # fmt: skip
"""The first code of a field is how it is written; the rest are read too."""

BYTES = {name: (bits + 7) // 8 for name, bits in WIDTH.items()}
FULL = {name: (1 << bits) - 1 for name, bits in WIDTH.items()}
WIRE_FULL = {name: (1 << (8 * size)) - 1 for name, size in BYTES.items()}

RANK = {name: place for place, name in enumerate(WIDTH)}
"""WIDTH lists a field after the fields it depends on, which is the order that OXM demands (OpenFlow 1.4, 7.2.3.6)."""

_NAMES: dict[Code, str] = {code: name for name, codes in _CODES.items() for code in codes}
_NAMES[(EXPERIMENTER, 42)] = "tcp_flags"  # ONFOXM_ET_TCP_FLAGS


class CodecError(ValueError):
    """Bytes that are no OpenFlow we know, or a value that OpenFlow cannot carry."""


@lru_cache(maxsize=512)
def encode_header(name: str, masked: bool = False) -> bytes:
    """The four bytes that name a field: class, number, whether a mask follows, length."""
    cls, number = _CODES[name][0]
    return struct.pack("!HBB", cls, number << 1 | masked, BYTES[name] << masked)


@lru_cache(maxsize=1 << 16)
def encode_test(name: str, value: int, mask: int | None) -> bytes:
    """One OXM TLV. A mask over all bits of the field is no mask."""
    size = BYTES[name]
    if mask is None or mask == FULL[name]:
        return encode_header(name) + value.to_bytes(size, "big")
    return encode_header(name, True) + value.to_bytes(size, "big") + mask.to_bytes(size, "big")


def _rank(test: Test) -> int:
    return RANK[test[0]]


@lru_cache(maxsize=4096)
def encode_match(match: Match) -> bytes:
    """The ofp_match structure: type OXM, length without padding, TLVs, zeroes up to eight bytes."""
    ordered = match if len(match) < 2 else sorted(match, key=_rank)
    body = b"".join([encode_test(*test) for test in ordered])
    length = 4 + len(body)
    return b"\x00\x01" + length.to_bytes(2, "big") + body + bytes(-length % 8)


@lru_cache(maxsize=1024)
def _read_header(cls: int, number: int) -> tuple[str, int]:
    name = _NAMES.get((cls, number))
    if name is None:
        raise CodecError(f"unknown match field {number} of class {cls:#06x}")
    return name, BYTES[name]


def read_header(data: bytes, at: int) -> tuple[str, bool, int]:
    """(field, whether a mask follows, where the value starts) of the TLV or bare header at `at`."""
    cls, number, _ = struct.unpack_from("!HBB", data, at)
    start = at + (8 if cls == EXPERIMENTER else 4)
    return _read_header(cls, number >> 1)[0], bool(number & 1), start


@lru_cache(maxsize=1 << 16)
def _decode_tlv(tlv: bytes) -> Test:
    name, masked, start = read_header(tlv, 0)
    size = BYTES[name]
    if len(tlv) != start + (size << masked):
        raise CodecError(f"match field {name} has {len(tlv) - start} bytes")
    full = FULL[name]
    value = int.from_bytes(tlv[start : start + size], "big") & full
    if not masked:
        return name, value, None
    mask = int.from_bytes(tlv[start + size :], "big") & full
    return name, value & mask, None if mask == full else mask


def decode_test(data: bytes, at: int) -> tuple[Test, int]:
    """The test at `at` and where the next one starts."""
    end = at + 4 + data[at + 3]
    return _decode_tlv(data[at:end]), end


@lru_cache(maxsize=4096)
def _decode_tlvs(body: bytes) -> Match:
    at, out = 0, []
    while at < len(body):
        test, at = decode_test(body, at)
        out.append(test)
    out.sort()
    return tuple(out)


def decode_match(data: bytes, at: int) -> tuple[Match, int]:
    """The match at `at`, canonical, and where it ends with its padding."""
    kind, length = struct.unpack_from("!HH", data, at)
    if kind != 1 or length < 4 or at + length > len(data):
        raise CodecError(f"match of type {kind} and length {length}")
    return _decode_tlvs(data[at + 4 : at + length]), at + length + (-length % 8)


def decode_known(data: bytes, at: int, end: int) -> Match:
    """The fields that we know among those from `at` to `end`; others are skipped (a packet's metadata holds many)."""
    out = []
    while at + 4 <= end:
        stop = at + 4 + data[at + 3]
        try:
            out.append(_decode_tlv(data[at:stop]))
        except CodecError:
            pass
        at = stop
    return tuple(sorted(out))
