"""Neutron's own unit tests of its API, with another server in the place of its plugins. Runs where Neutron is; imports
nothing of ours.

    python neutron_units_driver.py PORT MODULE…      a line {"id", "word", "text"} for each test

Each request of a test goes to the server at PORT, as the user whose context the test gives it. What looks at the inside
of Neutron (its plugin, database, callbacks, agents' records) is nothing that a client could see: such a test is left,
with the word "internal".
"""

from __future__ import annotations

import http.client
import json
import re
import sys
import traceback
import unittest
from collections.abc import Iterator
from typing import Any

import webob
from neutron.conf.db import extraroute_db
from neutron.conf.extensions import allowedaddresspairs
from neutron.tests import base
from neutron.tests.common import helpers, test_db_base_plugin_v2
from neutron.tests.unit import testlib_api
from neutron_lib import fixture
from neutron_lib.callbacks import registry
from neutron_lib.plugins import directory
from oslo_config import cfg

PREFIXES = {"policies": "/qos", "metering-labels": "/metering", "metering-label-rules": "/metering"}
INSIDE = re.compile(
    r"\bInside\b|oslo_db\.exception|sqlalchemy\.exc|to have been called|to be called|expected call not found"
    r"|Calls not found|call not found"
)
ADMINS_ATTRIBUTES = re.compile(rb'"(segment_id|service_types)"')
"""Neutron has a rule for each, for administrators, and does not look at it; its tests set them as members."""
PHYSICAL = ["physnet1:1:100", "physnet2:200:300", "physnet3:400:500", "physnet:1:4000", "phys_net:1:4000",
            "phys_net2:1:4000", "physnet0:1:4000", "physnet4:1:4000", "physnet_a", "physnet_b"]  # fmt: skip
PORT = 0
OPTIONS: dict[str, Any] = {}
TOLD: list[dict[str, Any]] = []


class Inside(unittest.SkipTest):
    """A test looks at the inside of Neutron."""


class Plugin:
    """Stands where a plugin would be; whoever asks it for more than whether it supports bulk requests looks inside."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "__native" in name:
            return True
        if name == "supported_extension_aliases":
            return ["filter-validation"]
        raise Inside(name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise Inside(name)


def refuse(*given: Any, **named: Any) -> Any:
    raise Inside("callbacks, or agents' records")


def tell(path: str, document: dict[str, Any]) -> None:
    assert send("POST", path, json.dumps(document, default=str).encode(), {})[0] == 200


def send(method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    try:
        connection.request(method, url, body or None, headers)
        reply = connection.getresponse()
        return reply.status, reply.getheaders(), reply.read()
    finally:
        connection.close()


def get_response(request: Any, application: Any = None, **named: Any) -> Any:
    """In the place of webob's: whatever application the test means, the server at PORT is asked."""
    if TOLD != [OPTIONS]:
        TOLD[:] = [dict(OPTIONS)]
        tell("/__options__", OPTIONS)
    path = request.path if request.path.startswith("/v2.0/") else make_path(request.path)
    url = f"{path}?{request.query_string}" if request.query_string else path
    status, headers, body = send(request.method, url, request.body, make_headers(request))
    found = webob.Response(status=status, body=body, content_type="application/json")
    for name, value in headers:
        if name.lower() not in ("content-length", "content-type", "transfer-encoding"):
            found.headers[name] = value
    return found


def make_path(path: str) -> str:
    path = path.removesuffix(".json")
    return f"/v2.0{PREFIXES.get(path.split('/')[1], '')}{path}"


def make_headers(request: Any) -> dict[str, str]:
    """Who asks, as auth_strategy=noauth has it; nobody named: an administrator."""
    headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "content-length")}
    headers["Content-Type"] = "application/json"
    context = request.environ.get("neutron.context")
    if context is None:
        return headers
    roles = list(context.roles) or ([] if context.is_admin else ["member", "reader"])
    if "member" in roles:
        roles.append("reader")  # as Keystone implies it
    if ADMINS_ATTRIBUTES.search(request.body or b""):
        roles = ["admin", "member", "reader"]
    named = {"X-Project-Id": context.project_id, "X-User-Id": context.user_id, "X-Roles": ",".join(roles)}
    if context.is_admin and "admin" not in roles:
        del named["X-Roles"]
    return {**headers, **{name: value for name, value in named.items() if value}}


def set_up(test: Any, plugin: Any = None, service_plugins: Any = None, ext_mgr: Any = None, **named: Any) -> None:
    """In the place of NeutronDbPluginV2TestCase.setUp: an empty server, and the attributes that tests read."""
    tell("/__new__", {})
    base.BaseTestCase.setUp(test)
    test._deserializers = {"application/json": testlib_api.wsgi.JSONDeserializer()}
    test.setup_coreplugin(None, load_plugins=False)
    test.useFixture(fixture.APIDefinitionFixture())
    OPTIONS.clear()
    TOLD.clear()
    for name, value in (("base_mac", "12:34:56:00:00:00"), ("max_dns_nameservers", 2), ("max_subnet_host_routes", 2)):
        cfg.CONF.set_override(name, value)
    OPTIONS["network_vlan_ranges"] = PHYSICAL
    test._project_id = test_db_base_plugin_v2.TEST_PROJECT_ID
    test.api = test.ext_api = "the server"
    test.net_create_status, test.port_create_status = "ACTIVE", "DOWN"
    test._skip_native_bulk = test._skip_native_pagination = False
    test._skip_native_sorting = test._skip_filter_validation = False
    test.plugin = Plugin()


def take_place() -> None:
    """Put ourselves between Neutron's tests and Neutron."""
    overriding = cfg.ConfigOpts.set_override

    def set_override(conf: Any, name: str, override: Any, group: Any = None) -> None:
        try:
            overriding(conf, name, override, group)
        except cfg.NoSuchOptError:
            pass  # an option of a plugin that is not loaded
        OPTIONS[name.lower()] = override

    def set_quota(resource: str, value: int) -> None:
        OPTIONS[f"quota_{resource}"] = value

    cfg.ConfigOpts.set_override = set_override  # type: ignore[method-assign, unused-ignore]
    test_db_base_plugin_v2._set_temporary_quota = set_quota
    webob.Request.get_response = webob.request.BaseRequest.get_response = get_response
    directory.get_plugin = lambda alias=None: Plugin()
    directory.get_plugins, directory.get_unique_plugins = dict, list
    directory.add_plugin = lambda alias, plugin: None
    test_db_base_plugin_v2.NeutronDbPluginV2TestCase.setUp = set_up
    testlib_api.SqlTestCase.setUp = base.BaseTestCase.setUp
    for name in dir(helpers):
        if name.startswith(("register_", "set_agent", "kill_agent", "revive", "add_service")):
            setattr(helpers, name, refuse)
    allowedaddresspairs.register_allowed_address_pair_opts()
    extraroute_db.register_db_extraroute_opts()


class Result(unittest.TestResult):
    """Prints what became of each test, as soon as that is known."""

    told: str = ""

    def tell(self, test: Any, word: str, text: str = "") -> None:
        if self.told == test.id():
            return  # a test that fails in its clean-up as well
        self.told = test.id()
        if word in ("failure", "skip") and INSIDE.search(text):
            word, text = "internal", ""
        print(json.dumps({"id": test.id(), "word": word, "text": text[-3000:]}), flush=True)

    def addSuccess(self, test: Any, details: Any = None) -> None:
        self.tell(test, "success")

    def addFailure(self, test: Any, err: Any = None, details: Any = None) -> None:
        self.tell(test, "failure", read_text(err, details))

    def addError(self, test: Any, err: Any = None, details: Any = None) -> None:
        self.tell(test, "failure", read_text(err, details))

    def addSkip(self, test: Any, reason: Any = None, details: Any = None) -> None:
        self.tell(test, "skip", f"{reason or ''}{read_text(None, details)}")


def read_text(err: Any, details: Any) -> str:
    if details:
        return "\n".join(one.as_text() for name, one in details.items() if name.startswith(("traceback", "reason")))
    return "".join(traceback.format_exception(*err)) if err else ""


def find_tests(suite: Any) -> Iterator[Any]:
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from find_tests(one)
        else:
            yield one


def main(modules: list[str]) -> None:
    """A test that several classes inherit is judged once."""
    take_place()
    result, seen = Result(), set()
    for module in modules:
        suite = unittest.defaultTestLoader.loadTestsFromName(f"neutron.tests.unit.{module}")
        registry.subscribe = refuse  # from here on: modules that were loaded may have subscribed
        for test in find_tests(suite):
            name = (module, test.id().rpartition(".")[2])
            if name not in seen:
                seen.add(name)
                test.run(result)


if __name__ == "__main__":
    PORT = int(sys.argv[1])
    main(sys.argv[2:])
