"""The verbs of `cnclip VERB …`: each is one typed function; here are their names, errors and exit codes.

Exit codes: 0 done · 1 training met a value that is not finite · 2 wrong usage · 3 bad input · 4 damaged
store or checkpoint · 5 disk, memory, permission ·
7 another process failed · 8 refused for safety · 75 interrupted, the same command goes on.
"""

from __future__ import annotations

import difflib
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from cnclip import __version__
from cnclip.commands.verbs import VERBS, Verb
from cnclip.errors import CnclipError, ResourceError, UnknownNameError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; errors are printed, not raised, unless `--debug` is given."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        if words == ["--version"]:
            print(f"cnclip {__version__}")
            return 0
        name, verb, rest = _find(words)
        if verb is None:
            print(_usage(name))
            return 0
        return verb(rest)
    except CnclipError as error:
        if debug:
            traceback.print_exc()
        print(f"{_rank_prefix()}error[{error.code}]: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # `cnclip … | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, RuntimeError) as error:
        refusal = _refusal_of_a_path(error)
        if debug or refusal is None:
            raise
        print(f"{_rank_prefix()}error[{refusal.code}]: {refusal}", file=sys.stderr)
        return refusal.exit_code
    except KeyboardInterrupt:
        if debug:
            raise
        print("interrupted; the same command goes on where it can", file=sys.stderr)
        return 75


def run(argv: Sequence[str] | None = None) -> NoReturn:
    """Entry point of the installed program."""
    code = main(argv)
    if os.environ.get("WORLD_SIZE", "1") != "1":
        # Everything is written and closed. What is left is the teardown of gloo's threads, which was seen to
        # abort the process now and then: the launcher would call a finished run a failure.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


def _find(words: list[str]) -> tuple[str, Verb | None, list[str]]:
    if not words or words[0] in {"-h", "--help", "help"}:
        return "", None, []
    for length in (2, 1):
        name = " ".join(words[:length])
        if len(words) >= length and name in VERBS:
            return name, VERBS[name][1], words[length:]
    group = [name for name in VERBS if name.startswith(words[0] + " ")]
    if group and (len(words) == 1 or words[1] in {"-h", "--help"}):
        return words[0], None, []
    wanted = " ".join(words[:2])
    near = difflib.get_close_matches(wanted, group or VERBS, n=1) if len(words) > 1 else []
    hint = f"did you mean {near[0]}?" if near else f"one of: {', '.join(group or VERBS)}"
    raise UnknownNameError(f"no verb {wanted if group else words[0]!r}", fix=hint)


def _usage(group: str) -> str:
    lines = [f"cnclip {__version__}: train, fine-tune, measure and use Chinese CLIP models", "", "usage:"]
    for name, (purpose, _) in VERBS.items():
        if name.startswith(group):
            lines.append(f"  cnclip {name:<16} {purpose}")
    lines += ["", "cnclip VERB --help explains a verb; --debug shows the traceback of an error"]
    return "\n".join(lines)


def _refusal_of_a_path(error: OSError | RuntimeError) -> ResourceError | None:
    """What the system says of a path that it cannot look at (a name too long, links in a circle)."""
    if isinstance(error, OSError) and error.filename is not None and error.errno is not None:
        return ResourceError(os.strerror(error.errno), where=str(error.filename), fix="choose another path")
    if "Symlink loop" in str(error):
        what = os.strerror(errno.ELOOP)
        return ResourceError(what, where=str(error).partition("'")[2].strip("'"), fix="choose another path")
    return None


def _rank_prefix() -> str:
    rank = os.environ.get("RANK", "0")
    return "" if os.environ.get("WORLD_SIZE", "1") == "1" else f"[process {rank}] "
