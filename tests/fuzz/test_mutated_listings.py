"""Whatever happens to the rows of a listing, no file of the source is lost without a word."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farends.contract import Transport
from farends.ftp.transport import FTP_SPEC
from tests.fuzz.mutating import FILES, Form, Served, assert_nothing_is_lost, bodies
from tests.hosts.scripted_ftp import MODIFY, Conversation, Script, scripted_ftp
from tests.hosts.sinks import loopback_context

ROOT = PurePosixPath("/")


@contextlib.contextmanager
def _ftp(served: Served, *, plain: bool) -> Iterator[Transport]:
    def send(conversation: Conversation, argument: str) -> None:
        conversation.send(served.body)

    def telling(*known: str) -> Script:
        def tell(conversation: Conversation, argument: str) -> None:
            file = argument.removeprefix("/") in served.files
            conversation.say(*(known if file else ("550 No such file",)))

        return tell

    def enter(conversation: Conversation, argument: str) -> None:
        conversation.say("250 fine" if argument == "/" else "550 No such directory")

    def list_facts(conversation: Conversation, argument: str) -> None:
        if argument == "/":
            send(conversation, argument)
        else:
            conversation.say("550 No such directory")

    scripts: dict[str, Any] = {
        "MLSD": list_facts,
        "LIST": send,
        "CWD": enter,
        "SIZE": telling("213 10"),
        "MDTM": telling(f"213 {MODIFY}"),
        "MLST": telling("250-x", f" type=file;size=10;modify={MODIFY}; x", "250 end"),
        "STAT": telling("502 no"),
    }
    if plain:
        scripts["FEAT"] = lambda c, _: c.say("211 none")
    with scripted_ftp(**scripts) as host:
        transport = FTP_SPEC.open(host.target(sessions=1), loopback_context())
        try:
            yield transport
        finally:
            transport.close()


def _over_list(row: str, **more: Any) -> Form:
    return Form(
        lambda name: row.replace("NAME", name).encode(),
        lambda served: _ftp(served, plain=True),
        names_are_asked=True,
        **more,
    )


FTP_FORMS: dict[str, Form] = {
    "ftp MLSD": Form(
        lambda name: f"type=file;size=10;modify={MODIFY}; {name}".encode(),
        lambda served: _ftp(served, plain=False),
        names_are_asked=False,
    ),
    "ftp MLSD without sizes": Form(
        lambda name: f"modify={MODIFY};type=file; {name}".encode(),
        lambda served: _ftp(served, plain=False),
        names_are_asked=True,
    ),
    "ftp ls": _over_list("-rw-r--r--   1 a  b   10 Nov 14 22:13 NAME", begin=b"total 80\r\n"),
    "ftp ls of old files": _over_list("-rw-r--r--   1 a  b   10 Nov 14  2023 NAME"),
    "ftp ls, the day first": _over_list("-rw-r--r--   1 a  b   10 14 Nov 22:13 NAME"),
    "ftp ls in German": _over_list("-rw-r--r--   1 a  b   10 14. Okt 22:13 NAME", begin=b"insgesamt 80\r\n"),
    "ftp ls, long-iso": _over_list("-rw-r--r--   1 a  b   10 2023-11-14 22:13 NAME"),
    "ftp ls, iso": _over_list("-rw-r--r--   1 a  b   10 2023-11-14  NAME"),
    "ftp ls, full-iso": _over_list("-rw-r--r-- 1 a b 10 2023-11-14 22:13:21.000000000 +0000 NAME"),
    "ftp ls -T": _over_list("-rw-r--r--   1 a  b   10 Nov 14 22:13:21 2023 NAME"),
    "ftp ls without links": _over_list("-rw-r--r--   a  b   10 Nov 14 22:13 NAME"),
    "ftp IIS": _over_list("11-14-23  10:13PM                   10 NAME"),
    "ftp IIS, ISO dates": _over_list("2023-11-14  22:13                   10 NAME"),
    "ftp EPLF": _over_list("+i8388621.48594,m1700000001,r,s10,\tNAME"),
    "ftp NetWare": _over_list("- [RWCEAFMS] admin         10 Nov 14 22:13    NAME"),
    "ftp IBM i": _over_list("QPGMR        10 14.11.23 22:13:21 *STMF      NAME"),
}  # fmt: skip
FORMS = FTP_FORMS


@pytest.mark.parametrize("name", FORMS)
def test_no_damage_to_a_listing_loses_a_file_without_a_word(name: str) -> None:
    form, served = FORMS[name], Served()
    with form.serve(served) as transport:
        served.body = b"".join(form.write(file) + form.row_end for file in FILES)
        served.body = form.begin + served.body + form.end
        assert {item.path for item in transport.walk()} == set(FILES)

        @settings(
            max_examples=60,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(data=st.data())
        def check(data: st.DataObject) -> None:
            served.body = data.draw(bodies(form))
            assert_nothing_is_lost(lambda: list(transport.walk()))

        check()
