"""Who may read `/metrics`: whoever has the token, or, where there is none, a process of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")
"""What proxies add. A request with one of them was passed on, by whomever: its sender is not on this machine."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why somebody may not.

    Attributes:
        challenge: what `WWW-Authenticate` says; "" where no token would help.
    """

    status: int
    sentence: str
    challenge: str = ""


def refusal(request: HttpRequest) -> Refusal | None:
    """Why this request may not read the metrics; None if it may."""
    token = str(getattr(settings, "METRICS_TOKEN", ""))
    return _without_token(request, token) if token else _from_elsewhere(request)


def _without_token(request: HttpRequest, token: str) -> Refusal | None:
    scheme, _, said = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not said.strip():
        return Refusal(401, "Send the token: Authorization: Bearer METRICS_TOKEN.", 'Bearer realm="metrics"')
    if constant_time_compare(said.strip(), token):
        return None
    challenge = 'Bearer realm="metrics", error="invalid_token"'
    return Refusal(401, "This is not the token that METRICS_TOKEN names.", challenge)


def _from_elsewhere(request: HttpRequest) -> Refusal | None:
    """Anybody can send what a proxy says of the sender, and a proxy's own address says nothing of the sender."""
    if getattr(settings, "BEHIND_PROXY", False) or any(name in request.headers for name in _FORWARDED):
        return Refusal(403, "Behind a proxy the metrics need a token. Set METRICS_TOKEN.")
    if not _is_loopback(request.META.get("REMOTE_ADDR", "")):
        return Refusal(403, "Without a token the metrics are for this machine alone. Set METRICS_TOKEN.")
    return None


def _is_loopback(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:  # a socket has none
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped.is_loopback
    return found.is_loopback
