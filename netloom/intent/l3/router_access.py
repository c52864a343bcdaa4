"""What the requester of a router's operation may use: an object that it may not see is not there for it.

Law: the answer to an id of another project's object is the same 404 as to one that never was.
"""

from __future__ import annotations

from netloom.intent import rbac
from netloom.intent.draft import Draft
from netloom.intent.errors import not_found
from netloom.intent.schema import Doc


def find_network(draft: Draft, id: str) -> Doc:
    """Raises NetworkNotFound."""
    network = draft.get("network", id)
    if network is None or not (owns(draft, network) or is_opened(draft, network)):
        raise not_found("network", id)
    return network


def find_subnet(draft: Draft, id: str) -> Doc:
    """Raises SubnetNotFound. A subnet is seen by those who see its network."""
    subnet = draft.get("subnet", id)
    network = draft.get("network", subnet["network_id"]) if subnet else None
    if subnet is None or network is None or not (owns(draft, subnet) or owns(draft, network) or shares(draft, network)):
        raise not_found("subnet", id)
    return subnet


def find_port(draft: Draft, id: str) -> Doc:
    """Raises PortNotFound. A port is seen by its owner and by its network's."""
    port = draft.get("port", id)
    network = draft.get("network", port["network_id"]) if port else None
    if port is None or not (owns(draft, port) or (network is not None and owns(draft, network))):
        raise not_found("port", id)
    return port


def owns(draft: Draft, doc: Doc) -> bool:
    """Whether the object is the requester's, as far as it is concerned: an administrator's and a service's are all."""
    requester = draft.context.requester
    sees_all = requester.is_admin or "service" in requester.roles
    return sees_all or (bool(requester.project_id) and doc["project_id"] == requester.project_id)


def is_opened(draft: Draft, network: Doc) -> bool:
    """Whether the network is shared with the requester's project, or is external for it."""
    if shares(draft, network) or network["external_to_all"]:
        return True
    return rbac.is_granted(draft, "network", network["id"], rbac.EXTERNAL, draft.context.requester.project_id)


def shares(draft: Draft, network: Doc) -> bool:
    return bool(network["shared"]) or is_granted(draft, network)


def is_granted(draft: Draft, network: Doc) -> bool:
    """Whether the requester's project is granted the network by name, not with everyone."""
    return rbac.is_granted(draft, "network", network["id"], rbac.SHARED, draft.context.requester.project_id)
