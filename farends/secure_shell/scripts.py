"""What is run on a host with a shell. Every script is fixed text; what varies is an argument or data.

One shell serves one script after another, so that a log-in shell's start-up files, which may take longer
than all that we ask for, are paid for once.
"""

from __future__ import annotations

from dataclasses import dataclass

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-")

# The log-in shell that sees this first may be any (bash, csh, fish), so it holds no quote, no `!` and no
# line end. $1 and $2 make up the marker: what start-up files print comes before it, on both streams.
# The first line that is read is a secret; a later one is run only where it begins with it, so that data
# which a script left unread is never run.
_SERVE = (
    "LC_ALL=C; export LC_ALL; unset TAR_OPTIONS CDPATH POSIXLY_CORRECT TMOUT; m=$1$2;"
    ' printf "%s" "$m"; printf "%s" "$m" >&2; IFS= read -r k || exit;'
    " while IFS= read -r s; do"
    ' case $s in "$k"*) eval "${s#"$k"}";; *) exit;; esac; done'
)
# $1 is a folder; the dot keeps a line end at its end.
_ENTER = (
    'r=$(printf "%b." "$1"); r=${r%.};'
    ' if [ ! -d "$r/" ]; then'
    ' if [ -e "$r" ]; then printf "not-a-folder"; else printf "missing"; fi; exit 1; fi;'
    ' cd "$r/" 2>/dev/null || { printf "refused"; exit 1; }; printf "entered";'
)
# Kind, size, time, path, ended by NUL. The record that ends an answer looks like none of find's.
_RECORD = '-printf "%y %s %T@ {}\\0"'
END = b"end"
FAILED = b"failed"
_END = 'printf "end\\0"'

# $1 is the folder to learn the precision of times from. A `head` that reads more than it is asked for
# would take the names that are meant for others.
PROBE = (
    'find / -maxdepth 0 -printf "%y"; echo; r=$(printf "%b." "$1");'
    ' find "${r%.}/" -maxdepth 0 -printf "%T@" 2>/dev/null; echo;'
    " for c in head tail tar xargs; do"
    ' command -v "$c" >/dev/null 2>&1 || printf "%s " "$c"; done; echo;'
    " printf abc | { head -c 1 >/dev/null; head -c 2; }; echo; date +%s.%N; tar --version;"
    ' printf "\\0"'
)
# A `find` that was killed has not told all; one that has failed tells of what.
LIST = (
    f"{_ENTER} find . {_RECORD.format('%P')}; s=$?; [ $s -le 1 ] || exit 1;"
    f' [ $s = 0 ] || printf "failed\\0"; {_END}'
)
# Names come on standard input, each ended by NUL, $2 bytes of them; nothing in them is an option or a
# pattern. LOOK tells what the files are like.
_LOOK = (
    f' head -c "$2" | xargs -0 -r sh -c \'find "$@" -maxdepth 0 {_RECORD.format("%p")}\' sh; {_END}'
)
LOOK = _ENTER + _LOOK
# The files as a tar archive, and then a look at $3 bytes of names. A tar that was killed leaves half an
# archive: there is no going on after it.
PACK = (
    f'{_ENTER} head -c "$2" |'
    " tar --create --file=- --blocking-factor=64 --format=gnu --hard-dereference --no-recursion"
    " --quoting-style=escape --null --no-unquote --verbatim-files-from --no-wildcards"
    f" --files-from=-; [ $? -le 2 ] || exit 1; shift;{_LOOK}"
)
# One thing to do: $2 bytes of a verb and its paths follow, each ended by NUL. $3 is CLEAR_ONE.
CLEAR = f'{_ENTER} f=$(printf "%b" "$3"); head -c "$2" | xargs -0 -r sh -c "$f" sh'
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
# The first line of the answer is the program that computes digests, empty where there is none.
_CHOOSE = (
    " t=;"
    ' if command -v sha256sum >/dev/null 2>&1; then t="sha256sum";'
    ' elif command -v shasum >/dev/null 2>&1; then t="shasum -a 256";'
    ' elif command -v sha256 >/dev/null 2>&1; then t="sha256 -r";'
    ' elif command -v openssl >/dev/null 2>&1; then t="openssl dgst -sha256 -r"; fi;'
    ' printf "%s\\n" "$t";'
)
# $2 bytes of names follow. What has become a link or a FIFO is not opened. Names hold no sign that a
# program escapes.
DIGEST = (
    f"{_ENTER}{_CHOOSE}"
    ' if [ "$t" ]; then'
    ' head -c "$2" | xargs -0 sh -c \'find "$@" -maxdepth 0 -type f -print0\' sh | xargs -0 $t;'
    ' else head -c "$2" >/dev/null; fi; echo end'
)
# $2 is a path below the folder, and $3 how many of its first bytes the digest is of.
PREFIX = (
    f'{_ENTER}{_CHOOSE} p=$(printf "%b." "$2"); p=./${{p%.}};'
    ' if [ "$t" ] && [ -f "$p" ] && [ ! -h "$p" ]; then head -c "$3" "$p" | $t; fi; echo end'
)
# $2 is a path below the folder, $3 the number of the first byte, counted from 1.
READ = (
    f'{_ENTER} p=$(printf "%b." "$2"); p=./${{p%.}};'
    f' find "$p" -maxdepth 0 {_RECORD.format("")};'
    ' [ -f "$p" ] && [ ! -h "$p" ] && exec tail -c "+$3" "$p"'
)


@dataclass(frozen=True, slots=True)
class Script:
    """With `lasts` the shell ends with the script; else it tells the end on standard error, and goes on
    to the next. An answer that ends must tell its end by itself."""

    text: str
    arguments: tuple[bytes, ...] = ()
    lasts: bool = False

    def line(self, secret: str) -> bytes:
        arguments = " ".join(f"'{_plain(argument)}'" for argument in self.arguments)
        body = f"set -- {arguments}; {self.text}"
        if self.lasts:
            return f"{secret}{body}; exit\n".encode("ascii")
        return f'{secret}({body}) || exit; printf "\\n%s\\n" "$m" >&2\n'.encode("ascii")


def serve_command(first: str, second: str) -> bytes:
    """Starts a shell whose marker is both halves together: a host that only echoes never says it."""
    return f"exec sh -c '{_SERVE}' sh {first} {second}".encode("ascii")


def _plain(argument: bytes) -> str:
    """Escapes what `printf %b` reverses."""
    return "".join(chr(b) if b in _PLAIN else f"\\0{b:03o}" for b in argument)


def folder_argument(root: bytes) -> bytes:
    """A folder that no command takes for an option; a relative one is below the log-in folder."""
    return root if root.startswith(b"/") else b"./" + root
