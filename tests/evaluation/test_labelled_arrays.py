"""Labelled pictures and embeddings in one file."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.classes import ClassNames
from cnclip.evaluation.labelled_arrays import holds_embeddings, images_from_array, rows_from_array
from cnclip.images.decode import decode_image

CLASSES = ClassNames(["猫", "狗", "鸟"], None, Path("类.txt"))


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_pixels_come_back_without_loss_under_their_names(tmp_path: Path) -> None:
    path, images = tmp_path / "图.npz", pixels(3, 5, 4, 3)
    np.savez(path, pixels=images, labels=np.array([2, 0, 1]), ids=np.array(["甲", "乙", "丙"]))
    assert not holds_embeddings(path)
    found = images_from_array(path, CLASSES)
    assert found.labels.tolist() == [2, 0, 1] and found.marks is None and found.unlabelled == 0
    assert [found.source.image(i).image_id for i in range(3)] == ["甲", "乙", "丙"]
    np.testing.assert_array_equal(np.asarray(decode_image(found.source.image(1).image)), images[1])
    assert found.fingerprint is not None and len(found.fingerprint) == 64


def test_embeddings_are_brought_to_unit_length(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    np.savez(path, embeddings=np.array([[3.0, 4.0], [0.0, 2.0]]), labels=np.array([1, 0]))
    assert holds_embeddings(path)
    found = rows_from_array(path, CLASSES)
    np.testing.assert_allclose(found.rows, [[0.6, 0.8], [0.0, 1.0]], atol=1e-7)
    assert found.rows.dtype == np.float32 and found.ids == ["0", "1"]


def test_a_matrix_of_marks_means_several_classes(tmp_path: Path) -> None:
    path, marks = tmp_path / "m.npz", np.array([[1, 0, 1], [0, -1, 1]])
    np.savez(path, pixels=pixels(2, 4, 4), labels=marks)
    found = images_from_array(path, CLASSES)
    assert found.marks is not None and found.marks.tolist() == marks.tolist()
    assert found.labels.tolist() == [-1, -1]


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_files_are_read_with_their_labels_beside_them(tmp_path: Path, packed: bool) -> None:
    end, pack = (".gz", gzip.compress) if packed else ("", bytes)
    digits = pixels(3, 28, 28)
    (tmp_path / f"t10k-images-idx3-ubyte{end}").write_bytes(pack(idx(digits)))
    (tmp_path / f"t10k-labels-idx1-ubyte{end}").write_bytes(pack(idx(np.array([0, 2, 1]))))
    found = images_from_array(tmp_path / f"t10k-images-idx3-ubyte{end}", CLASSES)
    assert found.labels.tolist() == [0, 2, 1]
    shown = np.asarray(decode_image(found.source.image(2).image))
    np.testing.assert_array_equal(shown, np.repeat(digits[2][..., None], 3, axis=2))


@pytest.mark.parametrize("label_bytes", [1, 2])
def test_cifar_binary_files_are_read_with_their_fine_label(tmp_path: Path, label_bytes: int) -> None:
    images, labels = pixels(4, 32, 32, 3), [1, 0, 2, 2]
    rows = b"".join(
        bytes([9] * (label_bytes - 1) + [label]) + image.transpose(2, 0, 1).tobytes()
        for label, image in zip(labels, images, strict=True)
    )
    (tmp_path / "test.bin").write_bytes(rows)
    found = images_from_array(tmp_path / "test.bin", CLASSES)
    assert found.labels.tolist() == labels
    np.testing.assert_array_equal(np.asarray(decode_image(found.source.image(3).image)), images[3])


def test_a_pickle_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "test_batch"
    path.write_bytes(pickle.dumps({"data": [1]}))
    with pytest.raises(SourceError, match="not a file of labelled pictures") as caught:
        images_from_array(path, CLASSES)
    assert "binary version" in str(caught.value)


def test_an_archive_with_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "o.npz", pixels=np.array([{"a": 1}], dtype=object), labels=np.array([0]))
    with pytest.raises(SourceError, match="cannot read the arrays"):
        images_from_array(tmp_path / "o.npz", CLASSES)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pixels": pixels(2, 4, 4), "labels": np.array([0, 3])}, "from 0 to 3, but .* has 3 classes"),
        ({"pixels": pixels(2, 4, 4), "labels": np.array([-1, 0])}, "from -1 to 0"),
        ({"pixels": pixels(2, 4, 4), "labels": np.array([0.0, 1.0])}, "not whole numbers"),
        ({"pixels": pixels(2, 4, 4), "labels": np.array([0])}, "shape"),
        ({"pixels": pixels(2, 4, 4), "labels": np.array([[0, 5, 1], [0, 0, 1]])}, "marks other than"),
        ({"pixels": pixels(2, 4, 4)}, "no array 'labels'"),
        ({"pixels": pixels(2, 4, 4, 4), "labels": np.array([0, 1])}, "not uint8"),
        ({"pixels": np.zeros((2, 4, 4)), "labels": np.array([0, 1])}, "not uint8"),
    ],
)
def test_arrays_that_do_not_fit_are_errors(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(SourceError, match=message):
        images_from_array(tmp_path / "a.npz", CLASSES)


def test_embeddings_without_direction_are_errors(tmp_path: Path) -> None:
    for number, row in enumerate(([0.0, 0.0], [np.nan, 1.0])):
        path = tmp_path / f"{number}.npz"
        np.savez(path, embeddings=np.array([row]), labels=np.array([0]))
        with pytest.raises(SourceError, match="zero, NaN or infinite"):
            rows_from_array(path, CLASSES)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t10k-images-idx3-ubyte", idx(pixels(2, 4, 4))[:-1], "truncated"),
        ("t10k-images-idx3-ubyte", b"\0\0\x0d\x01", "not an idx file"),
        ("t10k-images-idx3-ubyte.gz", b"no gzip", "cannot read the file"),
        ("test.bin", b"\0" * 3000, "not whole rows"),
        ("test.bin", b"", "not whole rows"),
        ("a.npz", b"PK no", "cannot read the arrays"),
    ],
)
def test_damaged_files_are_errors_that_name_them(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        images_from_array(tmp_path / name, CLASSES)
    assert name in str(caught.value.where)


def test_ids_name_every_item_once(tmp_path: Path) -> None:
    path, arrays = tmp_path / "e.npz", {"embeddings": np.eye(3), "labels": np.array([0, 1, 2])}
    np.savez(path, **arrays, ids=np.array([b"a", "猫".encode(), b"c"]))
    assert rows_from_array(path, CLASSES).ids == ["a", "猫", "c"]
    for ids, message in (
        (np.array(["a"]), r"shape \(1,\), not \[3\]"),
        (np.array([["a"], ["b"], ["c"]]), r"shape \(3, 1\)"),
        (np.array(["a", "b", "a"]), "1 ids stand twice, such as 'a'"),
    ):
        np.savez(path, **arrays, ids=ids)
        with pytest.raises(SourceError, match=message):
            rows_from_array(path, CLASSES)
        np.savez(path, pixels=pixels(3, 4, 4), labels=arrays["labels"], ids=ids)
        with pytest.raises(SourceError, match=message):
            images_from_array(path, CLASSES)


def test_embeddings_are_numbers_and_pixels_have_a_size(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    for wrong in (np.array([["猫"]]), np.eye(2) * 1j, np.empty((0, 4)), np.zeros(3)):
        np.savez(path, embeddings=wrong, labels=np.array([0]))
        with pytest.raises(SourceError, match="not numbers"):
            rows_from_array(path, CLASSES)
    for shape in ((1, 0, 4, 3), (0, 4, 4), ()):
        np.savez(path, pixels=np.zeros(shape, np.uint8), labels=np.array([0]))
        with pytest.raises(SourceError, match="pixels are uint8"):
            images_from_array(path, CLASSES)
