"""What the library never does, by its syntax trees: each of these once lost data or ran foreign code."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import cnclip
from cnclip import errors

ROOT = Path(cnclip.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
CALLS = {  # dotted end of a name -> why
    "pickle.load": "runs what the file says",
    "pickle.loads": "runs what the bytes say",
    "pickle.Unpickler": "runs what the file says",
    "marshal.loads": "crashes on foreign bytes",
    "shelve.open": "is pickle",
    "joblib.load": "is pickle",
    "yaml.load": "makes objects; safe_load does not",
    "yaml.unsafe_load": "makes objects",
    "os.system": "goes through a shell",
    "os.popen": "goes through a shell",
    "tempfile.mktemp": "another process may take the name",
    "tarfile.open": "members are read by stores.raw.tar_members",
    "importlib.import_module": "registries are dicts of functions; only a name in quotes is imported",
}
NAMES = {"eval", "exec", "compile", "__import__"}
METHODS = {
    "extractall": "writes where an archive says",
    "extract": "writes where an archive says",
}
ALLOWED = {  # (file, what): why it is right there
    ("stores/derived/formats/webdataset.py", "tarfile.open"): "it writes",
    ("config/reading.py", "yaml.load"): "its loader is a stricter SafeLoader",
    ("hub/huggingface.py", "reference.read_text without an encoding"): "forty hexadecimal digits",
    ("hub/huggingface.py", "fresh.write_text without an encoding"): "forty hexadecimal digits",
    ("hub/transfer.py", "validator.read_text without an encoding"): "an ETag is ASCII",
    ("hub/transfer.py", "validator.write_text without an encoding"): "an ETag is ASCII",
}


def name_of(node: ast.expr) -> str:
    """`a.b.c` of a chain of attributes, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = name_of(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Local name -> full name, so that `from pickle import loads as x` hides nothing."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update({(a.asname or a.name): a.name for a in node.names if a.asname or "." not in a.name})
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.update({(a.asname or a.name): f"{node.module}.{a.name}" for a in node.names})
    return found


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((word.value for word in call.keywords if word.arg == name), None)


def is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def wrong_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    imported = imported_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield node.lineno, "bare except"
        if not isinstance(node, ast.Call):
            continue
        name = name_of(node.func)
        head, _, rest = name.partition(".")
        name = f"{imported.get(head, head)}.{rest}" if rest else imported.get(head, head)
        literal = bool(node.args) and isinstance(node.args[0], ast.Constant)
        if (name in CALLS or name in NAMES) and not (name == "importlib.import_module" and literal):
            yield node.lineno, name
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            yield node.lineno, f".{node.func.attr}()"
        if name == "torch.load" and not is_true(keyword(node, "weights_only")):
            yield node.lineno, "torch.load without weights_only=True"
        if name in ("numpy.load", "np.load") and is_true(keyword(node, "allow_pickle")):
            yield node.lineno, "numpy.load with pickles"
        shell = keyword(node, "shell")
        if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
            yield node.lineno, "a shell"
        reads_text = name == "open" or name.endswith((".read_text", ".write_text"))
        mode = node.args[1] if name == "open" and len(node.args) > 1 else keyword(node, "mode")
        binary = mode is not None and not (isinstance(mode, ast.Constant) and "b" not in str(mode.value))
        if reads_text and not binary and keyword(node, "encoding") is None and len(node.args) < 4:
            positional = name.endswith(".read_text") and node.args
            if not positional:
                yield node.lineno, f"{name} without an encoding"


def pillow_verify_calls(tree: ast.Module) -> Iterator[int]:
    """`verify()` without arguments on something that Pillow opened."""
    opened = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        and name_of(node.value.func) == "Image.open"
        for target in node.targets
        if isinstance(target, ast.Name)
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "verify":
            inner = node.func.value
            on_call = isinstance(inner, ast.Call) and name_of(inner.func) == "Image.open"
            if on_call or (isinstance(inner, ast.Name) and inner.id in opened):
                yield node.lineno


@pytest.mark.parametrize("file", FILES, ids=[file.relative_to(ROOT).as_posix() for file in FILES])
def test_the_library_calls_nothing_that_is_forbidden(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    name = file.relative_to(ROOT).as_posix()
    wrong = [f"{name}:{line} {what}" for line, what in wrong_calls(tree) if (name, what) not in ALLOWED]
    wrong += [f"{name}:{line} Pillow's verify()" for line in pillow_verify_calls(tree)]
    text = file.read_text(encoding="utf-8")
    wrong += [f"{name} sets LOAD_TRUNCATED_IMAGES"] if "LOAD_TRUNCATED_IMAGES =" in text else []
    wrong += [f"{name} ignores bad characters"] if 'errors="ignore"' in text else []
    assert wrong == []


def is_error(node: ast.expr) -> bool:
    kind = getattr(errors, name_of(node).rpartition(".")[2], None)
    return inspect.isclass(kind) and issubclass(kind, errors.CnclipError)


def test_every_error_about_data_says_what_to_do_or_where_it_was() -> None:
    bare = []
    for file in (ROOT / "stores").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and is_error(node.func)):
                continue
            given = {word.arg for word in node.keywords}
            passes_on = None in given or not node.args
            if not passes_on and not given & {"fix", "where"}:
                bare.append(f"{file.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)[:90]}")
    assert bare == []


def test_every_error_has_a_code_and_an_exit_code_of_its_own_family() -> None:
    kinds = [
        kind for kind in vars(errors).values() if inspect.isclass(kind) and is_error(ast.Name(kind.__name__))
    ]
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert {kind.exit_code for kind in kinds} <= {1, 2, 3, 4, 5, 7, 8, 75}
