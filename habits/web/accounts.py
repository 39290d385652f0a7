"""Log in, sign up, change and reset the password. Log out and the language are Django's own views."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth import views as auth
from django.contrib.auth.forms import SetPasswordForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from habits import sign_up as service
from habits.login_limits import MAIL, Attempt, TooManyAttempts, address_of
from habits.models import User
from habits.web.account_forms import LimitedPasswordResetForm, LoginForm, SignUpForm, too_many

logger = logging.getLogger(__name__)

_CHOSEN = "habits.sign_up.password"
"""Where the session of a browser keeps what was typed at sign-up, as a hash, until the mail is answered."""

BACKEND = "django.contrib.auth.backends.ModelBackend"


class Login(auth.LoginView):
    """Whoever is logged in already goes on to where they wanted."""

    template_name = "accounts/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True


class PasswordChange(auth.PasswordChangeView):
    template_name = "accounts/password_change.html"
    success_url = reverse_lazy("children")

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, _("Your password is changed."))
        return super().form_valid(form)


class PasswordReset(auth.PasswordResetView):
    """Says the same whether there is such an account or not."""

    template_name = "accounts/password_reset.html"
    form_class = LimitedPasswordResetForm
    email_template_name = "accounts/mail/reset.txt"
    subject_template_name = "accounts/mail/reset_subject.txt"
    success_url = reverse_lazy("password_reset_sent")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "address": _address(self.request)}


class PasswordResetConfirm(auth.PasswordResetConfirmView):
    template_name = "accounts/password_reset_confirm.html"
    success_url = reverse_lazy("login")

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, _("Your password is changed. You can log in with it now."))
        return super().form_valid(form)


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponseBase:
    """1. The address and a password; 2. a mail; 3. its link makes the account (`confirm`)."""
    if request.user.is_authenticated:
        return redirect("children")
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _written(request, form):
        request.session[_CHOSEN] = [
            form.cleaned_data["email"],
            service.hashed(form.cleaned_data["password"]),
        ]
        return redirect("sign_up_sent")
    return render(request, "accounts/sign_up.html", {"form": form})


def _written(request: HttpRequest, form: SignUpForm) -> bool:
    """Whether the mail is on its way; otherwise the form says why not."""
    email = form.cleaned_data["email"]
    try:
        Attempt("mail", email, _address(request)).admit(MAIL)
    except TooManyAttempts:
        form.add_error(None, too_many())
        return False
    confirm = reverse("sign_up_confirm", kwargs={"ticket": service.ticket(email)})
    pages = {"confirm": confirm, "login": reverse("login"), "reset": reverse("password_reset")}
    try:
        service.write_to(email, **{name: request.build_absolute_uri(path) for name, path in pages.items()})
    except OSError:
        logger.exception("The mail of a sign-up could not be sent.")
        form.add_error(None, gettext("The mail could not be sent. Please try again later."))
        return False
    return True


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, ticket: str) -> HttpResponseBase:
    """The link of the mail. It changes nothing by being opened: mail programs open links, too."""
    try:
        email = service.address_in(ticket)
    except service.InvalidLink:
        return render(request, "accounts/link_invalid.html", status=410)
    chosen_for, password = request.session.get(_CHOSEN, ("", ""))
    here = chosen_for == email
    form = None if here else SetPasswordForm(User(email=email), request.POST or None)
    if request.method == "POST":
        if form is None:
            return _begin(request, email, password)
        if form.is_valid():
            return _begin(request, email, service.hashed(form.cleaned_data["new_password1"]))
    return render(request, "accounts/sign_up_confirm.html", {"form": form, "email": email})


def _begin(request: HttpRequest, email: str, password_hash: str) -> HttpResponseBase:
    request.session.pop(_CHOSEN, None)
    try:
        user = service.create(email, password_hash)
    except service.HasAccount:
        messages.info(request, _("This account is there already. Please log in."))
        return redirect("login")
    login(request, user, backend=BACKEND)
    return redirect("children")


def _address(request: HttpRequest) -> str:
    return address_of(request, behind_proxy=settings.BEHIND_PROXY)
