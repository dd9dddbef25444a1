"""ELEVATER's data sets as data, and its submission files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cnclip.errors import SourceError, UnknownNameError
from cnclip.evaluation.elevater import ELEVATER, elevater_set
from cnclip.evaluation.elevater_files import (
    ParameterCounts,
    merge_submissions,
    parameter_counts,
    read_index,
    write_submission,
)
from cnclip.evaluation.templates import template_names
from cnclip.model import ARCHITECTURES, ChineseClip

COUNTS = ParameterCounts(0, 188262913, 86192640, 188262913)
COSINES = np.array([[0.31, 0.30], [0.2, 0.26], [0.1, 0.1]], dtype=np.float32)


def test_the_twenty_sets_have_their_own_metrics() -> None:
    assert len(ELEVATER) == 20 and sum(each.classes for each in ELEVATER.values()) == 1151
    by_metric = {
        metric: {each.name for each in ELEVATER.values() if each.metric == metric}
        for metric in ("mean-per-class", "roc_auc", "11point_mAP")
    }
    assert by_metric["roc_auc"] == {"hateful-memes"}
    assert by_metric["11point_mAP"] == {"voc-2007-classification"}
    assert by_metric["mean-per-class"] == {
        "caltech-101",
        "fgvc-aircraft-2013b-variants102",
        "oxford-flower-102",
        "oxford-iiit-pets",
    }
    assert sum(each.metric == "accuracy" for each in ELEVATER.values()) == 14


def test_each_set_has_a_template_set_that_ships() -> None:
    assert {each.templates for each in ELEVATER.values()} <= set(template_names())


def test_an_unknown_set_is_an_error_that_lists_them() -> None:
    with pytest.raises(UnknownNameError, match="cifar100") as caught:
        elevater_set("cifar100")
    assert "did you mean cifar-100" in str(caught.value) and "mnist" in str(caught.value)


def test_parameter_counts_of_the_official_base_model_equal_the_published_ones() -> None:
    assert parameter_counts(ARCHITECTURES["ViT-B-16"]) == COUNTS


def test_parameter_counts_equal_a_models_own(model: ChineseClip) -> None:
    counts = parameter_counts(model.architecture)
    assert counts.num_params == sum(parameter.numel() for parameter in model.parameters())
    assert counts.num_visual_params == sum(parameter.numel() for parameter in model.visual.parameters())


def test_a_submission_has_the_toolkits_keys_and_six_decimals(tmp_path: Path) -> None:
    path = write_submission(tmp_path, "patch-camelyon", COSINES, model_name="CN-CLIP-ViT-B-16", counts=COUNTS)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert list(found.items())[:-1] == [
        ("model_name", "CN-CLIP-ViT-B-16"),
        ("dataset_name", "patch-camelyon"),
        ("num_trainable_params", 0),
        ("num_params", 188262913),
        ("num_visual_params", 86192640),
        ("num_backbone_params", 188262913),
        ("n_shot", 0),
        ("rnd_seeds", [123]),
    ]
    assert path == tmp_path / "patch-camelyon.json"
    # e / (1 + e), e^-6 / (1 + e^-6), 1 / 2
    assert found["predictions"] == [[[0.731058, 0.268942], [0.002473, 0.997527], [0.5, 0.5]]]


def test_an_index_reorders_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("[2, 0, 1]", encoding="utf-8")
    order = read_index(tmp_path / "index.json", 3)
    path = write_submission(tmp_path, "patch-camelyon", COSINES, model_name="m", counts=COUNTS, index=order)
    rows = json.loads(path.read_text(encoding="utf-8"))["predictions"][0]
    assert [row[0] for row in rows] == [0.5, 0.731058, 0.002473]


@pytest.mark.parametrize("content", ["[0, 1]", "[0, 1, 1]", "[0, 1, 3]", "[0, 1, true]", '{"a": 1}', "no"])
def test_an_index_that_is_not_each_picture_once_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "i.json").write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match="index"):
        read_index(tmp_path / "i.json", 3)


def test_the_archive_holds_every_set_of_the_folder_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("rendered-sst2", "hateful-memes"):
        write_submission(tmp_path, name, COSINES, model_name="小模型", counts=COUNTS)
    (tmp_path / "notes.json").write_text("{}", encoding="utf-8")
    archive = tmp_path / "all_predictions.zip"
    before = archive.read_bytes()
    with zipfile.ZipFile(archive) as opened:
        assert opened.namelist() == ["all_predictions.json"]
        data = json.loads(opened.read("all_predictions.json"))
    assert list(data) == ["data"]
    assert [each["dataset_name"] for each in data["data"]] == ["hateful-memes", "rendered-sst2"]
    assert data["data"][0] == json.loads((tmp_path / "hateful-memes.json").read_text(encoding="utf-8"))
    assert merge_submissions(tmp_path).read_bytes() == before


def test_a_file_that_is_not_its_sets_submission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mnist.json").write_text('{"dataset_name": "cifar-10"}', encoding="utf-8")
    with pytest.raises(SourceError, match="not a submission") as caught:
        merge_submissions(tmp_path)
    assert "mnist.json" in str(caught.value.where)
    assert not (tmp_path / "all_predictions.zip").exists()


def test_imagenet_is_known_beside_the_twenty() -> None:
    found = elevater_set("imagenet-1k")
    assert (found.classes, found.metric) == (1000, "accuracy") and found.templates in template_names()
    assert found.name not in ELEVATER
    with pytest.raises(UnknownNameError, match="did you mean imagenet-1k"):
        elevater_set("imagenet")
