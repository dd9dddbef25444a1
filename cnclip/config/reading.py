"""From YAML files and `key=value` words to a frozen, checked value; from a function to its command line."""

from __future__ import annotations

import dataclasses
import inspect
import re
from argparse import SUPPRESS, Action, ArgumentError, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

import yaml
from jsonargparse import ArgumentParser, DefaultHelpFormatter

from cnclip.config.misspelt import refuse_misspelt
from cnclip.errors import RecipeError

Schema = TypeVar("Schema")


class _HelpFormatter(RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Prose as it is written, and every option with its type and default."""


class _VerbFormatter(_HelpFormatter):
    """The same for verbs, in a reader's words: no Python types, and only defaults that say something."""

    def _get_help_string(self, action: Action) -> str:
        default = action.default
        if not action.option_strings or default is None or default == SUPPRESS:
            return action.help or ""
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        return f"{action.help} (default: {shown})".replace("%", "%%")


class _StrictLoader(yaml.SafeLoader):
    """YAML that refuses a key written twice: the first value would vanish without a word."""


def _mapping_without_repeats(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            mark = key_node.start_mark
            raise RecipeError(
                f"the key {key!r} stands twice", where=f"{mark.name}:{mark.line + 1}", fix="remove one"
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping_without_repeats)


def read_recipe(schema: type[Schema], argv: Sequence[str], *, prog: str = "cnclip train") -> Schema:
    """Merge recipe files from left to right, then `key=value` words, and check the result.

    Args:
        schema: a frozen dataclass of plain values and nested frozen dataclasses.
        argv: paths of YAML files, `section.key=value` words, or `--help`.
        prog: the name shown in usage lines.

    Raises:
        RecipeError: unknown key, wrong type, a key written twice, no such file.
    """
    parser = _recipe_parser(schema, prog)
    if "-h" in argv or "--help" in argv:
        print(re.sub(r"--(?=[a-z])", "", parser.format_help()))
        raise SystemExit(0)
    words = [word.removeprefix("--") for word in argv]
    values: dict[str, Any] = {}
    for word in words:
        _merge(values, _override(word) if _is_override(word) else read_yaml(Path(word)))
    _check_keys(values, schema, "")
    try:
        return schema(**vars(parser.instantiate(parser.parse_object(values))))
    except (ArgumentError, TypeError, ValueError, KeyError) as error:
        raise _readable(error, prog) from None


def recipe_values(recipe: Any) -> dict[str, Any]:
    """The resolved recipe as plain mappings, lists and values."""
    values: dict[str, Any] = _plain(recipe)
    return values


def recipe_text(recipe: Any) -> str:
    """The resolved recipe as YAML that `read_recipe` takes back."""
    return yaml.safe_dump(recipe_values(recipe), allow_unicode=True, sort_keys=False)


def parse_call(function: Callable[..., int], argv: Sequence[str], *, prog: str) -> dict[str, Any]:
    """Arguments for `function` from a command line described by its signature and docstring.

    Parameters without a default are positional words, the others `--options`, with dashes for underscores.

    Raises:
        RecipeError: unknown option, wrong type, missing word.
    """
    parser = ArgumentParser(
        prog=prog,
        allow_abbrev=False,
        exit_on_error=False,
        default_env=False,
        description=_prose(function),
        formatter_class=_VerbFormatter,
    )
    parser.add_function_arguments(function, as_positional=True)
    _in_a_readers_words(parser, function)
    if "-h" in argv or "--help" in argv:
        print(re.sub(r"--[a-z_]+", lambda option: option[0].replace("_", "-"), parser.format_help()))
        raise SystemExit(0)
    words = _with_values(function, [_with_underscores(word) for word in argv])
    refuse_misspelt(function, words, prog)
    try:
        parsed = parser.parse_args(words)
    except (ArgumentError, TypeError, ValueError) as error:
        raise _readable(error, prog) from None
    return {name: parsed[name] for name in inspect.signature(function).parameters}


def _recipe_parser(schema: type[Any], prog: str) -> ArgumentParser:
    parser = ArgumentParser(
        prog=prog,
        usage=f"{prog} RECIPE.yaml [RECIPE.yaml …] [section.key=value …]",
        description=inspect.cleandoc(schema.__doc__ or "").split("\n\nAttributes:")[0],
        allow_abbrev=False,
        exit_on_error=False,
        default_env=False,
        formatter_class=_HelpFormatter,
    )
    parser.add_class_arguments(schema)
    return parser


def _in_a_readers_words(parser: ArgumentParser, function: Callable[..., int]) -> None:
    """`store [store …]` in place of a list's notation, and no heading that repeats the description."""
    lists = {name for name, kind in get_type_hints(function).items() if get_origin(kind) is list}
    for group in parser._action_groups:
        if group.title not in ("options", "positional arguments"):
            group.title = "arguments"
        for action in group._group_actions:
            if action.dest in lists and not action.option_strings:
                action.metavar = f"{action.dest.removesuffix('s')} …"


def _with_underscores(word: str) -> str:
    """`--on-bad=skip` -> `--on_bad=skip`; any other word as it is."""
    name, equals, value = word.partition("=")
    return name.replace("-", "_").replace("__", "--", 1) + equals + value if word.startswith("--") else word


def _with_values(function: Callable[..., int], words: list[str]) -> list[str]:
    """`--strip` -> `--strip=true` for options that are true or false, where no value follows."""
    hints = get_type_hints(function)
    flags = {f"--{name}" for name, kind in hints.items() if kind is bool}
    return [
        f"{word}=true" if word in flags and words[place : place + 1] not in (["true"], ["false"]) else word
        for place, word in enumerate(words, start=1)
    ]


def _prose(function: Callable[..., int]) -> str:
    """A docstring's explanation and examples, without the sections that become argument help."""
    kept, skipping = [], False
    for line in inspect.cleandoc(function.__doc__ or "").splitlines():
        if line.strip() in {"Args:", "Returns:", "Raises:"}:
            skipping = True
        elif line and not line.startswith(" "):
            skipping = False
        if not skipping:
            kept.append(line)
    return "\n".join(kept).strip()


def _is_override(word: str) -> bool:
    key = word.partition("=")[0]
    return "=" in word and all(part.isidentifier() for part in key.split("."))


def _override(word: str) -> dict[str, Any]:
    key, _, text = word.partition("=")
    try:
        value = yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError:
        value = text
    for part in reversed(key.split(".")):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        RecipeError: no such file, not YAML, not a mapping, a key written twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RecipeError(f"no such recipe: {path}", fix="write FILE.yaml or key=value") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe: {error}", where=str(path)) from None
    try:
        loader = _StrictLoader(text)
        loader.name = str(path)
        value = loader.get_single_data()
    except yaml.YAMLError as error:
        raise RecipeError(f"not YAML: {error}", where=str(path)) from None
    if not isinstance(value, dict):
        raise RecipeError("a recipe is a mapping of keys to values", where=str(path))
    return value


def _merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _check_keys(values: Mapping[str, Any], schema: type[Any], prefix: str) -> None:
    """Name unknown keys and emptied sections before the library's own, harder to read, messages."""
    hints = get_type_hints(schema)
    names = {field.name for field in dataclasses.fields(schema)}
    for key, value in values.items():
        if key not in names:
            where = f"{prefix}{key}"
            raise RecipeError(f"unknown key {where!r}", fix=f"one of: {', '.join(sorted(names))}")
        section = hints[key]
        if dataclasses.is_dataclass(section) and isinstance(section, type):
            if not isinstance(value, dict):
                raise RecipeError(
                    f"{prefix}{key} is a section, not {value!r}", fix=f"leave {key} out, or fill its keys"
                )
            _check_keys(value, section, f"{prefix}{key}.")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _readable(error: Exception, prog: str) -> RecipeError:
    text = " ".join(str(error).replace('Parser key "recipe":', "").split())
    return RecipeError(text, fix=f"{prog} --help shows every key")


__all__ = ["parse_call", "read_recipe", "read_yaml", "recipe_text", "recipe_values"]
