"""The JSON of a document as one requester may see it, made once for all who see the same of it.

Law: what is not visible to a role is not in the bytes; a view is made from the declaration and the policy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netloom.api.message import encode
from netloom.api.policy import Policy
from netloom.api.sharing import Test
from netloom.intent.operation import Requester
from netloom.intent.schema import Doc, Resource
from netloom.intent.snapshot import Record, Snapshot

Hidden = frozenset[str]
NOTHING: Hidden = frozenset()


@dataclass(frozen=True, slots=True)
class Eyes:
    """What a requester may see of one resource.

    `sees`: which objects at all. `hidden`: attributes never shown to them. `tests`: attributes that some objects show.
    """

    sees: bool | Test
    hidden: Hidden
    tests: tuple[tuple[str, Test], ...]

    def may_see(self, doc: Doc, snapshot: Snapshot) -> bool:
        return self.sees if isinstance(self.sees, bool) else self.sees(doc, snapshot)

    def hidden_of(self, doc: Doc, snapshot: Snapshot) -> Hidden:
        if not self.tests:
            return self.hidden
        refused = [name for name, test in self.tests if not test(doc, snapshot)]
        return self.hidden.union(refused) if refused else self.hidden


def make_eyes(resource: Resource, policy: Policy, requester: Requester) -> Eyes:
    hidden, tests = set(), []
    for f in resource.fields:
        rule = f"get_{resource.name}:{f.name}"
        if rule not in policy.rules:
            continue
        verdict = policy.decide(rule, requester)
        if verdict is False:
            hidden.add(f.name)
        elif verdict is not True:
            tests.append((f.name, verdict))
    sees = policy.decide(f"get_{resource.name}", requester)
    return Eyes(sees, frozenset(hidden) or NOTHING, tuple(tests))


View = Callable[[Record, Hidden], bytes]


def make_viewer(resource: Resource) -> View:
    """A function from (record, hidden attributes) to JSON; a record keeps what was made of it."""
    invisible = frozenset(f.name for f in resource.fields if not f.visible)
    has_project = "project_id" in resource.by_name

    def view(record: Record, hidden: Hidden) -> bytes:
        views = record.views
        if views is None:
            views = record.views = {}
        found = views.get(hidden)
        if found is None:
            found = views[hidden] = encode(shown(record.doc, invisible, hidden, has_project))
        return found

    return view


def shown(doc: Doc, invisible: Hidden, hidden: Hidden, has_project: bool) -> dict[str, Any]:
    """The document without what is not for these eyes, and with the old name of project_id beside it."""
    out = {k: v for k, v in doc.items() if k not in invisible and k not in hidden}
    if has_project and "project_id" in out:
        out["tenant_id"] = out["project_id"]
    return out


def make_field_viewer(resource: Resource, fields: Sequence[str]) -> View:
    """A view of just the attributes that fields= asks for; names that do not exist are left out, as Neutron does."""
    visible = {f.name: f.name for f in resource.fields if f.visible}
    if "project_id" in visible:
        visible["tenant_id"] = "project_id"
    wanted = [(name, visible[name]) for name in dict.fromkeys(fields) if name in visible]

    def view(record: Record, hidden: Hidden) -> bytes:
        doc = record.doc
        return encode({name: doc[key] for name, key in wanted if key in doc and key not in hidden})

    return view


def pick_fields(shown_doc: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """As `make_field_viewer`, of a document that is made for the answer."""
    return {name: shown_doc[name] for name in shown_doc if name in fields} if fields else dict(shown_doc)
