"""Values that copies of MySQL and MariaDB lose: each stands in a table of its own, as `v`, beside a NULL."""

from __future__ import annotations

EMOJI = "👩‍👩‍👧 é"
# name: type, value, the type that holds it, and the text of the value there
VALUES: dict[str, tuple[str, str, str, str | None]] = {
    "zero_date": ("DATE", "'0000-00-00'", "date", None),
    "zero_dt": ("DATETIME", "'0000-00-00 00:00:00'", "timestamp without time zone", None),
    "tiny1_2": ("TINYINT(1)", "2", "smallint", "2"),
    "tiny1_m": ("TINYINT(1)", "-1", "smallint", "-1"),
    "ubig": ("BIGINT UNSIGNED", "18446744073709551615", "numeric(20,0)", "18446744073709551615"),
    "uint": ("INT UNSIGNED", "4294967295", "bigint", "4294967295"),
    "usmall": ("SMALLINT UNSIGNED", "65535", "integer", "65535"),
    "zerofill": ("INT(8) UNSIGNED ZEROFILL", "42", "bigint", "42"),
    "bit1": ("BIT(1)", "b'1'", "boolean", "true"),
    "bit1_off": ("BIT(1)", "b'0'", "boolean", "false"),
    "bit8": ("BIT(8)", "b'10000001'", "bit(8)", "10000001"),
    "bit64": ("BIT(64)", "18446744073709551615", "bit(64)", "1" * 64),
    "enum_e": ("ENUM('a','b c')", "'b c'", "text", "b c"),
    "set_s": ("SET('x','y','z')", "'x,z'", "text", "x,z"),
    "json_j": (
        "JSON",
        '\'{"b": 1, "a": 12345678901234567890.5}\'',
        "jsonb",
        '{"a": 12345678901234567890.5, "b": 1}',
    ),
    "year_y": ("YEAR", "2026", "smallint", "2026"),
    "time_big": ("TIME", "'838:59:59'", "interval", "838:59:59"),
    "time_neg": ("TIME(6)", "'-12:30:15.5'", "interval", "-12:30:15.5"),
    "dt6": (
        "DATETIME(6)",
        "'2026-03-29 02:30:00.123456'",
        "timestamp without time zone",
        "2026-03-29 02:30:00.123456",
    ),
    "ts_tz": (
        "TIMESTAMP(6)",
        "'2026-06-01 12:00:00.5'",
        "timestamp with time zone",
        "2026-06-01 12:00:00.5+00",
    ),
    "dec65": (
        "DECIMAL(65,30)",
        "12345678901234567890123456789012345.123456789012345678901234567891",
        "numeric(65,30)",
        "12345678901234567890123456789012345.123456789012345678901234567891",
    ),
    "flt": ("FLOAT", "3.14", "real", "3.14"),
    "flt_exact": ("FLOAT", "16777215", "real", "1.6777215e+07"),
    "dbl": ("DOUBLE", "0.1", "double precision", "0.1"),
    "dbl_exact": ("DOUBLE", "0.1e0 + 0.2e0", "double precision", "0.30000000000000004"),
    "bin16": (
        "BINARY(16)",
        "UNHEX('00112233445566778899AABBCCDDEEFF')",
        "bytea",
        "\\x00112233445566778899aabbccddeeff",
    ),
    "blob_b": ("BLOB", "UNHEX('00FF41')", "bytea", "\\x00ff41"),
    "blob_none": ("BLOB", "''", "bytea", "\\x"),
    "emoji": ("VARCHAR(50)", f"'{EMOJI}'", "text", EMOJI),
    "latin": ("VARCHAR(50) CHARACTER SET latin1", "'Größe'", "text", "Größe"),
    "empty": ("VARCHAR(50)", "''", "text", ""),
    "nullword": ("VARCHAR(50)", "'NULL'", "text", "NULL"),
    "backslash_n": ("VARCHAR(50)", r"'\\N'", "text", "\\N"),
    "backslash_z": ("VARCHAR(50)", r"'\\Z'", "text", "\\Z"),
    "ctl": ("TEXT", r"""'tab\tnl\nbs\\ q\" end\r'""", "text", 'tab\tnl\nbs\\ q" end\r'),
    "geom": ("POINT", "ST_GeomFromText('POINT(1 2)')", "text", "POINT(1 2)"),
}
