from __future__ import annotations

from django.apps import AppConfig


class SearchConfig(AppConfig):
    name = "search"

    def ready(self) -> None:
        from connectors.rotating import add_sealed_model
        from search import checks  # noqa: F401 — importing registers them
        from search.models import IndexGeneration, SearchChoice

        add_sealed_model(SearchChoice)
        add_sealed_model(IndexGeneration)
