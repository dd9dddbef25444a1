"""From a YAML file to a frozen dataclass; unknown keys and wrong types are named with file:key."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cnclip.config import read_yaml
from cnclip.errors import RecipeError

Schema = TypeVar("Schema")


def read_strictly(schema: type[Schema], path: Path) -> Schema:
    """The value in a YAML file.

    Args:
        schema: a frozen dataclass of str, int, float, Literal, tuple[X, ...], dict[str, X], X | None and such
            dataclasses.
        path: the file.

    Raises:
        RecipeError: no such file, not YAML, an unknown, missing or repeated key, a value of another type.
    """
    value: Schema = _filled(schema, read_yaml(path), f"{path}:", "")
    return value


def _filled(schema: type[Any], value: Any, file: str, key: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong("a mapping of keys to values", value, file, key)
    hints = get_type_hints(schema)
    prefix = f"{key}." if key else ""
    for name in value:
        if name not in hints:
            raise RecipeError(
                f"unknown key {name!r}", where=f"{file}{prefix}{name}", fix=f"one of: {', '.join(hints)}"
            )
    for field in dataclasses.fields(schema):
        no_default = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if field.name not in value and no_default:
            raise RecipeError(
                f"the key {field.name!r} is missing", where=f"{file}{prefix}{field.name}", fix="write it"
            )
    return schema(
        **{name: _value(hints[name], item, file, f"{prefix}{name}") for name, item in value.items()}
    )


def _value(kind: Any, value: Any, file: str, key: str) -> Any:
    """The value as `kind` wants it: a list becomes a tuple, a whole number a float."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        inner = next(part for part in parts if part is not NoneType)
        return None if value is None else _value(inner, value, file, key)
    if origin is Literal:
        if value not in parts:
            raise _wrong(f"one of {', '.join(map(str, parts))}", value, file, key)
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong("a list", value, file, key)
        return tuple(_value(parts[0], item, file, f"{key}[{place}]") for place, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise _wrong("a mapping of names", value, file, key)
        return {name: _value(parts[1], item, file, f"{key}.{name}") for name, item in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _filled(kind, value, file, key)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise _wrong({str: "text", int: "a whole number", float: "a number"}[kind], value, file, key)
    return value


def _wrong(wanted: str, value: Any, file: str, key: str) -> RecipeError:
    return RecipeError(f"must be {wanted}, not {value!r}", where=f"{file}{key}".rstrip(":"))
