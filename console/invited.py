"""The page behind an invitation's link. The invited person accepts with one click."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import get_user_model, login, password_validation
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from unfold import widgets

from console import tenancy
from workspaces.invitations import accept, find_invitation, is_for, sign_up
from workspaces.models import Invitation


class SignUpForm(forms.Form):
    """The form for a person who is new here. The name that was invited is theirs, unless it is an e-mail address."""

    username = forms.CharField(
        label="User name",
        max_length=User._meta.get_field("username").max_length,
        validators=User._meta.get_field("username").validators,
        widget=widgets.UnfoldAdminTextInputWidget({"autocomplete": "username"}),
    )
    password = forms.CharField(
        widget=widgets.UnfoldAdminPasswordWidget({"autocomplete": "new-password"}), strip=False
    )
    again = forms.CharField(
        label="Password again",
        widget=widgets.UnfoldAdminPasswordWidget({"autocomplete": "new-password"}),
        strip=False,
    )

    def __init__(self, invitation: Invitation, *args: Any) -> None:
        super().__init__(*args)
        if "@" not in invitation.name:
            self.fields["username"].initial = invitation.name
            self.fields["username"].disabled = True

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        password = given.get("password")
        if password and password != given.get("again"):
            self.add_error("again", "The two are not the same.")
        if password:
            person = get_user_model()(username=given.get("username", ""))
            try:
                password_validation.validate_password(password, person)
            except forms.ValidationError as exc:
                self.add_error("password", exc)
        return given


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class InvitationView(View):
    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        invitation = find_invitation(token)
        if invitation is None:
            return self._gone(request)
        form = SignUpForm(invitation) if self._may_sign_up(request) else None
        return self._page(request, invitation, form)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        invitation = find_invitation(token)
        if invitation is None:
            return self._gone(request)
        if is_for(invitation, request.user):
            try:
                accept(invitation, request.user)
            except Invitation.DoesNotExist:
                return self._gone(request)
            return self._welcome(request, invitation)
        if not self._may_sign_up(request):
            return self._page(request, invitation, None, status=HTTPStatus.FORBIDDEN)
        form = SignUpForm(invitation, request.POST)
        if form.is_valid():
            username, password = form.cleaned_data["username"], form.cleaned_data["password"]
            if not _may_be_named(invitation, username):
                form.add_error("username", "Choose another name.")
            else:
                try:
                    member = sign_up(invitation, username, password)
                except IntegrityError:
                    form.add_error("username", "Choose another name, or log in.")
                except Invitation.DoesNotExist:
                    return self._gone(request)
                else:
                    login(request, member.user, "django.contrib.auth.backends.ModelBackend")
                    return self._welcome(request, invitation)
        return self._page(request, invitation, form)

    def _may_sign_up(self, request: HttpRequest) -> bool:
        return bool(settings.SYNC.invited_may_sign_up) and not request.user.is_authenticated

    def _page(
        self,
        request: HttpRequest,
        invitation: Invitation,
        form: SignUpForm | None,
        status: int = HTTPStatus.OK,
    ) -> HttpResponse:
        """The same for everybody who is not logged in, whether or not somebody has the name."""
        log_in = f"{reverse('admin:login')}?next={request.path}"
        context = {
            **admin.site.each_context(request),
            "invitation": invitation,
            "mine": is_for(invitation, request.user),
            "log_in": log_in,
            "form": form,
        }
        return render(request, "console/invitation.html", context, status=status)

    def _gone(self, request: HttpRequest) -> HttpResponse:
        context = {**admin.site.each_context(request), "invitation": None}
        return render(request, "console/invitation.html", context, status=HTTPStatus.NOT_FOUND)

    def _welcome(self, request: HttpRequest, invitation: Invitation) -> HttpResponse:
        messages.success(request, f"You are a member of {invitation.workspace} now.")
        tenancy.switch_workspace(request, invitation.workspace_id)
        return HttpResponseRedirect(reverse("admin:index"))


def _may_be_named(invitation: Invitation, username: str) -> bool:
    """Refuses a name that is an e-mail address, unless it is the invited one: it would only look like somebody's."""
    return "@" not in username or username.casefold() == invitation.name.casefold()
