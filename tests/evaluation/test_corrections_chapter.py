"""What a report says of a correction: plain, corrected, the difference, and whether it may be reported."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest

from cnclip.errors import RecipeError
from cnclip.evaluation.chapters.blocks import Chapter, Grid, Paragraph, shown
from cnclip.evaluation.corrections import CORRECTIONS, Bank, Correction, CorrectionSettings, corrected_recall
from cnclip.evaluation.corrections_findings import CorrectionFindings, find_correction
from cnclip.evaluation.corrections_words import MEANINGS, NAMES, warning
from cnclip.evaluation.embed import EmbeddingTable
from cnclip.evaluation.insight.corrections_chapter import corrections_chapter
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.per_query import both_directions
from cnclip.evaluation.retrieval import recall_at_k
from cnclip.evaluation.uncertainty import Draws
from cnclip.stores.reader import StoreReader

SETTINGS = CorrectionSettings(temperature=20)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def run(store: StoreReader, count: int = 200, samples: int = 100) -> tuple[Evidence, Bank]:
    """A run where a few pictures are near to every caption, and a bank of the same kind."""
    rng = np.random.default_rng(1)
    meaning = unit(rng.normal(size=(count + 150, 16)))
    common = np.eye(16)[0]
    pull = np.abs(rng.normal(size=len(meaning)))[:, None]
    pictures = unit(meaning + 0.2 * rng.normal(size=meaning.shape) + pull * common)
    captions = unit(meaning + 0.2 * rng.normal(size=meaning.shape) + common)
    images = EmbeddingTable([f"图{n}" for n in range(count)], pictures[:count])
    texts = EmbeddingTable([f"t{n}" for n in range(count)], captions[:count])
    positives = np.repeat(np.arange(count)[:, None], 2, axis=1)
    result = recall_at_k(images.rows, texts.rows, positives)
    queries = both_directions(result, positives, image_ids=images.ids, text_ids=texts.ids)
    evidence = Evidence(store, images, texts, positives, result, queries, Draws(samples=samples))
    return evidence, Bank(pictures[count:], captions[count:])


def measured(evidence: Evidence, bank: Bank) -> dict[Correction, CorrectionFindings]:
    return {name: find_correction(name, evidence, SETTINGS, bank=bank) for name in CORRECTIONS}


def said(chapter: Chapter) -> str:
    """All words of the paragraphs."""
    return "\n".join(block.text.both for block in chapter.blocks if isinstance(block, Paragraph))


def cells(chapter: Chapter) -> list[list[str]]:
    return [[shown(cell) for cell in row] for b in chapter.blocks if isinstance(b, Grid) for row in b.rows]


def test_each_correction_is_measured_beside_the_plain_numbers(store: StoreReader) -> None:
    evidence, bank = run(store)
    found = measured(evidence, bank)
    assert [variant.over for variant in found["csls"].variants] == ["test", "bank"]
    assert [variant.over for variant in found["qb_norm"].variants] == ["bank"]
    for name, one in found.items():
        assert one.plain["t2i"]["r1"] == evidence.result.t2i.recall[1]
        for variant in one.variants:
            settings = CorrectionSettings(temperature=20, over=variant.over)
            result = corrected_recall(
                name,
                evidence.images.rows,
                evidence.texts.rows,
                evidence.positives,
                (1, 5, 10),
                settings,
                bank=bank,
            )
            assert variant.numbers["t2i"]["r5"] == result.t2i.recall[5]
            assert variant.numbers["i2t"]["map"] == result.i2t.mean_average_precision
            compared = variant.comparison("t2i", "r1")
            assert compared is not None
            change = result.t2i.recall[1] - evidence.result.t2i.recall[1]
            assert compared.difference.interval.value == pytest.approx(change)


def test_the_findings_are_json_and_say_what_is_fair(store: StoreReader) -> None:
    evidence, bank = run(store)
    for name, one in measured(evidence, bank).items():
        value = json.loads(json.dumps(one.to_json(), ensure_ascii=False))
        assert value["name"] == name and value["queries"] == {"t2i": 200, "i2t": 200}
        fair = [variant["fair"] for variant in value["variants"]]
        assert fair == ([True] if name == "qb_norm" else [False, True])
        assert value["variants"][-1]["bank"] == {"t2i": 150, "i2t": 150}
        assert value["variants"][0]["warning"] == {
            "zh": warning(name, value["variants"][0]["over"]).zh,
            "en": warning(name, value["variants"][0]["over"]).en,
        }


def test_the_chapter_shows_every_number_and_warns(store: StoreReader) -> None:
    evidence, bank = run(store)
    found = measured(evidence, bank)
    chapter = corrections_chapter({"小模型": found})
    rows = cells(chapter)
    assert len(rows) == 2 * (1 + 5)
    assert rows[0][3] == f"{evidence.result.t2i.recall[1]:.2f}"
    csls = next(row for row in rows if row[1] == "CSLS")
    assert csls[3] == f"{found['csls'].variants[0].numbers['t2i']['r1']:.2f}" and csls[-1].startswith("+")
    text = said(chapter)
    assert "R@1 高了" in text and "points higher" in text
    assert "慎用" in text and "must not be compared" in text and "Fair to report" in text
    for name in CORRECTIONS:
        assert NAMES[name].zh in text and MEANINGS[name].en in text
    assert "150 条文本" in text and "小模型" not in text  # one model needs no name


def test_without_a_bank_nothing_is_called_fair(store: StoreReader) -> None:
    evidence, _ = run(store)
    found: Mapping[Correction, CorrectionFindings] = {"csls": find_correction("csls", evidence, SETTINGS)}
    text = said(corrections_chapter({"甲": found, "乙": found}))
    assert "慎用" in text and "可以报告" not in text
    assert text.index("甲，CSLS") < text.index("乙，CSLS")
    with pytest.raises(RecipeError, match="needs a bank"):
        find_correction("qb_norm", evidence, SETTINGS)


def test_from_few_queries_no_verdict_is_drawn(store: StoreReader) -> None:
    evidence, bank = run(store, count=12)
    text = said(corrections_chapter({"甲": measured(evidence, bank)}))
    assert "只有 12 条查询，不下结论" in text and "12 queries are too few" in text
    assert "个百分点" not in text


def test_without_samples_there_are_no_intervals(store: StoreReader) -> None:
    evidence, bank = run(store, samples=0)
    found = measured(evidence, bank)
    assert not found["csls"].variants[0].comparisons
    chapter = corrections_chapter({"甲": found})
    assert "没有算区间" in said(chapter)
    assert {row[-1] for row in cells(chapter)} == {""}


def test_a_bank_that_was_drawn_down_says_so(store: StoreReader) -> None:
    evidence, bank = run(store)
    settings = CorrectionSettings(temperature=20, bank_rows=60)
    found = find_correction("qb_norm", evidence, settings, bank=bank)
    assert found.variants[0].bank == {"t2i": 60, "i2t": 60}
    assert "至多抽 60" in said(corrections_chapter({"甲": {"qb_norm": found}}))


def test_nothing_corrected_leaves_only_the_introduction() -> None:
    chapter = corrections_chapter({"甲": {}})
    assert chapter.intro is not None and not cells(chapter)
