"""Every resource that is served, and the extensions by which clients find out what works.

Law: this file lists; what a thing is, its own file says.
"""

from __future__ import annotations

from collections.abc import Mapping

from netloom.intent import rbac
from netloom.intent.agent import AGENT
from netloom.intent.availability_zone import AVAILABILITY_ZONE
from netloom.intent.extension import CORE, Extension
from netloom.intent.network import NETWORK
from netloom.intent.port import PORT
from netloom.intent.quota import QUOTA
from netloom.intent.schema import Catalog
from netloom.intent.segments import SEGMENT
from netloom.intent.subnet import SUBNET

RESOURCES = (NETWORK, SUBNET, PORT, SEGMENT, AGENT, QUOTA, AVAILABILITY_ZONE, rbac.RBAC_POLICY)
CATALOG: Catalog = {resource.name: resource for resource in RESOURCES}

EXTENSIONS: Mapping[str, Extension] = {extension.alias: extension for extension in (*CORE, *rbac.EXTENSIONS)}
"""By alias."""
