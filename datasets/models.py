"""Datasets, their immutable versions, and entries with validity intervals.

An entry holds from version `since` until before version `until` (NULL: still current), so version n
is every entry with `since <= n AND (until IS NULL OR until > n)`: a sync without changes writes
nothing, and a change of 1 % costs 1 %.
"""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from workspaces.models import Workspace


class Installation(models.Model):
    """One row: whose database this is; see `datasets.store` and `datasets.installation`."""

    workspace = None  # for the audit trail

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    name = models.UUIDField(default=uuid.uuid4)  # every host's DATA_DIR has it too
    former = models.UUIDField(null=True)  # before a person resumed after a restore
    store_id = models.UUIDField(null=True)  # of the sentinel file; NULL: no store was made yet
    place = models.CharField(max_length=60, blank=True, default="")  # the server and database of it
    noted_at = models.DateTimeField(db_default=Now())  # never goes back, but by a restore

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="installation_once")]

    def __str__(self) -> str:
        return str(self.name)


class DatasetKind(models.TextChoices):
    """What a dataset holds, and so which kind of work may fill it."""

    FILES = "files"
    TABLE = "table"


class _Held(models.Manager["Dataset"]):
    def get_queryset(self) -> models.QuerySet[Dataset]:
        return super().get_queryset().filter(deleted_at=None)


class _HeldAndDeleted(models.Manager["Dataset"]):
    """Django's own."""


class Dataset(models.Model):
    """A named collection, owned by one sync job.

    `fencing_token` is the highest token given to any record of that job; see `datasets.fencing`. The row of a deleted
    dataset stays while a job or a record needs it: it is empty, `objects` do not have it, and the next version that its
    job publishes brings it back.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=100)
    kind = models.CharField(
        max_length=10, choices=DatasetKind.choices, default=DatasetKind.FILES, editable=False
    )
    fencing_token = models.BigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True, editable=False)

    objects = _Held()
    either = _HeldAndDeleted()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="dataset_name_in_workspace")
        ]

    def __str__(self) -> str:
        return self.name


class _KeptVersions(models.Manager["Version"]):
    def get_queryset(self) -> models.QuerySet[Version]:
        return super().get_queryset().filter(expired_at=None)


class _KeptAndExpired(models.Manager["Version"]):
    """Django's own."""


class Version(models.Model):
    """An immutable, numbered state of a dataset; exactly one is current.

    The row of an expired version stays: files that came with it may be current, and tell of it where they came from.
    `objects` have those that are kept.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    is_current = models.BooleanField(default=True)
    record_id = models.UUIDField(null=True, db_index=True)  # the sync record that published it
    restores = models.PositiveIntegerField(null=True)  # or the version that a person went back to
    restored_by = models.CharField(max_length=150, blank=True, db_default="")
    created_at = models.DateTimeField(auto_now_add=True)
    file_count = models.PositiveBigIntegerField()
    size_bytes = models.PositiveBigIntegerField()
    files_added = models.PositiveBigIntegerField(default=0)
    files_changed = models.PositiveBigIntegerField(default=0)
    files_removed = models.PositiveBigIntegerField(default=0)
    # Of a dataset of kind table; NULL for files. `rows` counts those of all tables.
    rows = models.PositiveBigIntegerField(null=True)
    rows_added = models.PositiveBigIntegerField(null=True)
    rows_changed = models.PositiveBigIntegerField(null=True)
    rows_removed = models.PositiveBigIntegerField(null=True)
    tables_changed = ArrayField(models.TextField(), null=True)
    mark = models.JSONField(
        null=True
    )  # of the table that changed, see `farends.rows.contract.Mark`
    expired_at = models.DateTimeField(null=True)  # from then on nobody can read it or go back to it

    objects = _KeptVersions()
    either = _KeptAndExpired()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="version_number_once"),
            models.CheckConstraint(
                condition=Q(is_current=False) | Q(expired_at=None), name="version_current_is_kept"
            ),
            models.UniqueConstraint(
                fields=["dataset"], condition=Q(is_current=True), name="version_one_current"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dataset} v{self.number}"


class Entry(models.Model):
    """One file as held, over the versions in which it stayed as it is.

    `path` is the text form of `farends.names`; bytewise collation keeps prefixes contiguous.
    `settled` is false where the file was so young when it was fetched that equal times would prove
    nothing; such a file is compared by content once more.
    """

    dataset = models.ForeignKey(  # the index of history begins with it
        Dataset, models.CASCADE, related_name="entries", db_index=False
    )
    path = models.TextField(db_collation="C")
    size_bytes = models.PositiveBigIntegerField()
    modified_ns = models.BigIntegerField(null=True)
    etag = models.TextField(null=True)
    sha256 = models.BinaryField(max_length=32)
    settled = models.BooleanField(default=True)
    content_type = models.TextField(null=True)  # as the host said when it was fetched
    # What the far end calls the file, where that is no path: a URI. NULL: the path is its name there.
    source = models.TextField(null=True)
    # The time that the far end tells now, where the same content came to have another: what later
    # comparisons lean on. `modified_ns` belongs to the versions and never changes.
    seen_modified_ns = models.BigIntegerField(null=True)
    since = models.PositiveIntegerField()
    until = models.PositiveIntegerField(null=True)
    # The version in which this content came to the path, where the entries that told so have expired.
    arrived = models.PositiveIntegerField(null=True)

    class Meta:
        verbose_name_plural = "entries"
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "path"], condition=Q(until=None), name="entry_one_current"
            ),
            models.CheckConstraint(
                condition=Q(until=None) | Q(until__gt=F("since")), name="entry_interval_forward"
            ),
        ]
        indexes = [
            models.Index(fields=["dataset", "path", "since"], name="entry_history"),
            # What differs between two versions has ended or begun between them. The first version's
            # entries are in neither index: most are written then, and all at once.
            models.Index(fields=["dataset", "until"], condition=~Q(until=None), name="entry_ended"),
            models.Index(fields=["dataset", "since"], condition=Q(since__gt=1), name="entry_begun"),
            # Who finds a content asks where it lies now.
            models.Index(
                fields=["dataset", "sha256"], condition=Q(until=None), name="entry_content"
            ),
        ]

    def __str__(self) -> str:
        return self.path


class Receipt(models.Model):
    """A file that was fetched and is durable, but not yet published.

    It spares the next attempt the transfer where the listing still tells the same; publishing takes
    the dataset's receipts away.
    """

    dataset = (
        models.ForeignKey(  # without a constraint: its row is locked while receipts are written
            Dataset, models.CASCADE, related_name="receipts", db_constraint=False, db_index=False
        )
    )
    record_id = models.UUIDField()
    path = models.TextField(db_collation="C")
    listed_size_bytes = models.PositiveBigIntegerField(null=True)
    listed_modified_ns = models.BigIntegerField(null=True)
    listed_etag = models.TextField(null=True)
    size_bytes = models.PositiveBigIntegerField()
    modified_ns = models.BigIntegerField(null=True)
    etag = models.TextField(null=True)
    sha256 = models.BinaryField(max_length=32)
    settled = models.BooleanField()
    content_type = models.TextField(null=True)
    landed = models.TextField(null=True)  # where redirects led
    source = models.TextField(null=True)  # as of an entry

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "path"], name="receipt_once_per_path")
        ]

    def __str__(self) -> str:
        return self.path


class PackedBlob(models.Model):
    """The place of a small blob in a pack; a blob without a row is a file of its own."""

    pk = models.CompositePrimaryKey("workspace_id", "sha256")
    workspace = models.ForeignKey(  # without a constraint: it would be checked for every blob
        Workspace, models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    sha256 = models.BinaryField(max_length=32)
    pack = models.UUIDField(db_index=True)
    offset = models.PositiveBigIntegerField()
    size_bytes = models.PositiveIntegerField()
    stored_at = models.DateTimeField()  # or proved to be here once more

    def __str__(self) -> str:
        return f"{bytes(self.sha256).hex()} in {self.pack}"


class DamagedBlob(models.Model):
    """A blob that somebody has found damaged. A sync that lists its file fetches it again, and heals it."""

    pk = models.CompositePrimaryKey("workspace_id", "sha256")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+", db_index=False)
    sha256 = models.BinaryField(max_length=32)
    damage = models.CharField(max_length=20)  # see `datasets.scrubbing.Damage`
    found_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{bytes(self.sha256).hex()}: {self.damage}"


class Table(models.Model):
    """A table of a dataset of kind table: where its rows lie, and what is held of its source.

    It lies in the home database (`connector_id` is NULL) or in the database of a connector. The relation is never
    dropped or swapped: its views, grants, indexes and own columns stay.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="tables", db_index=False)
    name = models.TextField(db_collation="C")  # the entity's, as the source calls it
    connector_id = models.UUIDField(null=True)
    schema = models.CharField(max_length=63)
    relation = models.CharField(max_length=63)
    key = ArrayField(models.TextField(), default=list)  # names at the destination
    keyless = models.BooleanField(default=False)  # the key is made of the row's place in its file
    version = models.PositiveIntegerField(
        null=True
    )  # the latest that changed it; NULL: never published
    rows = models.PositiveBigIntegerField(default=0)
    mark = models.JSONField(null=True)
    cleared_to = models.PositiveIntegerField(
        default=0
    )  # what its history had of versions below is gone
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "name"], name="table_name_in_dataset"),
            models.UniqueConstraint(
                fields=["connector_id", "schema", "relation"],
                nulls_distinct=False,
                name="table_filled_by_one",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TableColumn(models.Model):
    """A column of a table, over the versions in which it stayed as it is. `until` is the version from which the source
    no longer has it, or has it as another type; the relation keeps the column."""

    table = models.ForeignKey(Table, models.CASCADE, related_name="columns", db_index=False)
    position = models.PositiveIntegerField()
    source_name = models.TextField()
    name = models.CharField(max_length=63)
    source_type = models.TextField()
    type = models.TextField()
    nullable = models.BooleanField(default=True)
    in_key = models.BooleanField(default=False)
    since = models.PositiveIntegerField()
    until = models.PositiveIntegerField(null=True)
    # Ended because a person went back to a time before it; the table's rows do not show it from then on.
    withdrawn = models.BooleanField(db_default=False)

    class Meta:
        ordering = ["position", "since"]
        constraints = [
            models.UniqueConstraint(fields=["table", "name", "since"], name="column_once_since"),
            models.UniqueConstraint(
                fields=["table", "name"], condition=Q(until=None), name="column_one_current"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.type}"


class TableVersion(models.Model):
    """What one version changed in one table, and where its source stood then."""

    table = models.ForeignKey(Table, models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    rows = models.PositiveBigIntegerField()
    rows_added = models.PositiveBigIntegerField()
    rows_changed = models.PositiveBigIntegerField()
    rows_removed = models.PositiveBigIntegerField()
    mark = models.JSONField(null=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["table", "number"], name="table_version_once")
        ]

    def __str__(self) -> str:
        return f"{self.table} v{self.number}"
