"""DHCP, DHCPv6 and router advertisements, answered on the host: frames in as bytes, frames out as bytes. Pure."""

from netloom.render.answers.announce import announce_frame
from netloom.render.answers.answer import advert_frame, answer_frame, news_frames
from netloom.render.answers.ra import is_advert_due
from netloom.render.answers.scope import Scope, Settings, make_scope, read_scope, server_address

__all__ = [
    "Scope",
    "Settings",
    "advert_frame",
    "announce_frame",
    "answer_frame",
    "is_advert_due",
    "make_scope",
    "news_frames",
    "read_scope",
    "server_address",
]
