"""Where notifications go: transport_url, [oslo_messaging_notifications] and [oslo_messaging_rabbit], as oslo.messaging
has them."""

from __future__ import annotations

import ssl
from urllib.parse import quote, unquote, urlsplit

from netloom.main.options import checks
from netloom.main.options.checks import Given
from netloom.main.options.reading import Read
from netloom.notify.rabbit_settings import RabbitSettings

GROUP, RABBIT = "oslo_messaging_notifications", "oslo_messaging_rabbit"
DRIVERS = {"messagingv2": True, "messaging": False}
"""Whether messages have an envelope, by driver."""
IDLE = ("noop", "log", "routing", "")


def make_rabbit(read: Read) -> RabbitSettings | None:
    """None: nobody is told. Raises OptionError."""
    drivers = [name for name in read.value(GROUP, "driver") if name not in IDLE]
    checks.parse_names(read.given(GROUP, "driver"), drivers, (*DRIVERS, *IDLE))
    if not drivers:
        return None
    group = GROUP if read.value(GROUP, "transport_url") else "DEFAULT"
    given = read.given(group, "transport_url")
    return RabbitSettings(
        urls=parse_transport(given, read.value(group, "transport_url")),
        exchange=read.value("DEFAULT", "control_exchange"),
        topics=tuple(read.value(GROUP, "topics")),
        envelope=DRIVERS[drivers[0]],
        publisher=f"network.{read.value('DEFAULT', 'host')}",
        durable=read.value(RABBIT, "amqp_durable_queues"),
        quorum=read.value(RABBIT, "rabbit_quorum_queue"),
        tls=make_tls_context(read) if read.value(RABBIT, "ssl") else None,
    )


def parse_transport(given: Given, value: str) -> tuple[str, ...]:
    """oslo.messaging's URL as one of AMQP for each host: rabbit://user:password@host:5672,user:password@other/vhost."""
    scheme, separator, rest = (value or "").partition("://")
    if scheme not in ("rabbit", "kombu", "amqp") or not separator or not rest:
        raise given.refuse(hide(value), "allowed: rabbit://user:password@host:5672/virtual_host")
    hosts, _, vhost = rest.partition("?")[0].partition("/")
    return tuple(f"amqp://{host}/{quote(unquote(vhost), safe='')}" for host in hosts.split(",") if host)


def hide(url: str) -> str:
    """The URL without its passwords: errors are written to logs."""
    return f"{urlsplit(url).scheme}://…" if "://" in (url or "") else (url or "")


def make_tls_context(read: Read) -> ssl.SSLContext:
    cafile = read.value(RABBIT, "ssl_ca_file")
    if cafile:
        checks.parse_file(read.given(RABBIT, "ssl_ca_file"), cafile)
    return ssl.create_default_context(cafile=cafile or None)
