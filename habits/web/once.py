"""A form that is sent twice has one effect: each carries a token, and the answer to it is kept with what it changed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import blake2b

from django.contrib import messages
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from habits import idempotency
from habits.idempotency import Answer, Scope
from habits.web.visitor import owner
from migration_ops.conf import settings
from migration_ops.locks import lock_id, wait_at_most

TOKEN = "token"  # noqa: S105 - the name of a field
SEE_OTHER = 303


@dataclass(frozen=True, slots=True)
class Done:
    """Where to go on, and what to say there; `level` is one of Django's message levels."""

    location: str
    message: str = ""
    level: int = messages.SUCCESS


def new_token() -> str:
    """For a form that is shown now."""
    return uuid.uuid4().hex


def once(request: HttpRequest, work: Callable[[], Done]) -> HttpResponse:
    """Do the work in one transaction, unless this very form did it already, and go on to where it leads.

    The same token with other contents, as after going back in the browser, is another form. Of two that arrive at
    once the second waits for the first.

    Raises:
        DatabaseError: as the work does, or the first one took too long; nothing was changed.
    """
    key = _key(request)
    scope = Scope(owner(request), "POST", request.path, key)
    with transaction.atomic():
        wait_at_most(settings().write_patience)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock_id("form", str(scope.user), scope.route, key)])
        known = idempotency.claim(scope, key)
        if known is not None:
            done = Done(**json.loads(known.body))
        else:
            done = work()
            idempotency.keep(scope, key, Answer(SEE_OTHER, {}, json.dumps(asdict(done)).encode()))
    if done.message:
        messages.add_message(request, done.level, done.message)
    return HttpResponseRedirect(done.location, status=SEE_OTHER)


def _key(request: HttpRequest) -> str:
    token = request.POST.get(TOKEN) or new_token()
    contents = sorted((name, values) for name, values in request.POST.lists() if name != "csrfmiddlewaretoken")
    return blake2b(f"{token}{contents}".encode(errors="replace"), digest_size=16).hexdigest()
