"""What is run on a host with a shell. Every script is fixed text; what varies is an argument or data.

The log-in shell that sees a command first may be any (bash, csh, fish), so a script holds no quote, no
`!` and no line end, and an argument has every byte that is not plain as `\\0ooo`, which the script
itself decodes.
"""

from __future__ import annotations

from dataclasses import dataclass

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-")

# $1 is the marker: what the start-up files of the shell print comes before it, on both streams.
_BEGIN = (
    "LC_ALL=C; export LC_ALL; unset TAR_OPTIONS CDPATH POSIXLY_CORRECT;"
    ' printf "%s" "$1"; printf "%s" "$1" >&2;'
)
# $2 is a folder; the dot keeps a line end at its end.
_ENTER = (
    'r=$(printf "%b." "$2"); r=${r%.};'
    ' if [ ! -d "$r/" ]; then'
    ' if [ -e "$r" ]; then printf "not-a-folder"; else printf "missing"; fi; exit 0; fi;'
    ' cd "$r/" 2>/dev/null || { printf "refused"; exit 0; }; printf "entered";'
)
# Kind, size, time and path, ended by NUL.
_RECORD = r'-printf "%y %s %T@ %P\0"'

# $2 is the folder to learn the precision of times from.
PROBE = (
    _BEGIN + ' find / -maxdepth 0 -printf "%y"; echo; r=$(printf "%b." "$2");'
    ' find "${r%.}/" -maxdepth 0 -printf "%T@" 2>/dev/null; echo;'
    " for c in head tail tar xargs; do"
    ' command -v "$c" >/dev/null 2>&1 || printf "%s " "$c"; done; echo;'
    " date +%s.%N; tar --version"
)
LIST = _BEGIN + _ENTER + f' find . {_RECORD}; printf "end %s" $?'
# Names come on standard input, each ended by NUL; nothing in them is an option or a pattern.
PACK = (
    _BEGIN
    + _ENTER
    + " exec tar --create --file=- --blocking-factor=64 --format=gnu --hard-dereference --no-recursion"
    " --quoting-style=escape --null --no-unquote --verbatim-files-from --no-wildcards"
    " --files-from=-"
)
# A line holds how many bytes of names follow; each answer ends with the record `end`. The shell
# starts once, however often it is asked. $3 is DESCRIBE_SOME.
DESCRIBE = (
    _BEGIN + _ENTER + ' f=$(printf "%b" "$3"); while IFS= read -r n; do'
    ' head -c "$n" | xargs -0 -r sh -c "$f" sh; printf "end 0 0 "; head -c 1 /dev/zero; done'
)
DESCRIBE_SOME = rb'find "$@" -maxdepth 0 -printf "%y %s %T@ %p\0"'
# Like DESCRIBE, with one thing to do in each line's names: a verb and its paths.
CLEAR = (
    _BEGIN + _ENTER + ' f=$(printf "%b" "$3"); while IFS= read -r n; do'
    ' head -c "$n" | xargs -0 -r sh -c "$f" sh; done'
)
# The answer is `end STATUS what was said`. `mv -n` keeps quiet where it did not move.
CLEAR_ONE = rb"""
case "$1" in
remove) m=$(rm -- "$2" 2>&1); s=$? ;;
move)
  if [ -e "$3" ] || [ -h "$3" ]; then s=there
  else
    m=$(mkdir -p -- "$4" 2>&1 && mv -n -- "$2" "$3" 2>&1); s=$?
    if [ "$s" = 0 ] && { [ -e "$2" ] || [ -h "$2" ]; }; then s=there; fi
  fi ;;
esac
printf "end %s %s" "$s" "$m"; head -c 1 /dev/zero
"""
# Asked like DESCRIBE. Its first line is the program that computes, empty where there is none. $3 is
# REGULAR: what has become a link or a FIFO is not opened. Names hold no sign that a program escapes.
DIGEST = (
    _BEGIN + _ENTER + ' f=$(printf "%b" "$3"); t=;'
    ' if command -v sha256sum >/dev/null 2>&1; then t="sha256sum";'
    ' elif command -v shasum >/dev/null 2>&1; then t="shasum -a 256";'
    ' elif command -v sha256 >/dev/null 2>&1; then t="sha256 -r";'
    ' elif command -v openssl >/dev/null 2>&1; then t="openssl dgst -sha256 -r"; fi;'
    ' printf "%s\\n" "$t"; [ "$t" ] || exit 0; while IFS= read -r n; do'
    ' head -c "$n" | xargs -0 sh -c "$f" sh | xargs -0 $t; echo end; done'
)
REGULAR = rb'find "$@" -maxdepth 0 -type f -print0'
# $3 is a path below the folder, $4 the number of the first byte, counted from 1.
READ = (
    _BEGIN + _ENTER + ' p=$(printf "%b." "$3"); p=./${p%.};'
    r' find "$p" -maxdepth 0 -printf "%y %s %T@ \0";'
    ' [ -f "$p" ] && [ ! -h "$p" ] && exec tail -c "+$4" "$p"'
)


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    arguments: tuple[bytes, ...] = ()

    def command(self, marker: str) -> bytes:
        words = [marker, *(_plain(argument) for argument in self.arguments)]
        quoted = " ".join(f"'{word}'" for word in words)
        return f"exec sh -c '{self.text}' sh {quoted}".encode("ascii")


def _plain(argument: bytes) -> str:
    """Reversed by `printf %b`."""
    return "".join(chr(b) if b in _PLAIN else f"\\0{b:03o}" for b in argument)


def folder_argument(root: bytes) -> bytes:
    """A folder that no command takes for an option; a relative one is below the log-in folder."""
    return root if root.startswith(b"/") else b"./" + root
