"""Which addresses a message may be sent to: those of the public internet. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def is_public(text: str) -> bool:
    """Whether this address, and whatever IPv4 address is wrapped in it, is one of the public internet.

    Not so: private, loopback, link-local, site-local, shared, reserved (NAT64 among them), multicast, unspecified ones,
    and what is no address.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return all(
        one.is_global and not (one.is_multicast or one.is_reserved or one.is_unspecified or one.is_link_local)
        for one in (address, *_wrapped(address))
    ) and not (isinstance(address, IPv6Address) and address.is_site_local)


def _wrapped(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    return [one for one in found if one is not None]
