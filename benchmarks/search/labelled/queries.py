"""The questions, with the documents that answer them. Every second one of a kind is held out: weights were chosen on the
others, and the figures that count are those of the held-out half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class QueryKind(StrEnum):
    IDENTIFIER = "identifiers"
    NUMBER = "numbers and serials"
    QUOTE = "quotes"
    NAME = "names"
    QUESTION = "questions"
    PARAPHRASE = "paraphrases"
    TYPO = "typos"
    LANGUAGE = "other languages"


PRECISE = (QueryKind.IDENTIFIER, QueryKind.NUMBER, QueryKind.QUOTE, QueryKind.NAME)


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    kind: QueryKind
    text: str
    answers: tuple[str, ...]
    is_held_out: bool


def _read(table: str) -> tuple[LabelledQuery, ...]:
    found: list[LabelledQuery] = []
    kind, n = QueryKind.IDENTIFIER, 0
    for line in table.strip().splitlines():
        if line.startswith("# "):
            kind, n = QueryKind[line[2:].strip()], 0
            continue
        text, _, answers = line.rpartition(" => ")
        found.append(LabelledQuery(kind, text.strip(), tuple(answers.split()), n % 2 == 1))
        n += 1
    return tuple(found)


TABLE = """
# IDENTIFIER
idle_in_transaction_session_timeout => office/papers/sql-guide.md
HeaderMismatch => office/papers/http-guide.md
ERR_STALE_LEASE_0x1F => office/papers/http-guide.md
getfirstweekday => library/calendar.py
ThreadingTCPServer => library/socketserver.py
_zip_searchorder => library/zipimport.py
pg_terminate_backend => office/papers/sql-guide.md
nlargest nsmallest => library/heapq.py
X-Trace-Parent-Id => office/papers/http-guide.md
singledispatchmethod => library/functools.py
SpooledTemporaryFile => library/tempfile.py
check_hostname => library/ssl.py
NormalDist => library/statistics.py
TopologicalSorter static_order => library/graphlib.py
StreamReaderWriter => library/codecs.py
_c3_mro => library/functools.py
# NUMBER
V-1138 => office/tickets/ticket-002.md
SUP-3185 => office/tickets/ticket-005.md
2025259 => office/invoices/invoice-007.txt
K-40343 => office/invoices/invoice-002.txt
LS/7190 => office/invoices/invoice-010.txt
serial V-1651 => office/tickets/ticket-029.md
ZN-4471-b => office/papers/naming.md
KT-90210 => office/papers/naming.md
invoice 2025740 => office/invoices/invoice-020.txt
PT347 => office/protocols/protocol-049.txt
CP-0031 => office/protocols/protocol-031.txt
customer K-45089 => office/invoices/invoice-044.txt
ticket SUP-3967 => office/tickets/ticket-051.md
transmitter PT260 calibration => office/protocols/protocol-020.txt
4,850 euros => office/papers/lease-warehouse.txt
delivery note LS/7893 => office/invoices/invoice-047.txt
# QUOTE
"measure before we promise" => office/papers/speech-anniversary.txt
"a machine that is paid for" => office/papers/minutes-budget.txt
"could not be heard in the archive" => office/papers/fire-drill.txt
"Patience is the cheapest instrument" => office/papers/speech-anniversary.txt
"deposit amounts to three monthly rents" => office/papers/lease-warehouse.txt
"Gerichtsstand ist Emden" => office/papers/vertrag-lieferung.txt
"odore di gas" => office/papers/manuale-forno.txt
"Toute sous-location est interdite" => office/papers/bail-bureau.txt
"behind the canteen is too small" => office/papers/fire-drill.txt
"an excavator cut the fibre" => office/papers/incident-harbour.md
"Retired numbers are never given again" => office/papers/naming.md
"returned with a full tank" => office/papers/travel-policy.md
# NAME
Hildegard Brandt => office/invoices/invoice-000.txt
Marit Solberg => office/papers/vacation-cover.md
Oluwaseun Quintela => office/invoices/invoice-023.txt
Aurelio Benedetti => office/papers/vacation-cover.md
Dr. Yasmin Rahmani => office/papers/vacation-cover.md
Anselm Feuerbach => office/papers/minutes-budget.txt
Frau Petersen Waschküche => office/papers/hausordnung.txt
Thorvald Lindqvist => office/papers/vacation-cover.md office/protocols/protocol-019.txt
schemathesis => packages/schemathesis.md
whitenoise static files => packages/whitenoise.md
señora Quintela => office/papers/acta-reunion.md
Beatriz Rahmani => office/invoices/invoice-014.txt
Quay 7 warehouse => office/papers/lease-warehouse.txt
celery worker => packages/celery.md packages/django-celery-beat.md packages/flower.md
# QUESTION
how long are backups kept before they are destroyed => office/papers/backup-plan.md
what does the red lamp on the coffee machine mean => office/papers/coffee-machine.md
who pays for repairs of the roof of the warehouse => office/papers/lease-warehouse.txt
when may I fly business class => office/papers/travel-policy.md
how do I compare two directories for differing files => library/filecmp.py
how to parse command line options of a script => library/optparse.py library/getopt.py packages/click.md
what is the difference between a function decorated with yield and a normal one => reference/yield.txt
how many kilowatt hours do the panels yield in June => office/papers/solar-roof.md
which module opens a URL in a browser window => library/webbrowser.py
how can I wrap long paragraphs of text to a given width => library/textwrap.py
how are slices of a sequence written => reference/slicings.txt reference/sequence-types.txt reference/subscriptions.txt reference/typesseq.txt
what happens after five wrong login attempts => office/papers/password-rules.md
why were readings of the harbour late => office/papers/incident-harbour.md
how do I keep random numbers safe for tokens and passwords => library/secrets.py
which library counts the display width of characters in a terminal => packages/wcwidth.md
how to serve rate limits with a sliding window => packages/limits.md packages/pyrate-limiter.md
how do I create a temporary directory that deletes itself => library/tempfile.py
when must workers wear ear protection => office/papers/noise-report.txt
# PARAPHRASE
keeping the hearing of staff safe near loud machines => office/papers/noise-report.txt
money back for journeys of employees => office/papers/travel-policy.md
evacuating the offices took how much time => office/papers/fire-drill.txt
honey production next to the parking lot => office/papers/bees.md
renewable electricity sold back by the firm => office/papers/solar-roof.md
duplicate storage of data at another location => office/papers/backup-plan.md
newcomer's introduction to the company => office/papers/onboarding.md
cable torn by digging machine caused outage => office/papers/incident-harbour.md
shrinking advertising expenditure => office/papers/minutes-budget.txt
tool for sorting dependencies so that prerequisites come first => library/graphlib.py
run a function once for each different argument and remember results => library/functools.py
picking several elements by chance without repetition => library/random.py
secure shell client implementation => packages/paramiko.md packages/asyncssh.md
checking types of a program without running it => packages/mypy.md
leaving a loop early => reference/break.txt reference/while.txt reference/for.txt
mail box retrieval protocol client => library/poplib.py library/imaplib.py
# TYPO
calender firstweekday => library/calendar.py
temporery directory => library/tempfile.py
hydralic pump warranty frost => office/papers/garantia-bomba.txt
travell policy bussiness class => office/papers/travel-policy.md
cofee machine descaling => office/papers/coffee-machine.md
pasword rules second facter => office/papers/password-rules.md
evacuaton excercise => office/papers/fire-drill.txt
Hildegart Brand => office/invoices/invoice-000.txt
# LANGUAGE
Wie lange werden Sicherungskopien aufbewahrt? => office/papers/backup-plan.md
Wer zahlt die Reparatur des Daches? => office/papers/lease-warehouse.txt
Combien de ruches avons-nous ? => office/papers/bees.md
how high is the contract penalty for late delivery => office/papers/vertrag-lieferung.txt
¿Qué significa la luz roja de la cafetera? => office/papers/coffee-machine.md
how many vacation days does an employee have => office/papers/urlaub.md
which damages does the guarantee of the pump exclude => office/papers/garantia-bomba.txt
Quanto tempo è durata l'evacuazione dell'edificio? => office/papers/fire-drill.txt
where do bicycles belong in the house => office/papers/hausordnung.txt
Darf man auf Flügen in der Business-Klasse sitzen? => office/papers/travel-policy.md
what should I do when it smells of gas => office/papers/manuale-forno.txt
why was the shipment to the customer delayed by a strike => office/papers/carta-cliente.txt
"""

QUERIES: Sequence[LabelledQuery] = _read(TABLE)
