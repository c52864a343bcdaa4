"""The options by which Nova is told of instances' ports, with the names of neutron.conf."""

from __future__ import annotations

from collections.abc import Sequence

from oslo_config import cfg

DEFAULT: Sequence[cfg.Opt] = (
    cfg.BoolOpt(
        "notify_nova_on_port_status_changes", default=True, help="Tell Nova when ports are plugged and unplugged."
    ),
    cfg.BoolOpt("notify_nova_on_port_data_changes", default=True, help="Tell Nova when ports or floating IPs change."),
)


def make_login_options(name: str, told: str) -> Sequence[cfg.Opt]:
    """By which a service is found and spoken to. `told`: what becomes of it without them."""
    return (
        cfg.StrOpt("auth_url", default="", help=f"The Keystone through which {name} is found; none: {told}"),
        cfg.StrOpt("username", default="", help=f"The user that speaks to {name}."),
        cfg.StrOpt("password", default="", secret=True, help="Its password."),
        cfg.StrOpt("project_name", default="service", help="Its project."),
        cfg.StrOpt("user_domain_name", default="Default", help="Its domain."),
        cfg.StrOpt("project_domain_name", default="Default", help="The domain of its project."),
        cfg.StrOpt("region_name", default="", help=f"{name}'s region; none: the first."),
        cfg.StrOpt(
            "endpoint_type", default="public", choices=("public", "internal", "admin"),
            help=f"Which of {name}'s endpoints.",
        ),
        cfg.StrOpt("endpoint_override", default="", help=f"Where {name} is, in place of what Keystone says."),
        cfg.StrOpt("cafile", default="", help="Authorities that certificates must come from, PEM."),
        cfg.BoolOpt("insecure", default=False, help="Check no certificate."),
    )  # fmt: skip


NOVA: Sequence[cfg.Opt] = make_login_options("Nova", "Nova is told nothing.")
