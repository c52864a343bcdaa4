"""The OpenAPI 3.1 document of a catalog, as it is served at /openapi.json.

Law: pure; every path, attribute, filter and status in it comes from a declaration or from a table in this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.api.query import RESERVED
from netloom.api.served import is_served
from netloom.intent.quota import DEFAULTS
from netloom.intent.schema import REQUIRED, Action, Catalog, Field, Linked, Resource

Doc = dict[str, Any]

FORMATS: Mapping[str, Doc] = {
    "mac": {"pattern": "^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$"},
    "ip": {"pattern": r"^(([0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-fA-F:]{2,39})$"},
    "cidr": {"pattern": r"^(([0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-fA-F:]{2,39})(/[0-9]{1,3})?$"},
}
"""What formats of ours look like, for those who do not know their names."""

ERRORS: Mapping[str, str] = {
    "400": "Invalid input; the message names the attribute.",
    "401": "No valid token.",
    "403": "The policy forbids it.",
    "404": "There is no such object, or it may not be seen.",
    "409": "The state of things does not allow it.",
    "412": "If-Match names another revision.",
    "413": "The body is too long.",
    "429": "Too many requests; Retry-After says when the next may come.",
    "501": "Others have counted on what is to change, and cannot be told.",
    "503": "The store or the identity service cannot be reached; Retry-After says when to ask again.",
}
READ_ERRORS = ("400", "401", "403", "404", "429", "503")
LIST_PARAMETERS: Mapping[str, tuple[str, Doc]] = {
    "fields": ("Attributes to show.", {"type": "array", "items": {"type": "string"}}),
    "sort_key": ("Attributes to sort by.", {"type": "array", "items": {"type": "string"}}),
    "sort_dir": ("asc or desc for each sort_key.", {"type": "array", "items": {"enum": ["asc", "desc"]}}),
    "limit": ("How many objects a page has.", {"type": "integer", "minimum": 0, "maximum": 10**9}),
    "marker": ("The id after which the page begins.", {"type": "string"}),
    "page_reverse": ("The page before the marker.", {"type": "boolean"}),
}


def render_openapi(catalog: Catalog, version: str = "") -> Doc:
    resources = [r for r in catalog.values() if is_served(r) and r.name != "quota"]
    paths: Doc = {}
    for resource in resources:
        paths |= render_paths(resource, catalog)
    schemas = {r.name: render_schema(r) for r in resources}
    schemas["error"] = ERROR_SCHEMA
    quota_names = tuple(DEFAULTS)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Networking API", "version": version or "2.0", "description": "OpenStack Networking v2.0."},
        "paths": paths | render_quota_paths(quota_names) | DISCOVERY,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
        },
        "security": [{"token": []}],
    }


ERROR_SCHEMA: Doc = {
    "type": "object",
    "properties": {
        "NeutronError": {
            "type": "object",
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}, "detail": {"type": "string"}},
            "required": ["type", "message", "detail"],
        },
        "error": {"type": "object"},
    },
}


def render_paths(resource: Resource, catalog: Catalog) -> Doc:
    """The resource's collection, its objects, and what is below them."""
    base, above = find_base(resource, catalog)
    item_path = f"{base}/{{{resource.key}}}"
    keyed = [*above, path_parameter(resource.key)]
    rules = resource.rules
    collection: Doc = {"parameters": above} if above else {}
    item: Doc = {"parameters": keyed}
    if rules.get is not None:
        collection["get"] = render_list(resource)
        item["get"] = render_show(resource)
    if rules.create is not None:
        collection["post"] = render_create(resource)
    if rules.update is not None:
        item["put"] = render_update(resource)
    if rules.delete is not None:
        item["delete"] = operation(resource, "delete", "Delete it.", {"204": no_content("Deleted.")}, ALL_ERRORS)
    found = {base: collection, item_path: item}
    if resource.tags:
        found |= render_tag_paths(resource, item_path, keyed)
    found |= render_action_paths(resource, item_path, keyed)
    for linked in resource.linked:
        found |= render_linked_paths(resource, linked, item_path, keyed, catalog)
    return found


def find_base(resource: Resource, catalog: Catalog) -> tuple[str, list[Doc]]:
    """The path of the collection, and the parameters that are in it."""
    if not resource.parent:
        return f"/v2.0/{resource.path}", []
    upper = catalog[resource.parent]
    base, above = find_base(upper, catalog)
    return f"{base}/{{{resource.upper_key}}}/{resource.path}", [*above, path_parameter(resource.upper_key)]


def render_action_paths(resource: Resource, item_path: str, keyed: list[Doc]) -> Doc:
    found: Doc = {}
    for action in resource.actions:
        path = found.setdefault(f"{item_path}/{action.name}", {"parameters": keyed})
        path[action.method.lower()] = render_action(resource, action)
    return found


def render_action(resource: Resource, action: Action) -> Doc:
    shown: Doc = {"$ref": f"#/components/schemas/{resource.name}"} if action.shows else dict(action.answer_schema)
    body: Doc = dict(action.schema) or {"type": "object"}
    if action.wrapped:
        body = wrap(resource.name, body)
    if action.wrapped or action.answer_wrapped:
        shown = wrap(resource.name, shown)
    good = {str(action.status): no_content("Done.") if action.status == 204 else content("Done.", shown)}
    errors = READ_ERRORS if action.method == "GET" else ALL_ERRORS
    found = operation(resource, action.name, action.doc, good, errors)
    return found if action.method == "GET" else {**found, "requestBody": request_body(body)}


def wrap(name: str, schema: Doc) -> Doc:
    return {"type": "object", "properties": {name: schema}, "required": [name]}


def render_linked_paths(resource: Resource, linked: Linked, item_path: str, keyed: list[Doc], catalog: Catalog) -> Doc:
    """A sub-collection of objects of another resource."""
    verb, base = linked.path.replace("-", "_"), f"{item_path}/{linked.path}"
    collection: Doc = {"parameters": keyed}
    if linked.rules.get is not None:
        collection["get"] = {**render_list(catalog[linked.shows]), "operationId": f"{resource.name}_{verb}_list"}
    if linked.add is not None:
        body: Doc = {"type": "object", "properties": {linked.key: {"type": "string"}}, "required": [linked.key]}
        made = {str(linked.status): content("Tied.", {"type": "object"})}
        post = operation(resource, f"{verb}_add", linked.doc, made, ALL_ERRORS)
        collection["post"] = {
            **post,
            "requestBody": request_body(wrap(linked.wrapper, body) if linked.wrapper else body),
        }
    if linked.remove is None:
        return {base: collection}
    gone = operation(resource, f"{verb}_remove", linked.doc, {"204": no_content("Untied.")}, ALL_ERRORS)
    return {
        base: collection,
        f"{base}/{{other_id}}": {"parameters": [*keyed, path_parameter("other_id")], "delete": gone},
    }


ALL_ERRORS = tuple(ERRORS)


def render_list(resource: Resource) -> Doc:
    reference = {"$ref": f"#/components/schemas/{resource.name}"}
    links = {"type": "array", "items": {"type": "object"}}
    body = {
        "type": "object",
        "properties": {
            resource.collection: {"type": "array", "items": reference},
            f"{resource.collection}_links": links,
        },
        "required": [resource.collection],
    }
    found = operation(
        resource,
        "list",
        f"List {resource.collection}.",
        {"200": content("The list.", body)},
        find_read_errors(resource),
    )
    return {**found, "parameters": render_list_parameters(resource)}


def render_list_parameters(resource: Resource) -> list[Doc]:
    parameters = [parameter(name, text, schema) for name, (text, schema) in LIST_PARAMETERS.items()]
    parameters += [parameter(f.name, f.doc, filter_schema(f)) for f in find_filterable(resource)]
    texts = {"type": "array", "items": {"type": "string"}}
    return parameters + [parameter(f.name, f.doc, texts) for f in resource.filters]


def find_filterable(resource: Resource) -> list[Field]:
    named = {f.name for f in resource.filters} | RESERVED
    return [f for f in resource.fields if f.filter and f.visible and f.name not in named]


def filter_schema(f: Field) -> Doc:
    types = f.kind.schema.get("type")
    plain = types if isinstance(types, str) and types in ("boolean", "integer") else "string"
    return {"type": "array", "items": {"type": plain}}


def render_show(resource: Resource) -> Doc:
    fields = {"type": "array", "items": {"type": "string"}}
    found = operation(
        resource, "show", "Show it.", {"200": content("It.", wrapped(resource))}, find_read_errors(resource)
    )
    return {**found, "parameters": [parameter("fields", "Attributes to show.", fields)]}


def render_create(resource: Resource) -> Doc:
    body = render_body(resource, [f for f in resource.fields if f.post], create=True)
    one = {"type": "object", "properties": {resource.name: body}, "required": [resource.name]}
    many = {
        "type": "object",
        "properties": {resource.collection: {"type": "array", "items": body, "minItems": 1}},
        "required": [resource.collection],
    }
    answer = {"anyOf": [wrapped(resource), {"type": "object", "required": [resource.collection]}]}
    found = operation(
        resource, "create", "Create one, or several at once.", {"201": content("Made.", answer)}, ALL_ERRORS
    )
    return {**found, "requestBody": request_body({"anyOf": [one, many]})}


def render_update(resource: Resource) -> Doc:
    body = render_body(resource, [f for f in resource.fields if f.put], create=False)
    one = {"type": "object", "properties": {resource.name: body}, "required": [resource.name]}
    found = operation(resource, "update", "Change it.", {"200": content("Changed.", wrapped(resource))}, ALL_ERRORS)
    match = {"type": "string", "pattern": "^revision_number=[0-9]{1,18}$"}
    header = {"name": "If-Match", "in": "header", "required": False, "schema": match}
    return {**found, "requestBody": request_body(one), "parameters": [header]}


def render_body(resource: Resource, fields: Sequence[Field], create: bool) -> Doc:
    required = [f.name for f in fields if f.default is REQUIRED] if create else []
    body: Doc = {
        "type": "object",
        "properties": {f.name: describe(f) for f in fields},
        "additionalProperties": False,
    }
    return {**body, "required": required} if required else body


def render_schema(resource: Resource) -> Doc:
    """What an answer holds. Attributes that a role may not see are left out, so none is required."""
    properties = {f.name: {**nullable(f), "description": f.doc} for f in resource.fields if f.visible}
    if "project_id" in properties:
        properties["tenant_id"] = properties["project_id"]
    return {"type": "object", "description": resource.doc, "properties": properties}


def describe(f: Field) -> Doc:
    return {**with_format(f.kind.schema), "description": f.doc}


def with_format(schema: Mapping[str, Any]) -> Doc:
    return {**schema, **FORMATS.get(str(schema.get("format", "")), {})}


def nullable(f: Field) -> Doc:
    """The kind's schema; a document may hold null where the default is null or made up later."""
    schema = with_format(f.kind.schema)
    if not schema:
        return {}
    if f.default is None or not isinstance(f.default, str | int | list | dict):
        return {"anyOf": [schema, {"type": "null"}]}
    return schema


def render_tag_paths(resource: Resource, item_path: str, keyed: list[Doc]) -> Doc:
    body = {
        "type": "object",
        "properties": {"tags": {"type": "array", "items": {"type": "string", "maxLength": 255}, "uniqueItems": True}},
        "required": ["tags"],
    }
    tags = {
        "parameters": keyed,
        "get": operation(resource, "tags_list", "List its tags.", {"200": content("Tags.", body)}, READ_ERRORS),
        "put": {
            **operation(resource, "tags_replace", "Replace its tags.", {"200": content("Tags.", body)}, ALL_ERRORS),
            "requestBody": request_body(body),
        },
        "post": {
            **operation(resource, "tags_add", "Add tags.", {"201": content("Tags.", body)}, ALL_ERRORS),
            "requestBody": request_body(body),
        },
        "delete": operation(resource, "tags_clear", "Remove its tags.", {"204": no_content("Removed.")}, ALL_ERRORS),
    }
    tag = {
        "parameters": [*keyed, path_parameter("tag")],
        "get": operation(resource, "tag_show", "Whether it has the tag.", {"204": no_content("Yes.")}, READ_ERRORS),
        "put": operation(resource, "tag_add", "Add the tag.", {"201": no_content("Added.")}, ALL_ERRORS),
        "delete": operation(resource, "tag_remove", "Remove the tag.", {"204": no_content("Removed.")}, ALL_ERRORS),
    }
    return {f"{item_path}/tags": tags, f"{item_path}/tags/{{tag}}": tag}


def render_quota_paths(names: Sequence[str]) -> Doc:
    limits = {name: {"type": "integer", "minimum": -1, "maximum": 2**31 - 1} for name in names}
    body = {"type": "object", "properties": {"quota": {"type": "object", "properties": limits}}, "required": ["quota"]}
    ok = {"200": content("Limits.", {"type": "object"})}
    item = {
        "parameters": [path_parameter("project_id")],
        "get": plain_operation("quota_show", "Show a project's limits.", ok, READ_ERRORS),
        "put": {
            **plain_operation("quota_update", "Change a project's limits.", ok, ALL_ERRORS),
            "requestBody": request_body(body),
        },
        "delete": plain_operation("quota_reset", "Back to the defaults.", {"204": no_content("Done.")}, ALL_ERRORS),
    }
    parameters = [path_parameter("project_id")]
    reads = {
        f"/v2.0/quotas/{{project_id}}/{name}": {
            "parameters": parameters,
            "get": plain_operation(f"quota_{name}", text, ok, READ_ERRORS),
        }
        for name, text in (("default", "Show the default limits."), ("details", "Show limits and what is used."))
    }
    listing = {"get": plain_operation("quota_list", "List the limits that were set.", ok, READ_ERRORS)}
    return {"/v2.0/quotas": listing, "/v2.0/quotas/{project_id}": item, **reads}


def plain_operation(id: str, summary: str, good: Doc, errors: Sequence[str]) -> Doc:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/error"}}}
    bad = {status: {"description": ERRORS[status], "content": error} for status in errors}
    return {"operationId": id, "summary": summary, "responses": {**good, **bad}}


def operation(resource: Resource, verb: str, summary: str, good: Doc, errors: Sequence[str]) -> Doc:
    return {"tags": [resource.collection], **plain_operation(f"{resource.name}_{verb}", summary, good, errors)}


def find_read_errors(resource: Resource) -> Sequence[str]:
    """What reading may be refused with; where it first makes something, as a create may be."""
    return READ_ERRORS if resource.ensure is None else ALL_ERRORS


def wrapped(resource: Resource) -> Doc:
    reference = {"$ref": f"#/components/schemas/{resource.name}"}
    return {"type": "object", "properties": {resource.name: reference}, "required": [resource.name]}


def content(description: str, schema: Doc) -> Doc:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def no_content(description: str) -> Doc:
    return {"description": description}


def request_body(schema: Doc) -> Doc:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def parameter(name: str, text: str, schema: Doc) -> Doc:
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def path_parameter(name: str) -> Doc:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def discovery_operation(id: str, summary: str, errors: Sequence[str] = READ_ERRORS) -> Doc:
    return {"get": plain_operation(id, summary, {"200": content(summary, {"type": "object"})}, errors)}


DISCOVERY: Doc = {
    "/": discovery_operation("versions", "The versions of the API.", ()),
    "/v2.0/": discovery_operation("resources", "The resources of the API."),
    "/v2.0/extensions": discovery_operation("extension_list", "The extensions of the API."),
    "/v2.0/extensions/{alias}": {
        "parameters": [path_parameter("alias")],
        **discovery_operation("extension_show", "One extension."),
    },
    "/healthcheck": discovery_operation("health", "Whether the server can serve.", ("503",)),
}
