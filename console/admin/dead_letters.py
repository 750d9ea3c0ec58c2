"""The pages on which refused readings are read, and sent again as they were or changed."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold import widgets

from console.admin.buttons import ButtonsAdmin
from console.admin.stream_views import get_stream, read_number
from outbox.core.readings import ReadingsRefused
from outbox.dead_letters import LetterToSend, NoSuchLetter, redrive
from outbox.models import DeadLetter, Stream

PAGE = 50
_REFUSED_CONSTANT = "is no number of JSON"


class PayloadForm(forms.Form):
    payload = forms.CharField(
        label="Payload",
        strip=False,
        widget=widgets.UnfoldAdminTextareaWidget({"rows": 16, "class": "sp-code", "spellcheck": "false"}),
        help_text="A JSON object. The reading keeps its key and gets a new number.",
    )  # fmt: skip

    def clean_payload(self) -> dict[str, Any]:
        try:
            given = json.loads(self.cleaned_data["payload"], parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as exc:
            raise forms.ValidationError(f"This is not JSON: {exc}.") from None
        if not isinstance(given, dict):
            raise forms.ValidationError("Give a JSON object: { … }.")
        return given


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} {_REFUSED_CONSTANT}")


def list_view(page: ButtonsAdmin, request: HttpRequest, pk: UUID) -> HttpResponse:
    stream = get_stream(page, request, pk)
    rows = DeadLetter.objects.filter(
        stream=stream, redriven_at=None, pk__gt=read_number(request, "after") or 0
    )
    found = list(rows.order_by("pk")[: PAGE + 1])
    context = {
        **_common(page, request, stream, f"Dead letters of {stream}"),
        "letters": found[:PAGE],
        "more": found[PAGE - 1].pk if len(found) > PAGE else None,
        "may_redrive": page.has_operate_permission(request, stream),
    }
    return TemplateResponse(request, "console/dead_letters.html", context)


def redrive_view(page: ButtonsAdmin, request: HttpRequest, pk: UUID) -> HttpResponse:
    """One, named by `letter`, or all of them."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    stream = _get_operable(page, request, pk)
    named = request.POST.get("letter", "")[:18]
    if named and not (named.isascii() and named.isdigit()):
        raise Http404
    _redrive(request, stream, [LetterToSend(int(named))] if named else None)
    return HttpResponseRedirect(_list_url(stream))


def edit_view(page: ButtonsAdmin, request: HttpRequest, pk: UUID, letter_id: int) -> HttpResponse:
    stream = _get_operable(page, request, pk)
    letter = DeadLetter.objects.filter(
        stream=stream, pk=min(letter_id, 2**63 - 1), redriven_at=None
    ).first()
    if letter is None:
        raise Http404
    shown = json.dumps(json.loads(letter.payload), ensure_ascii=False, indent=2)
    posted = request.POST if request.method == "POST" else None
    form = PayloadForm(posted, initial={"payload": shown})
    if posted is not None and form.is_valid():
        wanted = LetterToSend(letter.pk, form.cleaned_data["payload"])
        if _redrive(request, stream, [wanted], refuse=partial(form.add_error, "payload")):
            return HttpResponseRedirect(_list_url(stream))
    context = {
        **_common(page, request, stream, f"Dead letter {letter.key}"),
        "letter": letter,
        "form": form,
        "back": _list_url(stream),
    }
    return TemplateResponse(request, "console/dead_letter.html", context)


def _redrive(
    request: HttpRequest, stream: Stream, wanted: list[LetterToSend] | None, refuse: Any = None
) -> bool:
    """Whether it was done; if not, the person is told, by `refuse` where it is about the payload."""
    try:
        count = redrive(stream, wanted)
    except NoSuchLetter:
        messages.info(request, "It was sent again already.")
        return True
    except ReadingsRefused as exc:
        words = "; ".join(word for found in exc.errors.values() for word in found)
        tell = refuse or partial(messages.error, request)
        tell(f"Nothing was sent: {words}.")
        return False
    readings = "1 reading is" if count == 1 else f"{count} readings are"
    messages.success(request, f"{readings} in the queue again, with the old key and a new number.")
    return True


def _get_operable(page: ButtonsAdmin, request: HttpRequest, pk: UUID) -> Stream:
    stream = get_stream(page, request, pk)
    if not page.has_operate_permission(request, stream):
        raise PermissionDenied
    return stream


def _list_url(stream: Stream) -> str:
    return reverse("admin:outbox_stream_dead_letters", args=[stream.pk])


def _common(page: ButtonsAdmin, request: HttpRequest, stream: Stream, title: str) -> dict[str, Any]:
    return {
        **page.admin_site.each_context(request),
        "title": title,
        "opts": page.opts,
        "stream": stream,
    }
