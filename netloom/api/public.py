"""The API behind another address than its own, as behind a proxy that speaks TLS.

Law: what the server writes of itself (links, versions, the catalog) begins with the address that clients use.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from netloom.api.aside import AsgiApp
from netloom.api.message import Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Public:
    """`app`, told that every client came by this address, whatever a proxy made of it on the way."""

    app: AsgiApp
    scheme: str
    host: bytes
    root_path: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = [(b"host", self.host), *(one for one in scope["headers"] if one[0] != b"host")]
            scope = {**scope, "scheme": self.scheme, "headers": headers, "root_path": self.root_path}
        await self.app(scope, receive, send)


def make_public(app: AsgiApp, url: str) -> AsgiApp:
    """`url`: https://network.example.org/network, without a slash at the end; empty: as each client wrote it."""
    if not url:
        return app
    parts = urlsplit(url)
    return Public(app, parts.scheme, parts.netloc.encode(), parts.path)
