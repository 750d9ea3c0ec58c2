"""Papers of an invented office: letters, minutes, contracts and manuals in six languages, and series of invoices, tickets
and protocols that differ in a number or a name."""

from __future__ import annotations

import random
from collections.abc import Iterator

SEED = 20_261_128
FIRST = (
    "Hildegard", "Tomasz", "Ines", "Oluwaseun", "Marit", "Jean-Luc", "Priya", "Anselm", "Katarzyna", "Diego",
    "Fenna", "Gianluca", "Siobhan", "Ruslan", "Beatriz", "Henrike", "Mbali", "Aurelio", "Yasmin", "Thorvald",
)  # fmt: skip
LAST = (
    "Brandt", "Wojciechowski", "Quintela", "Adeyemi", "Solberg", "Charpentier", "Raghunathan", "Feuerbach", "Nowicka",
    "Ibarra", "Dijkstra", "Montefusco", "O'Driscoll", "Gabdrakhmanov", "Figueiredo", "Petersen", "Khumalo", "Benedetti",
    "Rahmani", "Lindqvist",
)  # fmt: skip
GOODS = (
    "hydraulic pump", "ball bearing", "pressure gauge", "conveyor belt", "safety valve", "cable drum", "gearbox oil",
    "control cabinet", "mooring rope", "forklift tyre", "welding gas", "air filter",
)  # fmt: skip
FAULTS = (
    "the display stays dark after the start", "oil drips from the lower seal", "the motor stops under load",
    "the sensor reports values below zero", "the door does not lock any more", "the fan makes a grinding noise",
)  # fmt: skip
INVOICES = TICKETS = PROTOCOLS = 60


def iter_papers() -> Iterator[tuple[str, str]]:
    chance = random.Random(SEED)  # noqa: S311 — filler
    for n in range(INVOICES):
        yield f"office/invoices/invoice-{n:03}.txt", write_invoice(n, chance)
    for n in range(TICKETS):
        yield f"office/tickets/ticket-{n:03}.md", write_ticket(n, chance)
    for n in range(PROTOCOLS):
        yield f"office/protocols/protocol-{n:03}.txt", write_protocol(n, chance)
    yield from ((f"office/papers/{name}", text.strip() + "\n") for name, text in PAPERS.items())


def name_of(n: int) -> str:
    """Each pair once, for the first 400."""
    return f"{FIRST[n % 20]} {LAST[(n * 7 + n // 20) % 20]}"


def write_invoice(n: int, chance: random.Random) -> str:
    lines = [
        f"{good:<18} {chance.randint(1, 40):>4} pcs  {chance.randint(900, 90_000) / 100:>9.2f} EUR"
        for good in chance.sample(GOODS, 4)
    ]
    return (
        f"INVOICE {2_025_000 + n * 37}\n\nCustomer: {name_of(n)}, customer number K-{40_117 + n * 113}\n"
        f"Order of {1 + n % 28} March 2026, delivery note LS/{7_000 + n * 19}\n\n"
        + "\n".join(lines)
        + f"\n\nPayable within {chance.choice((14, 21, 30))} days to IBAN DE{chance.randint(10, 99)} 2004 1010 "
        f"{chance.randint(1000, 9999)} {chance.randint(1000, 9999)} 00.\n"
        "Please quote the number of the invoice with your payment. Goods remain our property until paid in full.\n"
    )


def write_ticket(n: int, chance: random.Random) -> str:
    return (
        f"# Ticket SUP-{3_100 + n * 17}\n\nReported by {name_of(n + 60)}. Device serial `V-{1_100 + n * 19}`, "
        f"firmware {chance.randint(1, 4)}.{chance.randint(0, 9)}.{chance.randint(0, 30)}.\n\n"
        f"The customer writes that {FAULTS[n % len(FAULTS)]}. It began after the last service.\n\n"
        f"## Done\n\nThe part {chance.choice(GOODS)} was replaced. Batch {chance.randint(10**7, 10**8 - 1)}-"
        f"{chance.choice('ABCDEFGHJK')}. The customer has confirmed the repair.\n"
    )


def write_protocol(n: int, chance: random.Random) -> str:
    return (
        f"Calibration protocol CP-{n:04}-{chance.choice('XYZ')}{chance.randint(100, 999)}\n\n"
        f"Instrument: pressure transmitter PT{200 + n * 3}, inspector {name_of(n + 120)}\n"
        f"Reference 4.000 mA, measured {4 + chance.randint(-30, 30) / 1000:.3f} mA; "
        f"reference 20.000 mA, measured {20 + chance.randint(-30, 30) / 1000:.3f} mA.\n"
        f"Deviation within tolerance: {chance.choice(('yes', 'yes', 'yes', 'no'))}. Next calibration due in 12 months.\n"
    )


PAPERS = {
    "travel-policy.md": """
# Travel policy

Employees book trains before planes when the journey takes less than five hours. Business class is allowed on flights
that last longer than nine hours. Keep every receipt: expenses are refunded within two weeks after the form arrives.
Nobody needs a permission for journeys below 200 euros. A rented car must be returned with a full tank.
""",
    "backup-plan.md": """
# Keeping copies

Every night at half past two the database is copied to the second site. Copies are kept for thirty-five days and then
destroyed. Once in a quarter we restore one of them on an empty machine, to see that it can be done within an hour.
The passphrase lies in two sealed envelopes in the safe.
""",
    "fire-drill.txt": """
Minutes of the evacuation exercise on 4 September

The building was empty after six minutes and forty seconds. The lift in the east wing did not stop at the ground floor,
which a technician has to look at. Two visitors had no badge. The assembly point behind the canteen is too small.
"The alarm could not be heard in the archive", said the caretaker. Next exercise in spring.
""",
    "coffee-machine.md": """
# The coffee machine on the third floor

Descale it every second Friday. The red lamp means that the water tank is empty; the blue lamp asks for cleaning tablets.
Do not use carbonated water. Who takes the last beans writes them on the shopping list.
""",
    "lease-warehouse.txt": """
LEASE AGREEMENT for the warehouse at Quay 7

The tenant pays a monthly rent of 4,850 euros, due on the third working day. Either party may end the agreement with six
months' notice to the end of a year. The tenant shall not sublet without written consent. Repairs of the roof are borne by
the landlord. The deposit amounts to three monthly rents and bears no interest.
""",
    "onboarding.md": """
# Your first week

On Monday you get your laptop and your badge from the reception. Choose a mentor among your neighbours. On Wednesday there
is lunch with the founders. Read the safety rules before you enter the workshop. Your trial period lasts six months.
""",
    "incident-harbour.md": """
# What happened on 17 June

At 03:12 the gateway of the harbour lost its uplink because an excavator cut the fibre near the bridge. Readings were kept
on the device and arrived with a delay of five hours. Nothing was lost. We now rent a second line over radio.
The root cause was a plan of the site that showed the old route of the cable.
""",
    "speech-anniversary.txt": """
Dear colleagues, thirty years ago this company was a bench in a garage. "We shall measure before we promise" was painted on
its door, and the door still hangs in our entrance. My father sold his motorcycle to pay for the first oscilloscope.
Patience is the cheapest instrument we ever bought. Thank you all, and now the buffet is open.
""",
    "vertrag-lieferung.txt": """
RAHMENVERTRAG ÜBER DIE LIEFERUNG VON ANLAGEN

Die Lieferfrist beträgt vierzehn Werktage ab Eingang der Bestellung. Gerät der Lieferant in Verzug, so schuldet er für jede
angefangene Woche eine Vertragsstrafe von einem halben Prozent des Auftragswerts, höchstens jedoch fünf Prozent. Der Käufer
hat die Ware unverzüglich zu untersuchen und Mängel schriftlich anzuzeigen. Gerichtsstand ist Emden.
""",
    "urlaub.md": """
# Urlaub und freie Tage

Jeder Mitarbeiter hat dreißig Tage Urlaub im Jahr. Anträge werden spätestens vier Wochen vorher gestellt. Nicht genommene
Tage verfallen am 31. März des folgenden Jahres. Für einen Umzug gibt es einen freien Tag, für die eigene Hochzeit zwei.
""",
    "hausordnung.txt": """
Hausordnung

Fahrräder gehören in den Keller und nicht in den Flur. Zwischen 22 und 6 Uhr ist Ruhe zu halten. Der Müll wird getrennt:
Papier blau, Glas grün, Restmüll grau. Grillen auf dem Balkon ist verboten. Den Schlüssel zur Waschküche hat Frau Petersen.
""",
    "wartung-kran.md": """
# Wartung des Krans

Die Seile werden alle drei Monate auf gebrochene Drähte geprüft. Nach einem Sturm mit mehr als neun Windstärken ist der Kran
vor der ersten Fahrt zu begutachten. Das Getriebe bekommt im Herbst neues Öl. Der Endschalter am Ausleger klemmt gelegentlich.
""",
    "bail-bureau.txt": """
CONTRAT DE BAIL

Le loyer mensuel s'élève à 1 950 euros, charges non comprises. Le locataire souscrit une assurance contre l'incendie et les
dégâts des eaux. Le dépôt de garantie est restitué dans un délai de deux mois après la remise des clés. Le bailleur prend en
charge la réparation du chauffage. Toute sous-location est interdite.
""",
    "recette-cantine.md": """
# La cantine

Le vendredi, la cantine sert du poisson. Les plats végétariens portent une feuille verte. Le cuisinier demande que les
allergies aux noix soient signalées la veille. Les plateaux sont à rapporter près de la fenêtre.
""",
    "garantia-bomba.txt": """
GARANTÍA DE LA BOMBA

El fabricante garantiza la bomba durante treinta y seis meses desde la entrega. Quedan excluidos los daños por heladas, por
falta de aceite o por un montaje incorrecto. Para reclamar, envíe la factura y una fotografía de la placa. Las piezas
sustituidas pasan a ser propiedad del fabricante.
""",
    "acta-reunion.md": """
# Acta de la reunión del consejo

El consejo aprueba la compra de dos camiones eléctricos. La señora Quintela propone trasladar el almacén a las afueras porque
el alquiler del centro es demasiado caro. Se vota en contra. La próxima reunión será en octubre.
""",
    "manuale-forno.txt": """
MANUALE DEL FORNO INDUSTRIALE

Prima di accendere il forno controllare che la valvola del gas sia chiusa. La temperatura massima è di 320 gradi. In caso di
odore di gas aprire le finestre e chiamare il tecnico. La porta va pulita con acqua tiepida, mai con acidi.
""",
    "regels-fietsen.md": """
# Fietsen van de zaak

Een medewerker mag een fiets lenen voor ten hoogste drie dagen. Een lekke band plakt men zelf; gereedschap ligt in de schuur.
Wie de fiets niet op slot zet, betaalt bij diefstal de helft van de prijs.
""",
    "carta-cliente.txt": """
Prezado cliente, lamentamos o atraso da sua encomenda. O navio ficou retido no porto por causa de uma greve dos estivadores.
Oferecemos um desconto de dez por cento na próxima compra. A nova data de entrega é a segunda semana de maio.
""",
    "solar-roof.md": """
# Panels on the roof

Forty-two modules face south-west at an angle of eleven degrees. On a clear day in June they yield 96 kilowatt hours. What we
do not use ourselves is sold to the grid for seven cents. Bird droppings cost us four per cent a year, so the panels are washed
in April. The inverter hums, and the neighbour has complained about it twice.
""",
    "sql-guide.md": """
# House rules for queries

Set `idle_in_transaction_session_timeout` to 30 s for every role that people use. `work_mem` above 64 MB is asked for first.
Never call `pg_terminate_backend()` on a walsender. A report runs with `default_transaction_read_only = on`.
""",
    "http-guide.md": """
# House rules for services

A service that gets two versions of one header answers `HeaderMismatch` and closes. Clients send `X-Trace-Parent-Id` with each
request. `ERR_STALE_LEASE_0x1F` in a log means that somebody else works on the shard now: do nothing.
""",
    "naming.md": """
# How parts are called

A drawing begins with ZN, a purchased part with KT. So `ZN-4471-b` is the second revision of a drawing and `KT-90210` a bearing.
Retired numbers are never given again. The list hangs at the gate of the store.
""",
    "vacation-cover.md": """
# Who stands in for whom

While Marit Solberg is away, Aurelio Benedetti signs orders. Nobody stands in for the data protection officer, Dr. Yasmin Rahmani.
The phone of the night shift is forwarded to Thorvald Lindqvist.
""",
    "noise-report.txt": """
Measurement of sound levels in hall 2. At the press 91 decibels, at the saw 97, in the office behind the glass 48. Workers at the
saw must wear ear protection. Rubber mats below the press would lower the level by about six decibels.
""",
    "bees.md": """
# Hives behind the car park

Two colonies arrived in May. Keep three metres distance when the bee-keeper has opened a box. There will be about twenty
kilograms of honey in a good summer, and everybody in the company gets a jar at Christmas.
""",
    "password-rules.md": """
# Secrets and logging in

Use a passphrase of at least four words. Nobody from support will ever ask you for it. A second factor is needed from outside
the building. Five wrong attempts lock the account for a quarter of an hour. Report a lost phone at once, also at night.
""",
    "minutes-budget.txt": """
Minutes of the budget meeting. The board cuts the marketing funds by a third and hires two electricians. Replacing the old press
is put off until next year. "A machine that is paid for does not ask for a salary", remarked Anselm Feuerbach. The bank offers a
loan at 3.9 per cent, which nobody wants.
""",
}  # fmt: skip
