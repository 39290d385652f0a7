"""Addresses under `/accounts/`."""

from django.contrib.auth.views import LogoutView, PasswordResetDoneView
from django.urls import path
from django.views.generic import TemplateView

from habits.web import accounts

urlpatterns = [
    path("login/", accounts.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
    path("sign-up/", accounts.sign_up, name="sign_up"),
    path("sign-up/sent/", TemplateView.as_view(template_name="accounts/mail_sent.html"), name="sign_up_sent"),
    path("sign-up/<str:ticket>/", accounts.confirm, name="sign_up_confirm"),
    path("password/", accounts.PasswordChange.as_view(), name="password_change"),
    path("password/reset/", accounts.PasswordReset.as_view(), name="password_reset"),
    path(
        "password/reset/sent/",
        PasswordResetDoneView.as_view(template_name="accounts/mail_sent.html"),
        name="password_reset_sent",
    ),
    path("password/reset/<uidb64>/<token>/", accounts.PasswordResetConfirm.as_view(), name="password_reset_confirm"),
]
