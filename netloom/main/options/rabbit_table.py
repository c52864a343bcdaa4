"""The options by which other services are told through RabbitMQ, with oslo.messaging's names."""

from __future__ import annotations

from collections.abc import Sequence

from oslo_config import cfg

DEFAULT: Sequence[cfg.Opt] = (
    cfg.StrOpt("transport_url", default="", secret=True, help="RabbitMQ: rabbit://user:password@host:5672/vhost."),
    cfg.StrOpt("control_exchange", default="neutron", help="The exchange that notifications go to."),
)
NOTIFICATIONS: Sequence[cfg.Opt] = (
    cfg.ListOpt("driver", default=[], help="messagingv2 or messaging: other services are told; none: nobody is."),
    cfg.StrOpt("transport_url", default="", secret=True, help="In place of [DEFAULT] transport_url."),
    cfg.ListOpt("topics", default=["notifications"], help="The queues are called <topic>.info."),
)
RABBIT: Sequence[cfg.Opt] = (
    cfg.BoolOpt("amqp_durable_queues", default=False, help="Make queues that outlive the broker."),
    cfg.BoolOpt("rabbit_quorum_queue", default=False, help="Make quorum queues."),
    cfg.BoolOpt("ssl", default=False, help="Speak TLS with RabbitMQ."),
    cfg.StrOpt("ssl_ca_file", default="", help="Authorities that its certificate must come from, PEM."),
)
