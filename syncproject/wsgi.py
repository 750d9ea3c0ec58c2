"""The application that gunicorn serves. Its process writes a sign of life as long as it lives."""

from __future__ import annotations

import atexit
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syncproject.settings")

application = get_wsgi_application()

from search.embedding.queries import warm_up_for_questions  # noqa: E402 — Django's settings come first
from syncjobs.claims import presence  # noqa: E402

presence.tell_where_it_hangs()
_present = presence.Presence(presence.name_process(), part=presence.WEB)
_present.appear()
atexit.register(_present.leave)
warm_up_for_questions()
