"""Stories: text files that an operator would nod at, run against the real stages, with packets in the simulator.

    A port may not send from another's address.

    host h1
    host h2
    create network blue
    create subnet blue4 network_id=blue cidr=10.1.0.0/24
    create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
    create port b network_id=blue binding:host_id=h2
    when a sends ip 10.1.0.9 to b
    then dropped in guard, because no flow lets it pass
    update a allowed_address_pairs=[{ip_address: 10.1.0.9}]
    when a sends ip 10.1.0.9 to b
    then arrives at b

`docs/design/stories.md` has all the words. A story is a whole: one that cannot be read, or a request that is refused
and no `then refused` follows, is a failure, told with file, line and the way of the last packet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from netloom.intent.errors import ApiError
from netloom.model.flow import VLAN_PRESENT
from netloom.model.slices import PortRow, Slices
from netloom.testing.simulator import Packet, SimHost, Walk, send
from netloom.testing.story_answers import EXCHANGES, Told, ask_agent
from netloom.testing.story_cloud import Cloud
from netloom.testing.story_packets import StoryError, make_packet
from netloom.testing.story_routing import answer_back, check_seen, cut_words, send_by
from netloom.testing.story_traffic import make_answer, make_error, make_more
from netloom.testing.story_values import parse_pairs, split_words
from netloom.testing.story_world import World, give

__all__ = ["StoryError", "run_story"]


class Stage(Protocol):
    """Where a story plays: a Cloud that requests change, or a World whose slices are stated."""

    def port(self, name: str) -> PortRow: ...

    def host_of(self, name: str) -> str:
        """The host where the port's device is plugged. Raises StoryError where it is nowhere."""
        ...

    def find_seat(self, name: str) -> tuple[str, int]:
        """The port whose device it is reached by, and the tag there, 0 for none."""
        ...

    def slices_of(self, host: str) -> Slices: ...

    def simulate(self) -> Mapping[str, SimHost]: ...

    def name_of(self, port: PortRow) -> str: ...

    def say(self, text: str) -> str:
        """Text about ids, in the names of the story."""
        ...


@dataclass(slots=True)
class Tale:
    """A story as far as it was told."""

    world: World | None = None
    cloud: Cloud | None = None
    walk: Walk = field(default_factory=Walk)
    told: Told | None = None
    said: Packet | None = None  # the last thing that somebody sent of himself
    refused: ApiError | None = None
    claims: int = 0

    @property
    def stage(self) -> Stage:
        found = self.world or self.cloud
        if found is None:
            raise StoryError("nothing is there yet: hosts and requests come first, or what is given")
        return found

    def need_world(self) -> World:
        if self.cloud:
            raise StoryError("a story has requests or states what is given, not both")
        self.world = self.world or World()
        return self.world

    def need_cloud(self) -> Cloud:
        if self.world:
            raise StoryError("a story has requests or states what is given, not both")
        self.cloud = self.cloud or Cloud()
        return self.cloud


def run_story(text: str, name: str = "story") -> int:
    """Run a story; the number of its claims. Raises StoryError, with `name` and line, at the first that is not so."""
    tale, at = Tale(), (1, "")
    try:
        for number, line in read_lines(text):
            verb, _, rest = line.partition(" ")
            check_refusal(tale, verb)
            at = number, line
            if verb not in LINES:
                raise StoryError(f"a line begins with one of: {', '.join(LINES)}")
            LINES[verb](tale, rest.strip())
        check_refusal(tale, "")
    except StoryError as error:
        way = tale.stage.say(tale.walk.describe()) if tale.world or tale.cloud else ""
        raise StoryError(f"{name}:{at[0]}: {at[1]}\n{error}\n{way}") from None
    return tale.claims


def check_refusal(tale: Tale, verb: str) -> None:
    """A request that was refused is spoken of by the next line."""
    if tale.refused is not None and verb != "then":
        raise StoryError(f"it was refused: {tale.refused.type}: {tale.refused.message}")


def read_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines after the title, without blanks and comments. An indented line goes on with the one before it."""
    start, held = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if number == 1 or not words or words.startswith("#"):
            continue
        if line[0].isspace() and held:
            held += f" {words}"
            continue
        if held:
            yield start, held
        start, held = number, words
    if held:
        yield start, held


# -- what happens ------------------------------------------------------------------------------------------------------


def tell_given(tale: Tale, rest: str) -> None:
    give(tale.need_world(), rest)


def tell_host(tale: Tale, rest: str) -> None:
    """`host NAME [attribute=value …]`, or `host NAME is silent`."""
    name, *words = split_words(rest) or [""]
    if words == ["is", "silent"]:
        tale.need_cloud().lose_host(name)
    else:
        tale.need_cloud().tell_host(name, words)


def tell_setting(tale: Tale, rest: str) -> None:
    tale.need_cloud().change_settings(split_words(rest))


def tell_request(verb: str) -> Callable[[Tale, str], None]:
    """A request. One that is refused waits for the story to say so."""

    def tell(tale: Tale, rest: str) -> None:
        cloud, words = tale.need_cloud(), split_words(rest)
        try:
            match verb, words:
                case "create", [kind, name, *pairs]:
                    cloud.create(kind, name, pairs)
                case "update", [name, *pairs]:
                    cloud.update(name, pairs)
                case "delete", [name]:
                    cloud.delete(name)
                case "do", [action, name, *pairs]:
                    cloud.do(name, action, pairs)
                case _:
                    raise StoryError(
                        "a request is: create RESOURCE NAME …, update NAME …, delete NAME, do ACTION NAME …"
                    )
        except ApiError as error:
            tale.refused = error

    return tell


def tell_find(tale: Tale, rest: str) -> None:
    """`find RESOURCE NAME attribute=value …`: the one that is so, and was not created by name, is called so now."""
    match split_words(rest):
        case [kind, name, *pairs]:
            tale.need_cloud().call(kind, name, pairs)
        case _:
            raise StoryError("what is there is found so: find RESOURCE NAME attribute=value …")


def tell_plug(tale: Tale, rest: str) -> None:
    """`plug PORT at HOST`: its device is there, wherever the port is bound."""
    match rest.split():
        case [name, "at", host] if host in tale.need_cloud().hosts:
            tale.need_cloud().plugged[name] = host
        case _:
            raise StoryError("a device is plugged so: plug PORT at HOST")


def tell_unplug(tale: Tale, rest: str) -> None:
    """`unplug PORT`: its device is nowhere."""
    tale.need_cloud().plugged[rest] = ""


def tell_acknowledge(tale: Tale, rest: str) -> None:
    """`hosts acknowledge`: every host says what is wired and what is not."""
    if rest != "acknowledge":
        raise StoryError("what hosts do is: hosts acknowledge")
    tale.need_cloud().acknowledge()


def tell_when(tale: Tale, rest: str) -> None:
    """`when NAME sends …`, `when NAME answers`, `when NAME refuses`."""
    name, verb, *words = (*rest.split(), "", "")
    words = [word for word in words if word]
    stage = tale.stage
    port, host = stage.port(name), stage.host_of(name)
    packet = find_packet(tale, port, verb, words)
    tale.told = None
    seat, tag = stage.find_seat(name)
    if tag and "vlan_vid" not in packet:
        packet["vlan_vid"] = tag | VLAN_PRESENT
    tale.walk = send(stage.simulate(), host, f"tap-{seat}", packet)
    if tale.walk.to_agent and words[:1] and words[0] in EXCHANGES:
        tale.told = ask_agent(words[0], port, host, stage.slices_of(host))


def find_packet(tale: Tale, port: PortRow, verb: str, words: list[str]) -> Packet:
    words, told = cut_words(words)
    packet = find_plain_packet(tale, port, verb, words)
    if told or words == ["back"]:
        packet = send_by(packet, told, lambda name: tale.need_cloud().find_leg(name, port.network_id))
        tale.said = packet if verb == "sends" else tale.said
    return packet


def find_plain_packet(tale: Tale, port: PortRow, verb: str, words: list[str]) -> Packet:
    match verb, words:
        case "answers" | "refuses", ["back"]:
            make = make_answer if verb == "answers" else make_error
            return answer_back(tale.walk.arrived, port, f"tap-{tale.stage.name_of(port)}", make)
        case "sends", ["more"] if tale.said:
            return make_more(tale.said)
        case "sends", [_, *_]:
            tale.said = make_packet(tale.stage, port, words)
            return tale.said
        case "answers", [] if tale.said:
            return make_answer(tale.said)
        case "refuses", [] if tale.said:
            return make_error(tale.said)
    raise StoryError("what happens is: NAME sends …, and then NAME answers, NAME refuses, NAME sends more")


# -- then --------------------------------------------------------------------------------------------------------------


def tell_then(tale: Tale, rest: str) -> None:
    claim, comma, reason = rest.partition(", because ")
    check_claim(tale, claim)
    if comma and reason not in find_reason(tale):
        raise StoryError(f"the reason is: {find_reason(tale)}")
    tale.claims += 1


def check_claim(tale: Tale, claim: str) -> None:
    walk = tale.walk
    match claim.split():
        case ["refused", type]:
            check_refused(tale, type)
            return
        case ["told", *words]:
            check_told(tale.told, split_words(" ".join(words)))
        case [name, "sees", *words]:
            check_seen(walk.arrived, f"tap-{name}", parse_pairs(words, str))
        case [name, "has", *_]:
            if tale.cloud is None:
                raise StoryError("only what was created has attributes")
            tale.cloud.check(name, split_words(claim.partition(" has ")[2]))
        case ["arrives", "at", *names]:
            seats = {tale.stage.find_seat(name.strip(",")) for name in names}
            hope(find_seats(walk) == {(f"tap-{name}", tag) for name, tag in seats}, "it arrives elsewhere")
        case ["answered"]:
            hope(len(walk.arrived) == 1 and bool(walk.arrived[0][1]), "there is no answer")
        case ["to", "agent"]:
            hope(len(walk.to_agent) == 1 and not walk.arrived, "it does not go to the agent alone")
        case ["logged", "nothing"]:
            hope(not walk.logged, f"logged is {walk.logged}")
        case ["logged", *events]:
            told = [f"{event} at {device.removeprefix('tap-')}" for event, device in walk.logged]
            hope(told == " ".join(events).split(", "), f"logged is {told}")
        case ["nothing", "arrives"]:
            hope(not walk.arrived and not walk.to_agent, "something arrives")
        case ["dropped", "in", table]:
            hope(not walk.arrived and not walk.to_agent and walk.last_table == table, f"not dropped in {table}")
        case _:
            raise StoryError(f"{claim} is nothing to claim")
    hope(not walk.lost, "a packet was lost on the way")


def find_seats(walk: Walk) -> set[tuple[str, int]]:
    """Where it arrived: device and tag."""
    return {(device, packet.get("vlan_vid", 0) & ~VLAN_PRESENT) for _, device, packet in walk.arrived}


def check_refused(tale: Tale, type: str) -> None:
    """The request above was refused with this type of error."""
    found, tale.refused = tale.refused, None
    hope(found is not None, "nothing was refused")
    hope(found is not None and found.type == type, f"it was refused with {found.type if found else ''}")


def check_told(told: Told | None, words: list[str]) -> None:
    """`told nothing`, or `told NAME=VALUE …`, with NAME=null for what must not be told."""
    if words == ["nothing"]:
        hope(not told, f"it is told {told}")
        return
    for name, value in parse_pairs(words, str).items():
        held = (told or {}).get(name)
        hope(held == (None if value is None else str(value)), f"{name} is {held}; it is told {told}")


def find_reason(tale: Tale) -> str:
    """What the last table said, in the names of the story."""
    if not tale.walk.steps:
        return "nothing happened yet"
    last = tale.walk.steps[-1]
    return "no flow lets it pass" if last.why is None else tale.stage.say(str(last.why))


def hope(true: bool, otherwise: str) -> None:
    if not true:
        raise StoryError(otherwise)


LINES: dict[str, Callable[[Tale, str], None]] = {
    "given": tell_given, "host": tell_host, "setting": tell_setting, "create": tell_request("create"),
    "update": tell_request("update"), "delete": tell_request("delete"), "do": tell_request("do"), "find": tell_find,
    "plug": tell_plug, "unplug": tell_unplug,
    "hosts": tell_acknowledge, "when": tell_when, "then": tell_then,
}  # fmt: skip
"""The first word of a line, and what it does."""
