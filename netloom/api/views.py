"""The JSON of a document as one requester may see it, made once for all who see the same of it.

Law: what is not visible to a role is not in the bytes; a view is made from the declaration and the policy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from netloom.api.message import encode
from netloom.api.policy import Policy
from netloom.api.sharing import Granted, Test, find_grants
from netloom.intent.operation import Requester
from netloom.intent.schema import Doc, Resource
from netloom.intent.snapshot import Record, Snapshot

Names = frozenset[str]
NOTHING: Names = frozenset()


class Look(NamedTuple):
    """How one document is shown: attributes that are left out, and those that are true for these eyes."""

    hidden: Names = NOTHING
    raised: Names = NOTHING


PLAIN = Look()


@dataclass(frozen=True, slots=True)
class Eyes:
    """What a requester may see of one resource.

    `sees`: which objects at all. `look`: how those are shown that no test is about. `tests`: attributes that only some
    objects show. `grants`: attributes that are true of what was granted to `project`, the requester's.
    """

    sees: bool | Test
    look: Look = PLAIN
    tests: tuple[tuple[str, Test], ...] = ()
    grants: tuple[Granted, ...] = ()
    project: str = ""

    def may_see(self, doc: Doc, snapshot: Snapshot) -> bool:
        return self.sees if isinstance(self.sees, bool) else self.sees(doc, snapshot)

    def look_of(self, doc: Doc, snapshot: Snapshot) -> Look:
        if not self.tests and not self.grants:
            return self.look
        refused = [name for name, test in self.tests if not test(doc, snapshot)]
        raised = [grant.attribute for grant in self.grants if grant.raises(doc, snapshot)]
        if not refused and not raised:
            return self.look
        return Look(self.look.hidden.union(refused), frozenset(raised))

    def narrowed(self, snapshot: Snapshot) -> Eyes:
        """The same eyes for this snapshot alone, without the grants that the project has none of."""
        if not self.grants:
            return self
        return replace(self, grants=tuple(grant for grant in self.grants if grant.has_any(snapshot)))


def make_eyes(resource: Resource, policy: Policy, requester: Requester) -> Eyes:
    hidden, tests = set(), []
    for f in resource.fields:
        rule = f"get_{resource.rule}:{f.name}"
        if rule not in policy.rules:
            continue
        verdict = policy.decide(rule, requester)
        if verdict is False:
            hidden.add(f.name)
        elif verdict is not True:
            tests.append((f.name, verdict))
    sees = policy.decide(f"get_{resource.rule}", requester)
    return Eyes(
        sees, Look(frozenset(hidden)), tuple(tests), find_grants(resource, requester.project_id), requester.project_id
    )


View = Callable[[Record, Look], bytes]


def make_viewer(resource: Resource) -> View:
    """A function from (record, look) to JSON; a record keeps what was made of it."""
    invisible = frozenset(f.name for f in resource.fields if not f.visible)
    has_project = "project_id" in resource.by_name

    def view(record: Record, look: Look) -> bytes:
        views = record.views
        if views is None:
            views = record.views = {}
        found = views.get(look)
        if found is None:
            found = views[look] = encode(shown(record.doc, invisible, look, has_project))
        return found

    return view


def shown(doc: Doc, invisible: Names, look: Look, has_project: bool) -> dict[str, Any]:
    """The document without what is not for these eyes, and with the old name of project_id beside it."""
    hidden, raised = look
    out = {k: k in raised or v for k, v in doc.items() if k not in invisible and k not in hidden}
    if has_project and "project_id" in out:
        out["tenant_id"] = out["project_id"]
    return out


def make_field_viewer(resource: Resource, fields: Sequence[str]) -> View:
    """A view of just the attributes that fields= asks for; names that do not exist are left out, as Neutron does."""
    visible = {f.name: f.name for f in resource.fields if f.visible}
    if "project_id" in visible:
        visible["tenant_id"] = "project_id"
    wanted = [(name, visible[name]) for name in dict.fromkeys(fields) if name in visible]

    def view(record: Record, look: Look) -> bytes:
        doc = record.doc
        hidden, raised = look
        return encode({name: key in raised or doc[key] for name, key in wanted if key in doc and key not in hidden})

    return view


def pick_fields(shown_doc: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """As `make_field_viewer`, of a document that is made for the answer."""
    return {name: shown_doc[name] for name in shown_doc if name in fields} if fields else dict(shown_doc)
