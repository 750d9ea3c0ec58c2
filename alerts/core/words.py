"""The words of alerts that all floors share."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How much it matters; each more than the one before it."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class RuleKind(StrEnum):
    """The condition that a rule looks for."""

    FAILURE = "failure"  # a record ended failed, timed out or partial after its last retry
    FAILURES_IN_A_ROW = "failures_in_a_row"
    HELD = "held"  # a record waits for a person
    SUSPECT = "suspect"  # a record that succeeded moved much less or more than usual
    OVERDUE = "overdue"  # a record takes longer than expected
    NOTHING_RAN = "nothing_ran"
    ERROR_RATE = "error_rate"
    OFFLINE = "offline"  # the monitor does not reach a connector
    DEAD_LETTERS = "dead_letters"
    INDEX_BEHIND = "index_behind"
    DISK = "disk"


class Tell(StrEnum):
    """What a message says of an alert."""

    OPENED = "opened"
    RECOVERED = "recovered"
    FLAPPING = "flapping"  # it changed often; nothing is told until it is steady
    SETTLED = "settled"  # it was flapping, and stands as `state` says since a while
    STILL_FIRING = "still_firing"  # its silence has ended, and it has not
    OPENED_AND_RECOVERED = "opened_and_recovered"


class SubjectKind(StrEnum):
    """What an alert is about."""

    JOB = "job"
    CONNECTOR = "connector"
    STREAM = "stream"
    DATASET = "dataset"
    WORKSPACE = "workspace"  # of an error rate over all jobs, or of the disk that all share


class AlertState(StrEnum):
    """How an alert stands for whoever looks at it."""

    FIRING = "firing"
    SILENCED = "silenced"  # it fires, and a person wants no message of it for a while
    RESOLVED = "resolved"


class ChannelState(StrEnum):
    OK = "ok"
    RETRYING = "retrying"  # the last try failed, and another comes
    BROKEN = "broken"  # no try helps; a test that passes mends it


class MessageReason(StrEnum):
    ALERTS = "alerts"
    DIGEST = "digest"  # counts of what was not sent singly
    TEST = "test"


class DeliveryOutcome(StrEnum):
    """How one try to send a message ended."""

    DELIVERED = "delivered"
    RETRIED = "retried"  # it failed, and another try comes
    BROKEN = "broken"  # no further try comes
    SUPPRESSED = "suppressed"  # not sent singly: a digest counts it
