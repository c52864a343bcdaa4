"""Netloom: OpenStack Networking, whole, in one package. See ARCHITECTURE.md for the seven stages."""

__version__ = "0.1.0"
