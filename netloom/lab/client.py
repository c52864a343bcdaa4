"""The lab as a user of the cloud: the Networking API over HTTP, with a token got by a clouds.yaml.

Law: the lab has no way in that a user has not. httpx is imported where the server is asked; most commands ask nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from netloom.lab.shell import LabError

if TYPE_CHECKING:
    import httpx

Doc = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Client:
    """`http` carries the token; paths are below /v2.0."""

    http: httpx.Client

    def get(self, path: str, **query: str) -> Any:
        return self.send("GET", path, params=query)

    def list(self, collection: str, **query: str) -> list[Doc]:
        found: list[Doc] = self.get(collection, **query)[collection.replace("-", "_")]
        return found

    def create(self, collection: str, kind: str, /, **body: Any) -> Doc:
        made: Doc = self.send("POST", collection, json={kind: body})[kind]
        return made

    def delete(self, path: str) -> None:
        """Nothing to do if it is gone already."""
        self.send("DELETE", path, missing_ok=True)

    def find(self, collection: str, wanted: str, **query: str) -> Doc:
        """The one object with that id or name. Raises LabError: none, or several of that name."""
        found = self.list(collection, id=wanted, **query) or self.list(collection, name=wanted, **query)
        if len(found) != 1:
            kind = collection.rstrip("s")
            raise LabError(
                f"there is no {kind} '{wanted}'" if not found else f"{len(found)} {collection} are '{wanted}'"
            )
        return found[0]

    def send(self, method: str, path: str, missing_ok: bool = False, **given: Any) -> Any:
        import httpx

        try:
            response = self.http.request(method, f"/v2.0/{path}", **given)
        except httpx.HTTPError as error:
            raise LabError(f"the server does not answer at {self.http.base_url} ({error!r})") from None
        if response.status_code >= 400 and not (missing_ok and response.status_code == 404):
            raise LabError(f"{method} /v2.0/{path}: {response.status_code} {read_message(response)}")
        return response.json() if response.content and response.status_code < 400 else None


def read_message(response: httpx.Response) -> str:
    """What a Neutron or Keystone error body says, or else the body."""
    try:
        body = response.json()
        error = body.get("NeutronError", body.get("error"))
        return str(error["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return response.text[:500]


@contextmanager
def open_client(clouds: Path, cloud: str = "netloom") -> Iterator[Client]:
    """A client with a token for one cloud of a clouds.yaml. Raises LabError."""
    import httpx

    auth = read_cloud(clouds, cloud)
    with httpx.Client(timeout=30, trust_env=False) as http:
        token, url = fetch_token(http, auth)
        http.headers["X-Auth-Token"] = token
        http.base_url = httpx.URL(url)
        yield Client(http)


def read_cloud(clouds: Path, cloud: str) -> Mapping[str, str]:
    """The "auth" part of one cloud."""
    try:
        auth: Mapping[str, str] = yaml.safe_load(clouds.read_text())["clouds"][cloud]["auth"]
        return auth
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise LabError(f"{clouds}: no cloud '{cloud}' can be read from it ({error!r})") from None


def fetch_token(http: httpx.Client, auth: Mapping[str, str]) -> tuple[str, str]:
    """A token, and the URL of the network service as the catalog gives it."""
    import httpx

    url = auth["auth_url"].rstrip("/")
    url = url if url.endswith("/v3") else f"{url}/v3"
    try:
        response = http.post(f"{url}/auth/tokens", json={"auth": render_auth(auth)})
    except httpx.HTTPError as error:
        raise LabError(f"the identity service does not answer at {url} ({error!r})") from None
    if response.status_code != 201:
        raise LabError(f"no token from {url}: {response.status_code} {read_message(response)}")
    for service in response.json()["token"]["catalog"]:
        if service["type"] == "network":
            endpoint = next(e["url"] for e in service["endpoints"] if e["interface"] == "public")
            return response.headers["X-Subject-Token"], endpoint
    raise LabError(f"the catalog of {url} has no network service")


def render_auth(auth: Mapping[str, str]) -> Doc:
    """The body of Keystone v3's POST /auth/tokens."""
    user = {
        "name": auth["username"],
        "password": auth["password"],
        "domain": {"name": auth.get("user_domain_name", "Default")},
    }
    project = {"name": auth["project_name"], "domain": {"name": auth.get("project_domain_name", "Default")}}
    return {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": project}}
