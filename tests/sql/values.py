"""Values that copies lose: each stands in a table of its own, as `v`, beside a NULL."""

from __future__ import annotations

TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'so so', 'happy');
CREATE DOMAIN posint AS integer CHECK (VALUE > 0);
CREATE TYPE comp AS (a int, b text);
CREATE DOMAIN shallow AS numeric(10,2);
CREATE DOMAIN deep AS shallow
"""
# name: type, value, and the type that holds it
VALUES: dict[str, tuple[str, str, str]] = {
    "num_nan": ("numeric", "'NaN'", "numeric"),
    "num_big": (
        "numeric",
        "12345678901234567890123456789012345678901234567890.123456789012345678901234567890",
        "numeric",
    ),
    "num_4020": ("numeric(40,20)", "12345678901234567890.12345678901234567890", "numeric(40,20)"),
    "num_scale": ("numeric", "1.50", "numeric"),
    "f8_nan": ("double precision", "'NaN'", "double precision"),
    "f8_inf": ("double precision", "'-Infinity'", "double precision"),
    "f8_prec": ("double precision", "0.1::float8+0.2::float8", "double precision"),
    "f4": ("real", "3.4028235e38", "real"),
    "big_min": ("bigint", "'-9223372036854775808'", "bigint"),
    "tstz_us": ("timestamptz", "'2026-03-29 01:30:00.123456+00'", "timestamp with time zone"),
    "tstz_inf": ("timestamptz", "'infinity'", "timestamp with time zone"),
    "ts_bc": ("timestamp", "'0044-03-15 12:00:00 BC'", "timestamp without time zone"),
    "ts_plain": ("timestamp", "'2026-03-29 02:30:00.5'", "timestamp without time zone"),
    "ts_far": ("timestamp", "'20260-01-01'", "timestamp without time zone"),
    "date_old": ("date", "'0001-01-01'", "date"),
    "timetz": ("timetz", "'12:00:00+05:30'", "time with time zone"),
    "time_24": ("time", "'24:00:00'", "time without time zone"),
    "interval": ("interval", "'1 year 2 mons -3 days 04:05:06.789'", "interval"),
    "int_arr": ("int[]", "'{1,NULL,3}'", "integer[]"),
    "int_arr2": ("int[]", "'{{1,2},{3,4}}'", "integer[]"),
    "text_arr": ("text[]", "ARRAY['a,b','q\"x',NULL,'']", "text[]"),
    "bytea": ("bytea", "'\\x00ff41'", "bytea"),
    "enum": ("mood", "'so so'", "text"),
    "domain": ("posint", "7", "integer"),
    "uuid": ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "uuid"),
    "json_dup": ("json", '\'{"b":1,  "a":2, "a":3}\'', "json"),
    "jsonb_num": (
        "jsonb",
        '\'{"n":12345678901234567890.12345678901234567890, "i":123456789012345678901}\'',
        "jsonb",
    ),
    "jsonb_null": ("jsonb", "'null'", "jsonb"),
    "inet": ("inet", "'10.0.0.1/8'", "inet"),
    "macaddr": ("macaddr", "'08:00:2b:01:02:03'", "macaddr"),
    "bits": ("bit varying(10)", "B'10101'", "bit varying(10)"),
    "point": ("point", "'(1.5,2)'", "point"),
    "range": ("int4range", "'[1,5)'", "int4range"),
    "tsvector": ("tsvector", "'a:1 b:2'", "tsvector"),
    "money": ("money", "'12.34'", "money"),
    "char_pad": ("char(6)", "'ab'", "character(6)"),
    "text_empty": ("text", "''", "text"),
    "text_ctl": ("text", "E'tab\\tnl\\ncr\\rbs\\\\ q\" q'' nul? \\u001f'", "text"),
    "text_emoji": ("text", "'👩‍👩‍👧 مرحبا'", "text"),
    "text_bsn": ("text", "E'\\\\N'", "text"),
    "text_nullword": ("text", "'NULL'", "text"),
    "bool": ("boolean", "true", "boolean"),
    "composite": ("comp", "ROW(1,'x,y')", "text"),
    # Beyond the 43 of the specification.
    "enum_arr": ("mood[]", "ARRAY['so so',NULL]::mood[]", "text"),
    "domain_deep": ("deep", "7.10", "numeric(10,2)"),
    "regclass": ("regclass", "'pg_class'::regclass", "text"),
    "char_free": ("bpchar", "'ab  '", "bpchar"),
    "char_one": ('"char"', "'x'", '"char"'),
    "multirange": ("int4multirange", "'{[1,2),[5,6)}'", "int4multirange"),
    "date_inf": ("date", "'-infinity'", "date"),
}
