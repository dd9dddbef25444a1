"""Template sets by name and by file."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnclip.errors import SourceError, UnknownNameError
from cnclip.evaluation.templates import SHIPPED, load_templates, template_names


def test_the_bare_name_is_a_set() -> None:
    assert load_templates("bare") == ["{}"]


def test_shipped_sets_are_found_by_name_and_hold_one_place_each() -> None:
    names = template_names()
    assert {"general", "short", "satellite", "food", "plants", "texture", "faces", "e_commerce"} <= set(names)
    assert 60 <= len(load_templates("general")) <= 80
    for name in names:
        for sentence in load_templates(name):
            assert sentence.count("{}") == 1, (name, sentence)


def test_shipped_sets_are_utf8_files_that_end_with_a_line_end() -> None:
    for path in SHIPPED.glob("*.txt"):
        content = path.read_bytes()
        assert content.endswith(b"\n") and not content.endswith(b"\n\n") and b"\r" not in content, path.name


def test_a_file_of_ones_own_is_read_with_its_repetitions(tmp_path: Path) -> None:
    path = tmp_path / "官方模板"
    path.write_text("{}的照片\n{}的照片\n{}\n", encoding="utf-8")
    assert load_templates(str(path)) == ["{}的照片", "{}的照片", "{}"]


def test_an_unknown_set_is_an_error_that_lists_them(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="genral") as caught:
        load_templates("genral")
    assert "did you mean general" in str(caught.value) and "satellite" in str(caught.value)
    with pytest.raises(SourceError, match="no such file"):
        load_templates(str(tmp_path / "no.txt"))
