"""The machinery of declarations: a Resource is its fields, indexes, rules and operations, written down once.

Derived from it, and written nowhere else: parsing and validation with the API's error texts, defaults, who may set
and see each attribute, filters and sort keys, OpenAPI, the reference pages, how it is stored.

A document is the resource as the API shows it to an administrator: a plain mapping of JSON values, plus hidden
fields. Documents are never changed in place; `{**doc, "name": "x"}` makes a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from netloom.intent.errors import (
    ApiError,
    ConversionError,
    bad_request,
    invalid_input,
    invalid_operation,
    not_found,
)

if TYPE_CHECKING:
    from netloom.intent.operation import Context, Outcome, Requester, Settings
    from netloom.intent.snapshot import Snapshot

Doc = Mapping[str, Any]


class Absent(Enum):
    """What stands in for a value that a request did not give. Absent is not null."""

    REQUIRED = "required"
    """The request must give it."""
    GENERATED = "generated"
    """The operation makes it up when it is not given; the parsed request does not hold the attribute then."""


REQUIRED, GENERATED = Absent.REQUIRED, Absent.GENERATED


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of value: how it is parsed and how OpenAPI describes it.

    `parse` gives the canonical JSON value or raises ValueError with the reason that the API prints.
    `parse_filter` does the same for the text of a query parameter. `rank`: what values are sorted by.
    """

    name: str
    parse: Callable[[Any], Any]
    schema: Mapping[str, Any]
    parse_filter: Callable[[str], Any] = str
    rank: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One attribute. `post`/`put`: may a request give it. `set`, `change`, `see`: the policy rule (oslo.policy check
    string) that guards giving it on create, changing it on update and seeing it; None means that the resource's own
    rule is enough. A field that is not `visible` is stored and never shown."""

    name: str
    kind: Kind
    doc: str
    default: Any = REQUIRED
    post: bool = True
    put: bool = False
    visible: bool = True
    filter: bool = True
    sort: bool = False
    set: str | None = None
    change: str | None = None
    see: str | None = None
    alias: str = ""  # the extension that brings it; empty for the core


@dataclass(frozen=True, slots=True)
class Index:
    """How objects of a resource can be found without looking at all of them.

    `keys(doc)` gives the keys a document stands under. style "set": many documents a key; "unique": one, and a second
    one is refused; "bits": keys are (bucket, number) and the snapshot keeps which numbers of a bucket are taken;
    "blocks": keys are (bucket, block) as intent.blocks numbers prefixes, and the snapshot keeps what is free of each.
    """

    name: str
    keys: Callable[[Doc], Iterable[Hashable]]
    style: str = "set"


def index_by(name: str) -> Index:
    """Find by an attribute."""
    return Index(name, lambda doc: (doc[name],))


def index_where_set(name: str) -> Index:
    """Find by an attribute, where it is set."""
    return Index(name, lambda doc: (doc[name],) if doc[name] else ())


@dataclass(frozen=True, slots=True)
class Filter:
    """A list filter that is not simply 'attribute equals one of the values', such as fixed_ips=ip_address=….

    `matches(doc, values)` decides; `index(values)` may name (index, keys) that already narrow the search.
    `show(doc, values)`: what of a document is shown where only a part of it is asked for. `open`: owners ask for
    their objects by it, though the attribute of its name be hidden from them.
    """

    name: str
    matches: Callable[[Doc, Sequence[str]], bool]
    doc: str = ""
    index: Callable[[Sequence[str]], tuple[str, Sequence[Hashable]] | None] | None = None
    show: Callable[[Doc, Sequence[str]], Doc] | None = None
    open: bool = False


@dataclass(frozen=True, slots=True)
class Sharing:
    """How objects of a resource are opened to other projects by RBAC policies.

    `attribute` is true for those to whom `action` is granted; `open` is the attribute of the document that says that
    it is granted to everyone. `kind` and `key`: whose grants count, where they are those of another resource that the
    attribute `key` names (a subnet is as shared as its network). `users(source, doc)`: projects that use the object by
    that grant, which is not withdrawn from them; `mirror(source, doc)`: keeps in step what others copy of the object;
    `check(source, doc, target)`: raises ApiError where the object may not be opened to the target.
    """

    action: str = "access_as_shared"
    attribute: str = "shared"
    open: str = "shared"
    kind: str = ""
    key: str = "id"
    users: Callable[[Any, Doc], Iterable[str]] = lambda draft, doc: ()
    mirror: Callable[[Any, Doc], None] = lambda draft, doc: None
    check: Callable[[Any, Doc, str], None] = lambda draft, doc, target: None


@dataclass(frozen=True, slots=True)
class Rules:
    """Policy check strings of the four verbs; None: the verb does not exist."""

    create: str | None
    get: str | None
    update: str | None
    delete: str | None


class Create(Protocol):
    def __call__(self, snapshot: Snapshot, bodies: Sequence[Doc], context: Context, /) -> Outcome: ...


class Update(Protocol):
    def __call__(self, snapshot: Snapshot, old: Doc, changes: Doc, context: Context, /) -> Outcome: ...


class Delete(Protocol):
    def __call__(self, snapshot: Snapshot, old: Doc, context: Context, /) -> Outcome: ...


class Act(Protocol):
    def __call__(self, snapshot: Snapshot, old: Doc, given: Any, context: Context, /) -> Outcome: ...


def parse_anything(body: Mapping[str, Any]) -> Any:
    return body


@dataclass(frozen=True, slots=True)
class Action:
    """A verb of one object beside the four: PUT /routers/{id}/add_router_interface.

    `name` is the segment of the URL and the name of its policy rule. `parse` makes of the body what `run` is given,
    or raises ApiError. `wrapped`: body and answer are inside {"<resource>": …}; `answer_wrapped`: the answer alone is.
    `shows`: the answer is the resource's own document, shown as the requester may see it; otherwise it is shown as it
    is. `lists`: it is a list of all that `run` answers, shown as it is. Method GET: `run` gives no changes and is not
    handed to the writer. `schema`: the JSON schema of the body.
    """

    name: str
    doc: str
    run: Act
    rule: str
    parse: Callable[[Mapping[str, Any]], Any] = parse_anything
    method: str = "PUT"
    wrapped: bool = False
    answer_wrapped: bool = False
    shows: bool = True
    lists: bool = False
    status: int = 200
    schema: Mapping[str, Any] = field(default_factory=dict)
    answer_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    alias: str = ""


class Relate(Protocol):
    """Ties an object to another, or unties them: `other` is the other one's id."""

    def __call__(self, snapshot: Snapshot, doc: Doc, other: str, context: Context, /) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Linked:
    """A sub-collection that shows objects of another resource: GET /agents/{id}/dhcp-networks lists networks.

    `find(snapshot, doc)`: the ids of those that belong to the object. `add` and `remove` tie and untie one; `key` is
    the attribute of a POST body that names it (inside `wrapper` where that is not empty). Rules of the verbs are
    called get_<path>, create_<singular> and delete_<singular>.
    """

    path: str
    singular: str
    doc: str
    shows: str
    find: Callable[[Snapshot, Doc], Iterable[str]]
    rules: Rules
    key: str = ""
    wrapper: str = ""
    add: Relate | None = None
    remove: Relate | None = None
    alias: str = ""
    status: int = 201
    """What a POST answers."""
    extra: Callable[[Snapshot, Doc, str], Doc] | None = None
    """What the list says of each besides its own attributes: (snapshot, the object, the other's id)."""


class Derive(Protocol):
    """The documents of a resource that is not stored; all of them, or those whose key is `id`."""

    def __call__(
        self, snapshot: Snapshot, settings: Settings, requester: Requester, id: str | None
    ) -> Sequence[Doc]: ...


@dataclass(frozen=True, slots=True)
class Ensure:
    """What must be there before a resource is read: `needed` says whether it is missing, `run` makes it.

    `id` is the object asked for, None for a list.
    """

    needed: Callable[[Snapshot, Requester, str | None], bool]
    run: Callable[[Snapshot, Context, str | None], Outcome]


def own_id(parent_id: str, key: str) -> str:
    return key


@dataclass(frozen=True, slots=True)
class Resource:
    """A collection of the Networking API. `name` is singular with underscores, the key of a request body.

    `parent`: the resource below whose objects it is served (/floatingips/{id}/port_forwardings); `parent_key` is the
    attribute that holds the parent's id, filled in from the URL. `key` is the attribute that the URL names an object
    by, and `make_id(parent id, key)` the id it is stored under. `stored_as`: the resource whose documents it shows,
    where it is another way to them. `rule`: what policy rules are called after, create_<rule>.
    """

    name: str
    collection: str
    doc: str
    fields: tuple[Field, ...]
    rules: Rules
    indexes: tuple[Index, ...] = ()
    filters: tuple[Filter, ...] = ()
    create: Create | None = None
    update: Update | None = None
    delete: Delete | None = None
    quota: int | None = None  # the default limit per project; None: not counted
    tags: bool = True
    alias: str = ""
    url: str = ""  # the collection's part of the URL where it is not the collection with dashes; "qos/policies"
    parent: str = ""
    parent_key: str = ""
    key: str = "id"
    make_id: Callable[[str, str], str] = own_id
    stored_as: str = ""
    rule_name: str = ""
    actions: tuple[Action, ...] = ()
    linked: tuple[Linked, ...] = ()
    sharing: tuple[Sharing, ...] = ()
    derive: Derive | None = None
    ensure: Ensure | None = None
    loose_marker: bool = False  # a page that begins after what the requester cannot see begins at the start, no 404
    by_name: Mapping[str, Field] = field(init=False, compare=False, repr=False)
    postable: frozenset[str] = field(init=False, compare=False, repr=False)
    puttable: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {f.name: f for f in self.fields})
        object.__setattr__(self, "postable", frozenset(f.name for f in self.fields if f.post))
        object.__setattr__(self, "puttable", frozenset(f.name for f in self.fields if f.put))

    @property
    def path(self) -> str:
        """The collection's part of the URL: "security-groups" for security_groups."""
        return self.url or self.collection.replace("_", "-")

    @property
    def kind(self) -> str:
        """What its documents are stored as."""
        return self.stored_as or self.name

    @property
    def rule(self) -> str:
        """What its policy rules are called after: port, floatingip_port_forwarding."""
        return self.rule_name or (f"{self.parent}_{self.name}" if self.parent else self.name)

    def missing(self, id: str) -> ApiError:
        """The 404 of an object that is not there, or that the requester may not see."""
        return not_found(self.kind, id)

    @property
    def upper_key(self) -> str:
        """The attribute that holds the parent's id."""
        return self.parent_key or f"{self.parent}_id"


Catalog = Mapping[str, Resource]
"""Every resource by name."""


def parse_create(resource: Resource, body: Mapping[str, Any]) -> Doc:
    """The canonical document of a create request: defaults filled in, unknown and read-only attributes refused.

    A GENERATED attribute that was not given is absent from the result. tenant_id and project_id are one attribute.
    Raises ApiError 400 with the text that Neutron gives.
    """
    given = merge_project(body)
    shown = [name for name in given if name not in resource.postable and is_shown(resource, name)]
    refuse_unknown(resource, given, resource.postable.union(shown))
    if shown:
        raise bad_request(f"Attribute '{shown[0]}' not allowed in POST")
    doc: dict[str, Any] = {}
    for f in resource.fields:
        if f.name in given and f.post:
            doc[f.name] = parse_value(f, given[f.name])
        elif f.default is REQUIRED:
            if f.post:
                raise bad_request(f"Failed to parse request. Required attribute '{f.name}' not specified.")
        elif f.default is not GENERATED:
            doc[f.name] = f.default
    return doc


def parse_update(resource: Resource, body: Mapping[str, Any]) -> Doc:
    """The canonical form of just the attributes that an update request gives. Raises ApiError 400."""
    given = merge_project(body)
    readonly = [name for name in given if name in resource.by_name and name not in resource.puttable]
    if readonly and is_shown(resource, readonly[0]):
        raise bad_request(f"Cannot update read-only attribute {readonly[0]}")
    refuse_unknown(resource, given, resource.puttable)
    return {name: parse_value(resource.by_name[name], value) for name, value in given.items()}


def parse_value(f: Field, value: Any) -> Any:
    try:
        return f.kind.parse(value)
    except ConversionError as error:
        raise invalid_operation(f"{f.name}: {error}") from None
    except ValueError as error:
        raise invalid_input(f.name, str(error)) from None


def merge_project(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """tenant_id is the old name of project_id: one of them, or both and equal."""
    if "tenant_id" not in body:
        return body
    rest = {k: v for k, v in body.items() if k != "tenant_id"}
    if rest.setdefault("project_id", body["tenant_id"]) != body["tenant_id"]:
        raise bad_request("'project_id' and 'tenant_id' do not match")
    return rest


def is_shown(resource: Resource, name: str) -> bool:
    return name in resource.by_name and resource.by_name[name].visible


def refuse_unknown(resource: Resource, given: Mapping[str, Any], known: frozenset[str]) -> None:
    if not given.keys() <= known:
        unknown = sorted(str(name) for name in given if name not in known)
        raise bad_request(f"Unrecognized attribute(s) '{', '.join(unknown)}'")


__all__ = [
    "GENERATED",
    "REQUIRED",
    "Absent",
    "Action",
    "ApiError",
    "Catalog",
    "Create",
    "Delete",
    "Derive",
    "Doc",
    "Ensure",
    "Field",
    "Filter",
    "Index",
    "Kind",
    "Linked",
    "Relate",
    "Resource",
    "Rules",
    "Sharing",
    "Update",
    "index_by",
    "index_where_set",
    "merge_project",
    "parse_create",
    "parse_update",
    "parse_value",
]  # fmt: skip
