"""Every function that reads text of a far end, or of a tenant, by the module that it belongs to.

`tests/fuzz/test_parsers_are_linear.py` gives them what parsers fear. A new module of `farends` that takes text
apart needs its functions here, or a reason in NO_PARSERS.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from alerts.core import channel_urls
from alerts.core import texts as alert_texts
from api.mcp import envelope
from api.mcp.errors import RpcError
from api.rest import files, idempotency
from api.shapes import fields as moments
from cli import configfile
from connectors import attachments, folders, pasted
from console import window_lines
from datasets.tables import row_copy
from farends import addresses, dialing, masking, names, proxying
from farends.contract import RemoteEntry
from farends.ftp import describe as ftp_describe
from farends.ftp import digests as ftp_digests
from farends.ftp import download as ftp_download
from farends.ftp import list_end as ftp_list_end
from farends.ftp import login as ftp_login
from farends.ftp import reply as ftp_reply
from farends.ftp import rows as ftp_rows
from farends.ftp.list_rows import ListReader
from farends.ftp.list_times import ListClock
from farends.ftp.reply import Reply
from farends.http import digests as http_digests
from farends.http import entries as http_entries
from farends.http import index_pages, index_rows
from farends.http import validators as http_validators
from farends.mcp import answers as mcp_answers
from farends.mcp import events as mcp_events
from farends.mcp import globs as mcp_globs
from farends.mcp import json_stream as mcp_json
from farends.mcp import paths as mcp_paths
from farends.mcp import uris as mcp_uris
from farends.registry import SPECS
from farends.rest import cursors as rest_cursors
from farends.rest import paging as rest_paging
from farends.rows import copy_text, inference, json_text, printing
from farends.rows.contract import Encoding
from farends.rows.json_rows import JsonRows
from farends.rsync import lines as rsync_lines
from farends.secure_shell import commands as shell_channel
from farends.secure_shell import digests as shell_digests
from farends.secure_shell import host_keys, private_keys, splitting
from farends.sftp import packets as sftp_packets
from farends.sql.mysql import types as mysql_types
from farends.sql.postgresql import copying as pg_copying
from farends.sql.postgresql import errors as pg_errors
from farends.ssh import probe as shell_probe
from farends.ssh import records as shell_records
from farends.ssh import tar_header, tar_stream
from farends.tabular import cells as tabular_cells
from farends.tabular import learning, picking, row_shape, scanning
from farends.tabular import printing as tabular_printing
from farends.web import answers as http_answers
from farends.web import auth as http_auth
from farends.web import dates as http_dates
from farends.web import response as http_response
from farends.web import url as http_url
from farends.web.response import Head
from farends.web.url import Origin, Url
from farends.webdav import multistatus, rows
from farends.wire import far_text, key_faults, listed_paths, month_names
from search.core.asking import read_query
from search.core.chunking import cut
from search.core.letters import match_letters, match_words
from search.core.lexemes import split_compounds, split_path_words
from search.core.spelling import fold_word, iter_spelled
from search.core.texts import Extracted, Piece, split_row
from search.extracting import charsets, html, kinds, xlsx
from search.extracting.telling import Teller
from syncjobs.core import markers, patterns
from syncproject import serving
from timing import schedules, windows, zones

Parser = Callable[[bytes], object]

ENTRY = RemoteEntry("a", 10, 10**18, etag='"a"')
PAGE = Url(Origin("http", "host", 80), "/folder/")
FOLDER = http_entries.Folder.of(PAGE, PAGE)
CLOCK = ListClock(UTC, datetime(2026, 11, 28, tzinfo=UTC))
CSV = row_shape.Dialect()
DATE_OF_MYSQL = mysql_types.MysqlColumn("at", "datetime", "datetime(6)", True, None, None)
MASK = masking.make_mask(["password", "s3cret-token", "ab", "a" * 40])


def _cut(kind: str) -> Parser:
    return _text(lambda text: list(cut(Extracted(kind, [Piece(text, line=1)]), "")))


def _mcp_message(raw: bytes) -> None:
    """As it comes, and behind as many brackets as make the depth be looked at."""
    for body in (raw, b"[{" * 60 + raw):
        with suppress(RpcError):
            envelope.read_message(body)


def _text(read: Callable[[str], object]) -> Parser:
    return lambda raw: read(raw.decode("utf-8", "surrogateescape"))


def _scan(raw: bytes) -> int:
    """Reads it as a CSV with three columns, once row by row and once by its shape."""
    found = 0
    for shape in (None, row_shape.RowShape(CSV, [inference.ValueType.TEXT] * 3)):
        rows = scanning.RowScanner(BytesIO(raw), CSV, 3, check=lambda: None)
        rows.shape = shape
        found += sum(1 for _ in rows)
    return found


def _head(read: Callable[[Head], object], *fields: str) -> Parser:
    """Of a response with the text in these header fields."""
    return lambda raw: read(
        Head(200, dict.fromkeys(fields, raw.decode("latin-1")), True, None, False)
    )


def _fed(make: Callable[[], Any], piece_bytes: int) -> Parser:
    """In pieces, as a host may send them."""

    def read(raw: bytes) -> None:
        reader = make()
        for at in range(0, len(raw), piece_bytes):
            reader.feed(raw[at : at + piece_bytes])

    return read


def _dialog(make: Callable[[], Any], replies: Callable[[bytes], Iterable[Any]]) -> Parser:
    def read(raw: bytes) -> None:
        dialog = make()
        try:
            next(dialog)
            for reply in replies(raw):
                dialog.send(reply)
        except StopIteration:
            pass

    return read


def _learned(raw: bytes) -> list[Reply]:
    whole = Reply(257, (raw,))
    return [Reply(211, tuple(raw.split(b"\n"))), whole, Reply(215, (raw,))]


def _digest_of(verb: bytes) -> Parser:
    asker: Any = SimpleNamespace(_client=SimpleNamespace(features=ftp_login.Features(digests=verb)))
    return lambda raw: ftp_digests.FtpDigests._read(asker, ENTRY, Reply(213, (raw,)))


def _lines(raw: bytes) -> Reply:
    return Reply(213, tuple(raw.split(b"\n")))


def _row_of(known: str) -> Parser:
    """Reads a row of a listing whose form is known already."""

    def read(raw: bytes) -> Any:
        reader = ListReader(CLOCK)
        reader.read(known.encode())
        return reader.read(raw)

    return read


def _described(take: Any) -> Parser:
    return lambda raw: take(_lines(raw), ftp_describe.Described(), ftp_login.Features())


def _challenged(raw: bytes) -> bool:
    return http_auth.Digest("user", "password").take_challenge(raw.decode("latin-1"))


def _answered(raw: bytes) -> None:
    consumer: Any = SimpleNamespace(
        method="GET", on_head=_ignore, on_data=_ignore, on_end=lambda: None
    )
    reader = http_response.ResponseReader()
    reader.expect(consumer)
    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + raw)


def _ignore(_: object) -> None:
    return None


def _page(piece_bytes: int) -> Parser:
    def read(raw: bytes) -> None:
        page = index_pages.IndexPage()
        for at in range(0, len(raw), piece_bytes):
            page.feed(raw[at : at + piece_bytes])
        page.end()
        page.judge(framed=True, children=0, leads_up=False)

    return read


def _multistatus(piece_bytes: int) -> Parser:
    def read(raw: bytes) -> None:
        reader = multistatus.Multistatus()
        for at in range(0, len(raw), piece_bytes):
            reader.feed(raw[at : at + piece_bytes])
        reader.finish()

    return read


def _in_pieces(raw: bytes, piece_bytes: int) -> Iterable[bytes]:
    return (raw[at : at + piece_bytes] for at in range(0, len(raw), piece_bytes))


def _mcp_events(piece_bytes: int) -> Parser:
    def read(raw: bytes) -> None:
        for data in mcp_events.EventStream(_in_pieces(raw, piece_bytes)):
            for _ in data:
                pass

    return read


def _mcp_batch(raw: bytes) -> None:
    stream = mcp_json.JsonStream(_in_pieces(raw, 512))
    reader = mcp_answers.ContentReader("kit://a", _ignore)
    for _ in mcp_answers.iter_server_messages(stream, reader.read, batched=True):
        pass


def _mcp_content(piece_bytes: int) -> Parser:
    def read(raw: bytes) -> None:
        stream = mcp_json.JsonStream(_in_pieces(raw, piece_bytes))
        reader = mcp_answers.ContentReader("kit://a", _ignore)
        mcp_answers.read_server_message(stream, reader.read)
        reader.check()

    return read


def _tar(raw: bytes) -> None:
    members: Any = SimpleNamespace(begin=_ignore, data=_ignore, end=lambda: None)
    tar_stream.TarStream(members).feed(raw)


def _packet(raw: bytes) -> None:
    fields = sftp_packets.Fields(memoryview(raw))
    for _ in fields.names(fields.count_of_names()):
        pass


def _noise(raw: bytes) -> None:
    noise = bytearray()
    for at in range(0, len(raw), 1024):
        shell_channel._behind(noise, raw[at : at + 1024], b"marker-0123456789")


def _proxied(raw: bytes) -> None:
    """The proxy's answer. It is read byte by byte, up to 16 KiB."""
    dialog = proxying.ask_proxy(proxying.Proxy("http", "proxy", 3128), "host", 22)
    next(dialog)
    try:
        dialog.send(raw)
        dialog.send(b"\r\n\r\n")
    except StopIteration:
        pass


def _json(raw: bytes) -> None:
    text = json_text.JsonText(raw)
    text.find_fault(raw)
    with suppress(json_text.NotThere):
        text.objects(())


def _json_rows(raw: bytes) -> None:
    """As the only value of two objects, where it is one."""
    text = json_text.JsonText(b'[{"a": ' + raw + b'}, {"a": ' + raw + b"}]")
    rows = JsonRows()
    for _ in range(2):
        rows.encode(text.objects(()), text)


def _channel_url(text: str) -> None:
    with suppress(channel_urls.ChannelUrlRefused):
        channel_urls.read_channel_url(text)


def _configured(raw: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(raw)
        file.flush()
        with suppress(configfile.UnreadableFile):
            configfile.load(Path(file.name), {})


PARSERS: Mapping[str, Mapping[str, Parser]] = {
    "alerts.core.channel_urls": {"read_channel_url": _text(_channel_url)},
    "api.rest.files": {"_RANGE": _text(files._RANGE.fullmatch)},
    "api.rest.idempotency": {
        "PATTERN": _text(lambda text: re.fullmatch(idempotency.PATTERN, text))
    },
    "api.shapes.fields": {"_is_written": _text(moments._is_written)},
    "cli.configfile": {"load": _configured},
    "console.window_lines": {
        "read_windows": _text(window_lines.read_windows),
        "read_blackouts": _text(window_lines.read_blackouts),
    },
    "syncjobs.core.markers": {"parse_done_pattern": _text(markers.parse_done_pattern)},
    "api.mcp.envelope": {"message": _mcp_message},
    "search.core.asking": {"query": _text(read_query)},
    "search.core.lexemes": {"compounds": _text(split_compounds), "path": _text(split_path_words)},
    "search.core.letters": {
        "words": _text(lambda text: match_words(text).findall(text)),
        "letters": _text(lambda text: match_letters(text).findall(text)),
    },
    "search.core.spelling": {
        "words": _text(lambda text: list(iter_spelled(text))),
        "key": _text(lambda text: fold_word.__wrapped__(text)),
    },
    "search.core.chunking": {"plain": _cut(".txt"), "lines": _cut(".csv")},
    "search.core.outlines": {
        "markdown": _cut(".md"),
        "rst": _cut(".rst"),
        "code": _cut(".py"),
        "sections": _cut(".toml"),
    },
    "search.core.texts": {"row": _text(lambda text: split_row(f"sheet {text} row 1"))},
    "search.extracting.charsets": {
        "marked": charsets.find_wide_charset,
        "binary": charsets.is_binary,
        "western": charsets._is_western,
        "turkish": charsets._is_turkish,
        "iso2022": charsets.find_iso2022,
    },
    "search.extracting.html": {
        "decode": html.decode_html,
        "tell": _text(lambda text: html.tell_html(text, Teller(lambda pieces: None), "")),
    },
    "search.extracting.kinds": {"decide": lambda raw: kinds.decide_kind("a", raw)},
    "search.extracting.xlsx": {
        "number": _text(lambda text: xlsx._show_number(text, is_date=True)),
        "format": _text(lambda text: xlsx._shows_time(text)),
    },
    "syncjobs.core.patterns": {
        "parse_pattern": _text(lambda text: patterns.parse_pattern.__wrapped__(text[:1_000])),
        "whole": _text(lambda text: patterns._in_words_of_re2(text)),
    },
    "timing.schedules": {
        "cron": _text(lambda text: schedules.parse_schedule({"cron": text})),
        "time": _text(lambda text: schedules.parse_schedule({"frequency": "daily", "time": text})),
    },
    "syncproject.serving": {
        "_LENGTH": serving._LENGTH.search,
        "_BY_PIECES": serving._BY_PIECES.search,
        "_HEALTH": serving._HEALTH.match,
    },
    "timing.windows": {
        "windows": _text(lambda text: windows.parse_windows([{"from": text, "to": text}])),
        "days": _text(
            lambda text: windows.parse_windows([{"days": [text], "from": "10:00", "to": "11:00"}])
        ),
        "blackouts": _text(lambda text: windows.parse_blackouts([{"since": text, "until": text}])),
    },
    "timing.zones": {"find_zone": _text(zones.find_zone)},
    "farends.addresses": {"parse_address": _text(addresses.parse_address)},
    "connectors.attachments": {"content_disposition": _text(attachments.content_disposition)},
    "farends.dialing": {"_NAME": _text(dialing._NAME.fullmatch)},
    "connectors.folders": {"_checked": _text(folders._checked)},
    "farends.masking": {"mask": _text(MASK or str)},
    "farends.names": {
        "to_text": _text(names.to_text),
        "from_text": _text(lambda text: names.from_text(names.to_text(text))),
        "printable": _text(lambda text: names.printable(text, len(text))),
        "join": _text(lambda text: names.join("folder", text)),
    },
    "farends.proxying": {"ask_proxy": _proxied, "parse_proxy": _text(proxying.parse_proxy)},
    "farends.ftp.describe": {
        "facts": _described(ftp_describe._take_facts),
        "size": _described(ftp_describe._take_size),
        "time": _described(ftp_describe._take_time),
    },
    "farends.ftp.list_end": {
        "tells_cut": lambda raw: ftp_list_end.tells_cut(_lines(raw), 1, 2),
        "tells_unread": lambda raw: ftp_list_end.tells_unread(_lines(raw)),
    },
    "farends.ftp.digests": {
        "hash": _digest_of(ftp_login.HASH),
        "xsha256": _digest_of(ftp_login.XSHA256),
    },
    "farends.ftp.list_rows": {
        "read": lambda raw: ListReader(CLOCK).read(raw),
        "of a known form": _row_of("-rw-r--r-- 1 a b 10 Nov 14 22:13 x"),
        "of IIS": _row_of("11-14-23  10:13PM  <DIR>  x"),
        "of VMS": _row_of("X.TXT;1  3/4  14-NOV-2023 22:13"),
    },
    "farends.wire.month_names": {"month_of": month_names.find_month},
    "farends.ftp.download": {
        "epsv": lambda raw: ftp_download.passive_port(Reply(229, (raw,))),
        "pasv": lambda raw: ftp_download.passive_port(Reply(227, (raw,))),
    },
    "farends.ftp.login": {
        "learn": _dialog(lambda: ftp_login.ask_features(ftp_login.Features()), _learned),
    },
    "farends.ftp.reply": {
        "feed": _fed(ftp_reply.ReplyReader, 1 << 20),
        "feed in pieces": _fed(ftp_reply.ReplyReader, 256),
        "refusal": lambda raw: ftp_reply.make_refusal(Reply(550, (raw,)), "doing"),
        "says_full": lambda raw: ftp_reply.says_full(Reply(530, (raw,))),
    },
    "farends.ftp.rows": {
        "facts_row": ftp_rows.facts_row,
        "time_ns": ftp_rows.time_ns,
    },
    "farends.secure_shell.host_keys": {"parse": _text(host_keys.Pin.parse)},
    "farends.web.auth": {"take_challenge": _challenged},
    "farends.web.dates": {
        "epoch_s": _text(http_dates.epoch_s),
        "iso_ns": _text(http_dates.iso_ns),
        "minute_ns": _text(http_dates.minute_ns),
        "seconds_until": _text(lambda text: http_dates.seconds_until(text, text)),
    },
    "farends.http.digests": {
        "read_digest": _head(http_digests.read_digest, "repr-digest", "digest")
    },
    "farends.http.entries": {
        "strong_etag": _head(http_entries.strong_etag, "etag"),
        "whole_size": _head(lambda head: http_entries.whole_size(head, 0), "content-range"),
        "child": _text(FOLDER.child),
        "leads_up": _text(lambda text: FOLDER.leads_up("../", text)),
        "elsewhere": _text(lambda text: FOLDER.elsewhere(text, text)),
        "path_of": _text(lambda text: http_entries.parse_listed_url(PAGE, text)),
    },
    "farends.web.answers": {
        "status_error": _head(
            lambda head: http_answers.status_error(head, "doing"), "retry-after", "date", "server"
        ),
        "check_coding": _head(http_answers.check_coding, "content-encoding"),
        "follow_location": lambda raw: http_answers.follow_location(PAGE, raw.decode("latin-1")),
    },
    "farends.web.response": {
        "parse_head": lambda raw: http_response.parse_head(b"HTTP/1.1 200 OK\r\n" + raw, "GET"),
        "status": lambda raw: http_response.parse_head(raw, "GET"),
        "chunks": _answered,
    },
    "farends.web.url": {
        "resolve": _text(lambda text: http_url.resolve(PAGE, text)),
        "without_user": _text(http_url.without_user),
        "quote_path": _text(http_url.quote_path),
        "components": _text(http_url.components),
    },
    "farends.http.validators": {
        "proves_content": _text(
            lambda text: http_validators.proves_content(RemoteEntry("a", 10, 10**18, etag=text))
        )
    },
    "farends.http.index_pages": {"page": _page(1 << 20), "page in pieces": _page(512)},
    "farends.http.index_rows": {"unescaped": _text(index_rows.unescape_references)},
    "farends.webdav.multistatus": {
        "listing": _multistatus(1 << 20),
        "listing in pieces": _multistatus(512),
    },
    "farends.webdav.rows": {
        "find_name": _text(
            lambda text: rows.find_name([b"folder"], PAGE, multistatus.DavRow(f"/folder/{text}"))
        ),
        "describe_row": _text(
            lambda text: rows.describe_row(
                "a", multistatus.DavRow("a", size=text, modified=text, etag=text)
            )
        ),
    },
    "farends.mcp.events": {"events": _mcp_events(1 << 20), "events in pieces": _mcp_events(512)},
    "farends.mcp.json_stream": {
        "skip": lambda raw: mcp_json.JsonStream([raw]).skip(),
        "read_value": lambda raw: mcp_json.JsonStream(_in_pieces(raw, 512)).read_value(1 << 30),
    },
    "farends.mcp.answers": {
        "content": _mcp_content(1 << 20),
        "content in pieces": _mcp_content(512),
        "decode_message": mcp_answers.decode_message,
        "held batch": lambda raw: list(mcp_answers.iter_held_messages(raw, batched=True)),
        "content in a batch": _mcp_batch,
        "read_page": mcp_answers.read_page,
        "decode_base64": lambda raw: list(mcp_answers.decode_base64(iter([raw]))),
    },
    "farends.mcp.paths": {"make_path": _text(mcp_paths.make_path)},
    "farends.mcp.uris": {"normalize_uri": _text(mcp_uris.normalize_uri)},
    "farends.mcp.globs": {
        "UriGlob": _text(mcp_globs.UriGlob),
        "matches": _text(mcp_globs.UriGlob("**a*a**/?*b").matches),
    },
    "farends.wire.listed_paths": {"text": lambda raw: listed_paths.ListedPaths().text(raw)},
    "farends.secure_shell.private_keys": {
        "key": _text(lambda text: private_keys.load_private_key(text, "x")),
        "certificate": _text(private_keys.find_certificate_end),
    },
    "farends.rsync.lines": {
        "parse_listed": rsync_lines.parse_listed,
        "parse_complaint": rsync_lines.parse_complaint,
        "unescape": rsync_lines.unescape_row,
    },
    "farends.sftp.packets": {"names": _packet},
    "farends.secure_shell.commands": {"_behind": _noise},
    "farends.secure_shell.digests": {
        "_LINE": shell_digests._LINE.fullmatch,
        "_PREFIX": shell_digests._PREFIX.match,
    },
    "farends.ssh.probe": {
        "_precision_ns": shell_probe._precision_ns,
        "_skew_s": lambda raw: shell_probe._skew_s(raw, 0.0),
    },
    "farends.ssh.records": {
        "parse_record": shell_records.parse_record,
        "unescape": shell_records.unescape_name,
        "find": shell_records.parse_find_complaint,
        "tar": shell_records.parse_tar_complaints,
    },
    "farends.secure_shell.splitting": {
        "feed": _fed(lambda: splitting.Splitter(b"\n", 1 << 20, "too long"), 1 << 20),
        "feed in pieces": _fed(lambda: splitting.Splitter(b"\n", 1 << 20, "too long"), 7),
    },
    "farends.wire.far_text": {"show": lambda raw: far_text.show(raw, len(raw))},
    "farends.ssh.tar_header": {
        "parse_pax": tar_header.parse_pax,
        "parse_header": lambda raw: tar_header.parse_header(raw[:512].ljust(512, b"\0")),
    },
    "farends.ssh.tar_stream": {"feed": _tar},
    "farends.rows.inference": {
        "classify_text": _text(inference.classify_text),
        "classify_string": _text(inference.classify_string),
    },
    "farends.rows.json_text": {
        "JsonText": _json,
        "parse_path": _text(lambda text: json_text.parse_path.__wrapped__(text[:1_000])),
        "show_cell": json_text.show_cell,
    },
    "farends.rows.json_rows": {"encode": _json_rows},
    "farends.rows.printing": {
        "times": _text(lambda text: printing.print_value(text, inference.ValueType.TIMESTAMPTZ)),
        "jsonb": _text(lambda text: printing.print_value(text, inference.ValueType.JSONB)),
    },
    "farends.rest.paging": {
        "find_link": _text(lambda text: rest_paging.find_link(text, "next")),
    },
    "farends.rest.cursors": {
        "read_time": _text(lambda text: rest_cursors.read_time(text, "epoch")),
    },
    "farends.rows.copy_text": {
        "decode_row": copy_text.decode_row,
        "decode_csv_row": copy_text.decode_csv_row,
        "escape": copy_text.escape,
    },
    "farends.sql.mysql.types": {
        "show": _text(DATE_OF_MYSQL.show),
        "write": _text(DATE_OF_MYSQL.write),
    },
    "farends.sql.postgresql.copying": {
        "find_cells": lambda raw: pg_copying.find_cells(raw + b"\t\n", [0, 1], binary=False),
    },
    "farends.sql.postgresql.errors": {
        "map_refusal": _text(
            lambda text: pg_errors.map_refusal(text, connected=True, showed_password=False)
        ),
    },
    "farends.tabular.cells": {"read_all": tabular_cells.make_cell_reader(CSV).read_all},
    "farends.tabular.row_shape": {"scan": _scan},
    "farends.tabular.scanning": {"scan": _scan},
    "farends.tabular.printing": {
        "number": _text(lambda text: tabular_printing.print_cell(text, "numeric")),
        "time": _text(lambda text: tabular_printing.print_cell(text, "timestamp with time zone")),
    },
    "farends.tabular.picking": {
        "text": _text(lambda text: picking.read_row(text.encode(errors="replace"), Encoding.TEXT)),
        "csv": _text(lambda text: picking.read_row(text.encode(errors="replace"), Encoding.CSV)),
    },
    "farends.tabular.learning": {"day": _text(learning._LIKE_DAY.fullmatch)},
    "alerts.core.texts": {
        "line": _text(alert_texts.clean_line),
        "mentions": _text(alert_texts.break_mentions),
    },
    "connectors.pasted": {
        "address": _text(lambda text: pasted.find_pasted_address(text, SPECS)),
        "host": _text(pasted.find_host_fault),
    },
    "farends.wire.key_faults": {"key": _text(lambda text: key_faults.find_key_fault(text, ""))},
    "datasets.tables.row_copy": {
        "place": _text(lambda text: row_copy._WHERE.search(f"COPY s_1, line 3, column a: {text}")),
    },
}

NO_PARSERS: Mapping[str, str] = {
    "alerts.configuration.refusals": "a word of a form or a body, cut to 100 characters",
    "alerts.core.quiet_hours": "11 characters, whole against one form",
    "api.rest.parameters": "names of query parameters, cut to 60 characters, and numbers by expressions without choices",
    "api.shapes.misfits": "names of our own types",
    "connectors.listings": "a listing of at most 8 MiB, in JSON",
    "connectors.looks": "ten results that we wrote ourselves",
    "console.live": "pages that we wrote ourselves, where others' words are escaped",
    "console.proxies": "a path, whole against two forms of our own",
    "console.things": "a few letters, whole against one form",
    "docs.pictures.shoot": "the log of our own stack, for pictures",
    "syncjobs.queries.held_plans": "a term of an address, split at its stars",
    "syncproject.env": "the environment, by whoever runs the installation",
    "syncjobs.queries.offered_files": "a name that a person asks for, of a bounded length",
    "api.mcp.tools.misfits": "words of msgspec, about arguments of at most 1 MiB that it has read",
    "farends.mcp.listing": "names, one look for control characters each",
    "farends.mcp.log_in": "a secret, whole against one class of characters",
    "farends.mcp.options": "names of headers that a person wrote",
    "farends.rows.packed": "rows that are joined and split at known places",
    "search.core.marks": "chunks of at most 1,000 characters",
    "search.core.terms": "words of a question, which has at most 1,000 characters",
    "search.embedding.openai": "words that are cut to 200 characters",
    "search.querying.lexemes_of_query": "words of a query of at most 1,000 characters",
    "search.querying.search": "a cursor, whole against one form",
    "search.extracting.docx": "names of parts and styles",
    "search.extracting.pptx": "names of parts",
    "connectors.models": "options that were checked, as JSON",
    "datasets.tables.exporting": "names of types that PostgreSQL gives",
    "datasets.tables.place": "names of types that PostgreSQL gives, and of a workspace",
    "farends.client.system": "json.loads of at most 1 MiB",
    "farends.conversation_errors": "a library's words, up to a colon",
    "farends.mcp.line": "a type's name, up to a semicolon",
    "farends.spec": "names of options, split at a dot",
    "farends.sql.mysql.catalog": "names, cut at the first dot",
    "farends.sql.mysql.connection": "bytes that are put together",
    "farends.sql.mysql.source": "rows that types and copy_text take apart",
    "farends.sql.postgresql.catalog": "names, cut at each dot",
    "farends.sql.postgresql.source": "keys that copying has taken apart",
    "farends.tabular.convert": "what its own parent writes to it",
    "farends.tabular.converting": "the words of our own child",
    "farends.tabular.csv_table": "read through scanning",
    "farends.tabular.entity": "words of a document, of a bounded length",
    "farends.tabular.opening": "the first bytes of a file, and the path of one",
    "syncjobs.configuration.destinations": "words of a document, beside a few that are known",
    "syncjobs.core.schema_drift": "names of types that PostgreSQL gives",
    "syncjobs.order.structures": "words of a document, of a bounded length",
    "farends.rows.names": "names that are encoded, cut and decoded once",
    "farends.rest.api": "queries, split at &",
    "farends.rest.log_in": "JSON of at most 1 MiB, by msgspec",
    "farends.rest.options": "a URL that a person wrote, by farends.web.url",
    "farends.rest.pages": "read through farends.rows.json_text",
    "farends.rest.proposing": "names, beside a few that are known",
    "farends.rest.resource": "words of a document, which the form has checked",
    "farends.rest.source": "read through farends.rows.json_text",
    "farends.client.examination": "header fields that farends.web.response has read, split at commas",
    "store.sentinel": "a file of ours",
    "farends.conversation": "URLs that farends.web.url has read, one escape at a time",
    "embedded.parent": "what the kernel says",
    "syncjobs.configuration.findings": "words of a document, beside a few that are known",
    "syncjobs.configuration.job_entries": "names of a document, beside those of a workspace",
    "syncjobs.configuration.connectors": "words of a document, beside a few that are known",
    "syncjobs.configuration.yaml_out": "names that were checked",
    "syncjobs.order.option": "words of a document, beside a few that are known",
    "syncjobs.order.writing": "words of a document, beside a few that are known",
    "syncjobs.queries.parents": "names that were checked",
    "connectors.opening": "the options that are stored, as JSON",
    "connectors.secrets": "what is sealed is our own JSON",
    "farends.ftp.transport": "what the parsers told",
    "farends.ftp.client": "what the parsers told",
    "farends.ftp.folder": "lines, each for ftp_rows or ftp_list_rows",
    "farends.ftp.list_times": "words that ftp_list_rows has measured",
    "farends.ftp.remove": "paths of ours",
    "farends.ftp.tree": "paths that were checked",
    "farends.http.fetch": "what the parsers told",
    "farends.http.places": "what index_pages and the client told",
    "farends.http.tree": "paths that were checked",
    "farends.http.waiting_rows": "paths that were checked",
    "farends.http.index_html": "read through index_pages",
    "farends.http.index_json": "read through index_pages",
    "farends.http.index_xml": "read through index_pages",
    "farends.http.index_thredds": "read through index_pages",
    "farends.rsync.batch": "paths of ours",
    "farends.rsync.child": "lines, each for rsync_lines",
    "farends.rsync.daemon": "a greeting of 4 KiB at most",
    "farends.rsync.folders": "paths that were checked",
    "farends.rsync.relay": "our own JSON",
    "farends.rsync.over_ssh": "what a log-in prints, line by line",
    "farends.rsync.version": "the program of this machine",
    "farends.sftp.remove": "paths of ours",
    "farends.ssh.tree": "paths of ours",
    "farends.ssh.remove": "paths of ours",
    "farends.ssh.stream": "paths of ours",
}
