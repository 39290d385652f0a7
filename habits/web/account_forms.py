"""Forms of the account pages. A refusal never says whether there is such an account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import password_validation
from django.contrib.auth.forms import AuthenticationForm, PasswordResetForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from habits.login_limits import LOGIN, MAIL, Attempt, TooManyAttempts, address_of
from habits.models import User

if TYPE_CHECKING:
    _Limited = AuthenticationForm
else:
    _Limited = object


def too_many() -> ValidationError:
    return ValidationError(_("Too many attempts. Please wait a quarter of an hour and try again."), code="too_many")


class LimitedLogin(_Limited):
    """A login form that looks at so many passwords and no more, for families and staff alike."""

    def clean(self) -> dict[str, Any]:
        account, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if not account or not password or self.request is None:
            return super().clean()
        attempt = Attempt("login", account, address_of(self.request, behind_proxy=settings.BEHIND_PROXY))
        try:
            attempt.admit(LOGIN)
        except TooManyAttempts:
            raise too_many() from None
        cleaned = super().clean()
        attempt.forgive()
        return cleaned


class LoginForm(LimitedLogin, AuthenticationForm):
    """E-mail address and password."""

    error_messages = {
        "invalid_login": _("This e-mail address and this password do not belong together. Please try again."),
        "inactive": _("This e-mail address and this password do not belong together. Please try again."),
    }


class StaffLoginForm(LimitedLogin, AdminAuthenticationForm):
    """The admin's own login form, with the limits."""


class SignUpForm(forms.Form):
    """A new family."""

    email = forms.EmailField(
        label=_("e-mail address"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("At least 8 characters, and nothing that is easily guessed."),
    )

    def clean(self) -> dict[str, Any] | None:
        password = self.cleaned_data.get("password")
        if password:
            try:
                password_validation.validate_password(password, User(email=self.cleaned_data.get("email", "")))
            except ValidationError as refused:
                self.add_error("password", refused)
        return self.cleaned_data


class LimitedPasswordResetForm(PasswordResetForm):
    """Writes to everybody who may log in, also to those whose account came without a password."""

    def __init__(self, *arguments: Any, address: str = "", **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._address = address

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"])
        try:
            Attempt("mail", email, self._address).admit(MAIL)
        except TooManyAttempts:
            raise too_many() from None
        return email

    def get_users(self, email: str) -> Iterator[User]:
        yield from User.objects.filter(email__iexact=email, is_active=True)
