"""`preprocessing.json` and README.md of an export: what comes before and after the graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnclip.export.graphs import FEATURES, LOGITS, PIXELS, SIDES, TOKENS, FileKind, signature
from cnclip.images.transform import IMAGE_MEAN, IMAGE_STD
from cnclip.model import ChineseClip
from cnclip.text.wordpiece import CLS_ID, CONTEXT_LENGTH, PAD_ID, SEP_ID, UNK_ID

FORMAT = 1
_PIXEL_STEPS = [
    "decode; turn upright by the EXIF orientation; lay transparent pictures over white; convert to RGB",
    "resize to size x size without keeping the aspect, bicubic, antialiased (Pillow: resize(…, BICUBIC))",
    "divide by 255, subtract mean, divide by std, per channel",
    "reorder to NCHW, float32",
]


def context_length(model: ChineseClip) -> int:
    """Ids per caption at most: 52, or what the model's position table holds."""
    return min(CONTEXT_LENGTH, model.architecture.text.max_positions)


def preprocessing(model: ChineseClip, kinds: tuple[FileKind, ...]) -> dict[str, Any]:
    """All that a program in any language needs to feed the files and to read their answers."""
    spec: dict[str, Any] = {
        "format": FORMAT,
        "embed_dim": model.architecture.embed_dim,
        "embedding": "divide each row of features by its Euclidean length (L2)",
        "similarity": "image embedding · text embedding, a cosine; times logit_scale before a softmax",
        "logit_scale": float(model.logit_scale.detach().exp()),
    }
    for kind in kinds:
        borders = signature(model, kind)
        file = f"{kind}.onnx"
        for side in SIDES[kind]:
            name = PIXELS if side == "image" else TOKENS
            ends = {
                "file": file,
                "input": _tensor(name, borders.inputs),
                "output": _tensor(FEATURES[side], borders.outputs),
            }
            spec[side] = {**ends, **(_pixels(model) if side == "image" else _tokens(model))}
        if LOGITS in borders.outputs:
            spec["logits"] = {"file": file, "output": _tensor(LOGITS, borders.outputs)}
    return spec


def _tensor(name: str, borders: Mapping[str, list[str | int]]) -> dict[str, Any]:
    return {"name": name, "dtype": "int64" if name == TOKENS else "float32", "shape": borders[name]}


def _pixels(model: ChineseClip) -> dict[str, Any]:
    return {
        "size": signature(model, "image").inputs[PIXELS][2],
        "mean": list(IMAGE_MEAN),
        "std": list(IMAGE_STD),
        "channels": "RGB",
        "layout": "NCHW",
        "steps": _PIXEL_STEPS,
    }


def _tokens(model: ChineseClip) -> dict[str, Any]:
    return {
        "tokenizer": "tokenizer.json",
        "cleaning": "none needed: tokenizer.json holds it (full-width forms, quotes, invisible characters)",
        "vocabulary": "vocab.txt",
        "context_length": context_length(model),
        "pad_id": PAD_ID,
        "unk_id": UNK_ID,
        "cls_id": CLS_ID,
        "sep_id": SEP_ID,
        "mask": "the file takes id 0 as padding; pad a batch on the right to any common length",
    }


_PICTURE_LINES = """\
side, mean, std = (spec["image"][key] for key in ("size", "mean", "std"))
picture = ImageOps.exif_transpose(Image.open("picture.jpg")).convert("RGB")
picture = picture.resize((side, side), Image.Resampling.BICUBIC)
pixels = ((np.asarray(picture) / 255 - mean) / std).astype(np.float32).transpose(2, 0, 1)[None]
"""
_CAPTION_LINES = """\
captions = Tokenizer.from_file("tokenizer.json").encode_batch(["一只猫", "两只狗在草地上"])
token_ids = np.array([caption.ids for caption in captions], dtype=np.int64)
"""
_RUN_LINES: dict[FileKind, str] = {
    "image": """\
image, = ort.InferenceSession("image.onnx").run(["image_features"], {"pixel_values": pixels})
image /= np.linalg.norm(image, axis=1, keepdims=True)
""",
    "text": """\
text, = ort.InferenceSession("text.onnx").run(["text_features"], {"token_ids": token_ids})
text /= np.linalg.norm(text, axis=1, keepdims=True)
""",
    "model": """\
session = ort.InferenceSession("model.onnx")
logits, = session.run(["logits_per_image"], {"pixel_values": pixels, "token_ids": token_ids})
print(logits)  # one row per picture, one column per caption
""",
}


def snippet(kinds: tuple[FileKind, ...]) -> str:
    """Python that runs in the folder of the export, beside a `picture.jpg`."""
    sides = {side for kind in kinds for side in SIDES[kind]}
    imports = ["import json", "import numpy as np", "import onnxruntime as ort"]
    imports += ["from PIL import Image, ImageOps"] if "image" in sides else []
    imports += ["from tokenizers import Tokenizer"] if "text" in sides else []
    body = 'spec = json.load(open("preprocessing.json", encoding="utf-8"))\n'
    body += _PICTURE_LINES if "image" in sides else ""
    body += _CAPTION_LINES if "text" in sides else ""
    body += "".join(_RUN_LINES[kind] for kind in kinds)
    if kinds == ("image", "text"):
        body += 'print(spec["logit_scale"] * image @ text.T)  # one row per picture, one column per caption\n'
    elif kinds != ("model",):
        body += f"print({kinds[0]})  # embeddings: compare them by their dot products\n"
    return "\n".join(imports) + "\n\n" + body


def readme(kinds: tuple[FileKind, ...], precision: str, opset: int) -> str:
    """README.md of the folder."""
    files = ", ".join(f"`{kind}.onnx` + `{kind}.onnx.data`" for kind in kinds)
    int8 = (
        "\nint8 scales activations by their range in each call: a row changes a little, within the error of\n"
        "int8 itself, with the rows beside it.\n"
    )
    return f"""# Chinese CLIP in ONNX / 中文 CLIP 的 ONNX 文件

{files}: {precision} inside, float32 outside, opset {opset}.
An `.onnx` and its `.data` belong together; the folder can be moved, renamed and copied.
`preprocessing.json` says what each input and output is.
每个 `.onnx` 与同名 `.data` 须放在一起，整个文件夹可以移动和改名；
输入输出的约定见 `preprocessing.json`。

`pip install onnxruntime tokenizers pillow numpy`, put a `picture.jpg` here, and run in this folder:

```python
{snippet(kinds)}```
{int8 if precision == "int8" else ""}"""
