"""Our side, as the queue `index` does it: texts, words, vectors, and cells where they are needed. The files are in the store
already, as a sync leaves them.

    python -m benchmarks.search.peer.ours DATASET
"""

from __future__ import annotations

import logging
import sys
import uuid

import django


def main() -> None:
    django.setup()
    logging.disable(logging.INFO)
    from django.db import connection

    from benchmarks.search.peer.costs import CostMeter
    from search.indexing.catching_up import catch_up
    from search.models import TextChunk

    dataset_id = uuid.UUID(sys.argv[1])
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    meter = CostMeter(pid)
    while catch_up(dataset_id, owner="bench", check=lambda: None):
        pass
    meter.tell(TextChunk.objects.filter(dataset=dataset_id).count())


if __name__ == "__main__":
    main()
