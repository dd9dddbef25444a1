"""Word-piece ids: the official goldens, limits, errors and statistics."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.errors import ArtifactError, CnclipError, RecipeError, UnknownNameError
from cnclip.text import wordpiece
from cnclip.text.normalize import normalize_caption
from cnclip.text.wordpiece import (
    CLS_ID,
    SEP_ID,
    UNK_ID,
    VOCAB_SIZE,
    CaptionTypeError,
    TokenStatistics,
    encode_ids,
    token_statistics,
    vocabulary,
)

OFFICIAL_IDS = {  # cn_clip 1.6, by running it
    "杰尼龟": [101, 3345, 2225, 7991, 102],
    "妙蛙种子": [101, 1975, 6032, 4905, 2094, 102],
    "小火龙": [101, 2207, 4125, 7987, 102],
    "皮卡丘": [101, 4649, 1305, 687, 102],
    "Hello WORLD café naïve": [101, 8701, 8572, 8377, 11469, 8857, 102],
    "[CLS] [MASK] [SEP]": [101, 138, 12847, 8118, 140, 138, 9622, 8998, 140, 138, 9463, 140, 102],
    "一二三“引号”": [101, 671, 753, 676, 100, 2471, 1384, 100, 102],
    " 全角\u3000空格\t\n换行": [101, 1059, 6235, 4958, 3419, 2940, 6121, 102],
    "iPhone13pro手机": [101, 8210, 8679, 10538, 2797, 3322, 102],
    "１２３ＡＢＣ": [101, 10351, 9089, 10094, 12641, 10675, 102],
    "emoji😂ok👍": [101, 13152, 8167, 9343, 21126, 9185, 21124, 102],
    "don't-stop": [101, 9524, 112, 162, 118, 11467, 102],
    "龘𠀀": [101, 100, 100, 102],
    "3.14%": [101, 124, 119, 8122, 110, 102],
    "<S><T>": [101, 133, 161, 135, 133, 162, 135, 102],
    "\u200b零宽": [101, 7439, 2160, 102],
    "": [101, 102],
    "한국어": [101, 303, 10928, 9877, 13454, 13479, 11953, 13463, 13472, 102],
    "a\u2028b": [101, 143, 144, 102],
    "İstanbul ß ﬁ": [101, 8310, 10105, 11381, 8178, 191, 100, 102],
    "\ufffdx\x00y": [101, 166, 8179, 102],
}
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)


@pytest.mark.parametrize("text", OFFICIAL_IDS)
def test_ids_equal_the_official_tokenizer(text: str) -> None:
    assert encode_ids(text, clean="cn_clip") == [OFFICIAL_IDS[text]]


def test_long_text_keeps_its_first_pieces_and_the_separator() -> None:
    (ids,) = encode_ids("长" * 100, clean="cn_clip")
    assert (len(ids), ids[0], ids[50], ids[51]) == (52, 101, 7270, 102)


def test_default_cleaning_saves_quotes_and_full_width_letters() -> None:
    assert encode_ids("一二三“引号”") == [[101, 671, 753, 676, 107, 2471, 1384, 107, 102]]
    assert encode_ids("１２３ＡＢＣ") == encode_ids("123ABC")


@pytest.mark.parametrize("special", ["[SEP]", "[CLS]", "[PAD]", "[MASK]", "[UNK]", "[unused1]"])
def test_special_names_in_a_text_are_plain_text(special: str) -> None:
    (ids,) = encode_ids(f"猫{special}狗")
    assert ids.count(CLS_ID) == 1 and ids.count(SEP_ID) == 1
    assert not {0, 1, 100, 103} & set(ids)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("ΟΔΟΣ", "οδος"),
        ("Σ Σ", "σ σ"),
        ("ΑΣ'Α", "ασ'α"),
        ("ΑΣ\x07Α", "ασα"),
    ],
)
def test_lower_case_of_sigma_depends_on_the_word(text: str, ids: str) -> None:
    assert encode_ids(text, clean="cn_clip") == encode_ids(ids, clean="cn_clip")


def test_a_word_of_more_than_200_characters_is_unknown() -> None:
    assert encode_ids("a" * 201, context_length=512) == [[CLS_ID, UNK_ID, SEP_ID]]
    assert UNK_ID not in encode_ids("a" * 200, context_length=512)[0]


@pytest.mark.parametrize(
    "unit",
    [
        "长",
        "a",
        "word ",
        "１",
        "é",
        "한",
        "Σ",
        "Σ.",
        "a,",
        "\u0301",
        "\u200b",
        " ",
        "\ud800",
        "x" * 200 + " ",
        "[SEP]",
    ],
)
@pytest.mark.parametrize("clean", ["cnclip", "cn_clip"])
def test_a_huge_text_gives_the_ids_of_the_whole_text_cut_off(unit: str, clean: str) -> None:
    text = unit * (200_000 // len(unit)) + " 尾"
    whole = wordpiece._encoding(text, clean).ids  # type: ignore[arg-type]
    for context_length in (2, 52, 512):
        expected = [CLS_ID, *whole[: context_length - 2], SEP_ID]
        assert encode_ids(text, context_length, clean) == [expected]  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(ANY_TEXT, st.integers(1, 12_000))
def test_looking_at_a_prefix_changes_no_id(unit: str, repeats: int) -> None:
    text = (unit * repeats)[:20_000]
    for clean in ("cnclip", "cn_clip"):
        whole = wordpiece._encoding(text, clean).ids
        assert encode_ids(text, clean=clean) == [[CLS_ID, *whole[:50], SEP_ID]]


@given(ANY_TEXT)
def test_default_ids_are_the_official_ids_of_the_cleaned_caption(caption: str) -> None:
    assert encode_ids(caption) == encode_ids(normalize_caption(caption), clean="cn_clip")


@given(ANY_TEXT)
def test_ids_are_in_range_with_one_start_and_one_end(caption: str) -> None:
    (ids,) = encode_ids(caption)
    assert ids[0] == CLS_ID and ids[-1] == SEP_ID
    assert all(0 < token_id < VOCAB_SIZE and token_id not in (CLS_ID, SEP_ID) for token_id in ids[1:-1])


@pytest.mark.parametrize(
    ("texts", "where"),
    [
        (["猫", None], "texts[1]"),
        ([3], "texts[0]"),
        (["a", "b", b"c"], "texts[2]"),
        ([["猫"]], "texts[0]"),
        ([float("nan")], "texts[0]"),
    ],
)
def test_what_is_not_a_str_is_named_by_position(texts: list[object], where: str) -> None:
    with pytest.raises(CaptionTypeError) as caught:
        encode_ids(texts)  # type: ignore[arg-type]
    assert caught.value.where == where
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, CnclipError)
    with pytest.raises(CaptionTypeError):
        token_statistics(texts)  # type: ignore[arg-type]


@pytest.mark.parametrize("texts", [None, 5, b"abc", {"a": 1}])
def test_what_is_no_list_of_texts_is_refused(texts: object) -> None:
    with pytest.raises(CaptionTypeError, match=type(texts).__name__):
        encode_ids(texts)  # type: ignore[arg-type]


@pytest.mark.parametrize("context_length", [-1, 0, 1, 513, 52.0, True, None])
def test_context_length_out_of_range_is_refused(context_length: object) -> None:
    with pytest.raises(RecipeError, match="2 to 512"):
        encode_ids("猫", context_length)  # type: ignore[arg-type]


def test_smallest_and_largest_context_length_work() -> None:
    assert encode_ids("猫", 2) == [[101, 102]]
    assert len(encode_ids("长" * 1000, 512)[0]) == 512


def test_unknown_cleaning_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="cnclip, cn_clip"):
        encode_ids("猫", clean="none")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="cnclip, cn_clip"):
        token_statistics(["猫"], clean="none")  # type: ignore[arg-type]


def test_tuples_and_generators_of_texts_are_accepted() -> None:
    assert encode_ids(("猫", "狗")) == encode_ids(text for text in ["猫", "狗"]) == encode_ids(["猫", "狗"])


def test_vocabulary_is_the_official_one() -> None:
    known = vocabulary()
    assert len(known) == VOCAB_SIZE == 21128
    assert [known[name] for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")] == [0, 100, 101, 102, 103]
    assert known[""] == 343 and known["##"] == 13502
    assert sorted(known.values()) == list(range(VOCAB_SIZE))


@pytest.mark.parametrize("damage", ["crlf", "bom", "line", "missing"])
def test_damaged_vocabulary_is_refused(damage: str, tmp_path: Path) -> None:
    package = Path(wordpiece.__file__).parents[1]
    shutil.copytree(package, tmp_path / "cnclip", ignore=shutil.ignore_patterns("__pycache__"))
    copy = tmp_path / "cnclip" / "text" / "vocab.txt"
    data = copy.read_bytes()
    if damage == "missing":
        copy.unlink()
    else:
        spoiled = {
            "crlf": data.replace(b"\n", b"\r\n"),
            "bom": b"\xef\xbb\xbf" + data,
            "line": data.replace("猫\n".encode(), b""),
        }
        copy.write_bytes(spoiled[damage])
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from cnclip.errors import ArtifactError\n"
        "from cnclip.text.wordpiece import encode_ids\n"
        "try:\n    encode_ids('猫')\nexcept ArtifactError as error:\n    print(str(error).encode())\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path).stdout
    assert b"vocab.txt" in shown and b"fix: pip install" in shown
    assert issubclass(ArtifactError, CnclipError)


def test_ids_do_not_depend_on_the_locale() -> None:
    code = (
        "from cnclip.text.wordpiece import encode_ids\n"
        "raise SystemExit(encode_ids('\\u732b') != [[101, 4344, 102]])"
    )
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": str(Path(wordpiece.__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0


def test_threads_share_one_tokenizer() -> None:
    captions = [f"第{number}只猫 cat{number}" for number in range(200)]
    wordpiece._tokenizer.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(encode_ids, captions)) == [[row] for row in encode_ids(captions)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_after_tokenizing_is_silent_and_the_environment_is_untouched() -> None:
    code = (
        "import os\n"
        "before = dict(os.environ)\n"
        "from cnclip.text.wordpiece import encode_ids\n"
        "rows = encode_ids(['\u732b'] * 500)\n"
        "child = os.fork()\n"
        "if child == 0:\n    os._exit(encode_ids(['\u732b'] * 500) != rows)\n"
        "raise SystemExit(os.waitpid(child, 0)[1] != 0 or dict(os.environ) != before)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"}
    environment["PYTHONPATH"] = str(Path(wordpiece.__file__).parents[2])
    ran = subprocess.run([sys.executable, "-c", code], check=False, env=environment, capture_output=True)
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_statistics_count_truncation_and_unknown_pieces() -> None:
    found = token_statistics(["猫", "长" * 100, "龘猫", ""])
    assert found == TokenStatistics(captions=4, truncated=1, tokens=1 + 50 + 2, unknown=1)
    assert found.truncated_share == 0.25 and found.unknown_share == 1 / 53


def test_a_caption_that_just_fits_is_not_truncated() -> None:
    assert token_statistics(["长" * 50]).truncated == 0
    assert token_statistics(["长" * 51]).truncated == 1


def test_statistics_of_parts_add_up_and_empty_ones_have_shares() -> None:
    captions = ["猫", "长" * 100, "龘"]
    assert token_statistics(captions[:1]) + token_statistics(captions[1:]) == token_statistics(captions)
    assert TokenStatistics().merge(TokenStatistics()).truncated_share == 0.0
    assert TokenStatistics().unknown_share == 0.0
