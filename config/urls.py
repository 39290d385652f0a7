"""Every address of the site."""

from django.contrib import admin
from django.urls import include, path

from habits.api import api
from habits.web.account_forms import StaffLoginForm

admin.site.login_form = StaffLoginForm

handler500 = "habits.web.errors.server_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("accounts/", include("habits.web.account_urls")),
    path("", include("migration_ops.web.urls")),
    path("", include("habits.web.urls")),
]
