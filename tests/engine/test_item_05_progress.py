"""The bar of a record follows the bytes of its files, and goes on where an earlier attempt stopped."""

from __future__ import annotations

from syncjobs.core.states import Stage
from syncjobs.engine.progress import Progress


def at_files(progress: Progress) -> Progress:
    progress.enter(Stage.PROCESSING_FILES)
    return progress


def test_item_05_the_bar_follows_bytes_where_sizes_are_known() -> None:
    progress = at_files(Progress())
    progress.planned(files=61, size_bytes=1000, deadline_s=300)
    progress.received(500)  # of one file, and none has ended
    told = progress.snapshot
    assert (told.percentage, told.bytes_done, told.total_bytes) == (52.5, 500, 1000)


def test_item_05_the_bar_follows_files_where_a_size_is_not_known() -> None:
    progress = at_files(Progress())
    progress.planned(files=4, size_bytes=None, deadline_s=300)
    progress.received(10**9)
    assert progress.snapshot.percentage == 10
    progress.finished_file()
    told = progress.snapshot
    assert (told.percentage, told.total_bytes) == (31.2, None)


def test_item_05_what_an_earlier_attempt_fetched_counts_as_done() -> None:
    progress = at_files(Progress())
    progress.planned(files=1, size_bytes=250, deadline_s=300, done_files=3, done_bytes=750)
    told = progress.snapshot
    assert (told.current_file_index, told.total_files, told.percentage) == (3, 4, 73.8)
    assert (told.bytes_done, told.bytes_transferred) == (750, 0)


def test_item_05_looking_takes_nothing_back() -> None:
    progress = Progress()
    progress.resume(percentage=60.0, files=3, total_files=5, total_bytes=1000, bytes_done=600)
    progress.enter(Stage.DETECTING_CHANGES)
    progress.listed(5)
    told = progress.snapshot
    assert (told.percentage, told.current_file_index, told.total_files) == (60.0, 3, 5)
    at_files(progress).planned(files=4, size_bytes=900, deadline_s=300, done_bytes=100)
    assert progress.snapshot.percentage == 18.5


def test_item_05_bytes_in_vain_are_taken_back_and_lost_ones_given_up() -> None:
    progress = at_files(Progress())
    progress.planned(files=2, size_bytes=1000, deadline_s=300)
    progress.received(500)
    progress.counted(-500)
    assert progress.snapshot.bytes_done == 0
    progress.counted(500)
    told = progress.snapshot
    assert (told.bytes_done, told.bytes_transferred) == (500, 500)
