"""The tables of the index. All of it is derived from versions and blobs: it may be lost, and is made again.

Search joins the dataset's current entries on (dataset, sha256). So text that was removed or changed is invisible from
the very transaction that publishes, whatever stands in these tables.

Columns that hold a dataset or a workspace are without constraints where they would be checked for each chunk;
`search.indexing.emptying` deletes what hangs on them.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now, Reverse

from datasets.models import Dataset
from search.core.wishes import IndexWish
from workspaces.models import Workspace

GIN_PENDING_KB = 65_536  # a standing GIN takes four times as many chunks a second with a list


class IndexState(models.TextChoices):
    """How the index of a dataset stands to its current version; each is worse than the one before it."""

    OFF = "off"
    CURRENT = "current"
    CATCHING_UP = "catching_up"
    BLOCKED = "blocked"  # a person must act


class DatasetIndex(models.Model):
    """The index of one dataset. Publishing sets `catching_up` in its own transaction.

    Who works on the index holds a lease: `token` is the highest one that was given, `owner` who has it, and each
    transaction of the work locks this row and compares its token first.
    """

    dataset = models.OneToOneField(
        Dataset, models.CASCADE, primary_key=True, related_name="search_index"
    )
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    wish = models.CharField(
        max_length=20,
        choices=[(wish.value, wish.value.replace("_", " ")) for wish in IndexWish],
        default=IndexWish.WORDS_AND_MEANING.value,
    )
    state = models.CharField(
        max_length=12, choices=IndexState.choices, default=IndexState.CATCHING_UP
    )
    published_version = models.PositiveIntegerField(null=True)  # the dataset's current one
    indexed_version = models.PositiveIntegerField(null=True)  # the latest whose texts are all known
    recipe = models.CharField(
        max_length=64, db_default=""
    )  # what the words are made by, see `search.indexing`
    emptying = models.BooleanField(
        default=False
    )  # its texts are to be deleted before anything else
    pending_texts = models.PositiveBigIntegerField(default=0)
    pending_chunks = models.PositiveBigIntegerField(default=0)  # without a vector
    since = models.DateTimeField(null=True)  # of the oldest that is pending
    reason = models.TextField(blank=True, default="")
    text_count = models.PositiveBigIntegerField(default=0)  # with chunks
    chunk_count = models.PositiveBigIntegerField(default=0)
    refused_count = models.PositiveBigIntegerField(default=0)
    token = models.BigIntegerField(default=0)
    owner = models.CharField(max_length=100, blank=True, default="")
    leased_until = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True)  # of the next try by the queue
    rung_at = models.DateTimeField(null=True)  # when the queue was last asked to look at it

    class Meta:
        verbose_name_plural = "dataset indexes"
        indexes = [
            models.Index(
                fields=["not_before"],
                condition=Q(state__in=["catching_up", "blocked"]) | Q(emptying=True),
                name="index_behind",
            )
        ]

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.state}"


class TextState(models.TextChoices):
    PENDING = "pending"
    DONE = "done"
    REFUSED = "refused"


class IndexedText(models.Model):
    """One content of one dataset, whatever its paths are: a rename or a rollback costs nothing.

    Content that no current entry names any more stays for a while, so that a rollback finds it: `gone_at`.
    """

    workspace = models.ForeignKey(
        Workspace, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    dataset = models.ForeignKey(
        Dataset, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    sha256 = models.BinaryField(max_length=32)
    state = models.CharField(max_length=8, choices=TextState.choices, default=TextState.PENDING)
    code = models.CharField(
        max_length=30, blank=True, default=""
    )  # of a refusal, of why it waits, or of a text that was cut
    note = models.TextField(blank=True, default="")
    kind = models.CharField(max_length=20, blank=True, default="")
    chunk_count = models.PositiveIntegerField(default=0)
    at = models.DateTimeField(db_default=Now())  # of the latest change of its state
    gone_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "sha256"], name="text_once_in_dataset")
        ]
        indexes = [
            models.Index(
                fields=["dataset", "at"], condition=Q(state="pending"), name="text_pending"
            ),
            models.Index(
                fields=["dataset", "id"],
                condition=~Q(code="") & ~Q(state="pending"),
                name="text_troubles",
            ),
            models.Index(
                fields=["dataset", "gone_at"], condition=~Q(gone_at=None), name="text_gone"
            ),
        ]

    def __str__(self) -> str:
        return f"{bytes(self.sha256).hex()}: {self.state}"


class TextPaths(models.Model):
    """The words of the paths under which a content lies. They may be behind the paths until texts are indexed: who
    finds a content by them looks at its entries."""

    text = models.OneToOneField(
        IndexedText, models.DO_NOTHING, primary_key=True, related_name="+", db_constraint=False
    )
    workspace = models.ForeignKey(
        Workspace, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    dataset = models.ForeignKey(
        Dataset, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    words = SearchVectorField()

    class Meta:
        verbose_name_plural = "text paths"
        indexes = [GinIndex(fields=["words"], name="textpaths_words")]

    def __str__(self) -> str:
        return f"{self.text_id}: {self.words}"


class TextChunk(models.Model):
    """A part of a text that is found and shown together. `digest` is of what a model is given: heading and body.

    `words` is what `search.core.lexemes` describes.
    """

    workspace = models.ForeignKey(
        Workspace, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    dataset = models.ForeignKey(
        Dataset, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    text = models.ForeignKey(
        IndexedText, models.DO_NOTHING, related_name="chunks", db_constraint=False
    )
    n = models.PositiveIntegerField()
    line = models.PositiveIntegerField(null=True)
    place = models.TextField(blank=True, default="")
    heading = models.TextField(blank=True, default="")
    body = models.TextField()
    digest = models.BinaryField(max_length=16)
    words = SearchVectorField()

    class Meta:
        indexes = [
            models.Index(fields=["workspace", "digest"], name="chunk_digest"),
            models.Index(fields=["dataset", "id"], name="chunk_in_order"),
            GinIndex(
                fields=["words"],
                fastupdate=True,
                gin_pending_list_limit=GIN_PENDING_KB,
                name="chunk_words",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.text_id}/{self.n}"


class KnownWord(models.Model):
    """A word that some text of the workspace has or had, and its key without accents: see `search.core.spelling`."""

    workspace = models.ForeignKey(
        Workspace, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    folded = models.TextField(db_collation="C")
    word = models.TextField(db_collation="C")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "folded", "word"], name="word_once")
        ]
        indexes = [models.Index("workspace", Reverse("folded"), name="word_backwards")]

    def __str__(self) -> str:
        return self.word


class GenerationState(models.TextChoices):
    BUILDING = "building"
    SERVING = "serving"
    RETIRED = "retired"


class IndexGeneration(models.Model):
    """One set of vectors of a workspace: all by one model. `signature` is a digest of what decides a vector, such as
    the service, the model, the prefixes and the cutter."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="generations")
    service = models.CharField(max_length=20)
    model = models.CharField(max_length=200)
    dimensions = models.PositiveIntegerField(null=True)  # None: the service has not said yet
    signature = models.CharField(max_length=64)
    # How the service is reached, so that it goes on to answer questions when another one is chosen.
    embedding = models.JSONField(default=dict)
    sealed_secret = models.TextField(blank=True, default="", editable=False)
    state = models.CharField(
        max_length=10, choices=GenerationState.choices, default=GenerationState.BUILDING
    )
    made_at = models.DateTimeField(db_default=Now())
    ready_at = models.DateTimeField(null=True)
    retired_at = models.DateTimeField(null=True)
    cell_count = models.PositiveIntegerField(
        default=0
    )  # of the index that stands (search.vectors.cells), 0: none
    total_chunks = models.PositiveBigIntegerField(default=0)
    done_chunks = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace"], condition=Q(state="serving"), name="generation_one_serving"
            ),
            models.UniqueConstraint(
                fields=["workspace"], condition=Q(state="building"), name="generation_one_building"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service} {self.model} ({self.dimensions}): {self.state}"


class ChunkRefusal(models.Model):
    """A chunk that the service of a generation does not take; it is found by words alone."""

    workspace = models.ForeignKey(
        Workspace, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="+", db_constraint=False)
    chunk = models.ForeignKey(
        TextChunk, models.DO_NOTHING, related_name="refusals", db_constraint=False, db_index=False
    )
    generation = models.ForeignKey(IndexGeneration, models.CASCADE, related_name="refusals")
    code = models.CharField(max_length=30)
    note = models.TextField(blank=True, default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chunk", "generation"], name="chunk_refused_once")
        ]

    def __str__(self) -> str:
        return f"{self.chunk_id}: {self.code}"


class EmbeddingState(models.Model):
    """The breaker of a workspace's embedding service: after failures nobody asks it before `not_before`."""

    workspace = models.OneToOneField(
        Workspace, models.CASCADE, primary_key=True, related_name="embedding_state"
    )
    generation = models.ForeignKey(IndexGeneration, models.SET_NULL, null=True, related_name="+")
    failures = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(null=True)
    code = models.CharField(max_length=30, blank=True, default="")
    detail = models.TextField(blank=True, default="")
    needs_person = models.BooleanField(default=False)
    most = models.PositiveIntegerField(null=True)  # texts that the service takes at once
    # Whose turn it is: one round a workspace, so that nothing is embedded by two at once.
    turn = models.UUIDField(null=True)
    turn_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.workspace_id}: {self.code or 'works'}"


class EmbeddingCount(models.Model):
    """How many requests a workspace has sent to services, by what came of them. /metrics shows it."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    outcome = models.CharField(max_length=30)
    total = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "outcome"], name="embedding_count_once")
        ]

    def __str__(self) -> str:
        return f"{self.outcome}: {self.total}"


class SearchChoice(models.Model):
    """What a workspace has set of its search; NULL: the installation's default."""

    workspace = models.OneToOneField(
        Workspace, models.CASCADE, primary_key=True, related_name="search_choice"
    )
    embedding = models.JSONField(null=True)
    sealed_secret = models.TextField(blank=True, default="", editable=False)
    languages = ArrayField(models.TextField(), null=True)

    class Meta:
        verbose_name = "search settings"
        verbose_name_plural = "search settings"

    def __str__(self) -> str:
        return "search"
