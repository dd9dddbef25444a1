"""What augmentation costs, and whether a red thing stays red: ours against the original's AutoAugment.

    python benchmarks/augment.py
    python benchmarks/augment.py --draws 2000 --sheet sheet.png

Pictures: a photo of 640x480, decoded from a JPEG; "squash" adds the resize to 224x224 that every picture
needs anyhow. The ways take turns on one thread. "colour kept" is the share of draws after which the mean of a
picture of one colour (red, green, blue on grey) still has that channel as its largest. Captions: ten titles
and sentences of 20 characters in the mean. A row is added to benchmarks/augment.jsonl; --sheet writes the
photo eight times by each policy.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import PIL
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_image

from cnclip.images.augment import AUGMENT_POLICIES, augment_image
from cnclip.images.decode import decode_image
from cnclip.text.sides import swap_sides
from cnclip.text.vary import CAPTION_POLICIES, vary_caption

RECORD = Path(__file__).with_suffix(".jsonl")
CAPTIONS = [
    "一个穿着红色衣服的男人正在海边的沙滩上奔跑。",
    "一位老人坐在长椅上看报纸，旁边有一只没有戴项圈的狗。",
    "左边的女孩举着一把伞，右边的男孩拿着三个气球",
    "两只狗在草地上追逐一个黄色的飞盘",
    "男人被狗追，女人在笑，孩子们在远处踢足球",
    "夏季新款红色连衣裙女中长款显瘦雪纺裙",
    "韩版 宽松 显瘦 连衣裙 白色 外套",
    "新款 iPhone 14 Pro 手机壳 防摔",
    "ins网红同款学院风小白鞋女百搭平底",
    "纯棉四件套无甲醛，亲肤透气，不掉色",
]
# (operation, probability, magnitude of 10) twice: what timm's auto_augment="original" is made of.
_SUBPOLICIES = [
    line.split()
    for line in """Posterize .4 8 Rotate .6 9;Solarize .6 5 AutoContrast .6 5;Equalize .8 8 Equalize .6 3
Posterize .6 7 Posterize .6 6;Equalize .4 7 Solarize .2 4;Equalize .4 4 Rotate .8 8
Solarize .6 3 Equalize .6 7;Posterize .8 5 Equalize 1 2;Rotate .2 3 Solarize .6 8
Equalize .6 8 Posterize .4 6;Rotate .8 8 Color .4 0;Rotate .4 9 Equalize .6 2;Equalize 0 7 Equalize .8 8
Invert .6 4 Equalize 1 8;Color .6 4 Contrast 1 8;Rotate .8 8 Color 1 2;Color .8 8 Solarize .8 7
Sharpness .4 7 Invert .6 8;ShearX .6 5 Equalize 1 9;Color .4 0 Equalize .6 3;Equalize .4 7 Solarize .2 4
Solarize .6 5 AutoContrast .6 5;Invert .6 4 Equalize 1 8;Color .6 4 Contrast 1 8
Equalize .8 8 Equalize .6 3""".replace("\n", ";").split(";")
]
_COLOURS = ((200, 40, 30), (40, 160, 60), (30, 60, 210))
_FILL = (123, 117, 104)
_ENHANCERS = {
    "Color": ImageEnhance.Color,
    "Contrast": ImageEnhance.Contrast,
    "Sharpness": ImageEnhance.Sharpness,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=300, help="pictures and captions per way")
    parser.add_argument("--sheet", type=Path, help="also write a picture of pictures here")
    parser.add_argument("--dry", action="store_true", help="add no row to the record")
    options = parser.parse_args()
    photo = Image.fromarray(load_sample_image("china.jpg")).resize((640, 480), Image.Resampling.BICUBIC)
    if options.sheet:
        write_sheet(photo, options.sheet)
    command = ["git", "rev-parse", "--short", "HEAD"]
    row = {
        "commit": subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip(),
        "machine": f"{platform.machine()}, pillow {PIL.__version__}",
        "pictures": measure_pictures(photo, options.draws),
        "captions, us": measure_captions(options.draws),
    }
    if not options.dry:
        with open(RECORD, "a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return 0


def measure_pictures(photo: Image.Image, draws: int) -> dict[str, dict[str, float]]:
    """Milliseconds of processor time, mean of the draws, and the share of colours kept."""
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=85)
    data = buffer.getvalue()
    ways: dict[str, Callable[[np.random.Generator, Image.Image], Image.Image]] = {
        name: lambda rng, image, policy=policy: augment_image(image, rng, policy)  # type: ignore[misc]
        for name, policy in AUGMENT_POLICIES.items()
    }
    ways["original"] = plain_augment
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    kept = dict.fromkeys(ways, 0)
    things = [ImageOps.expand(Image.new("RGB", (90, 90), one), 19, (128, 128, 128)) for one in _COLOURS]
    for draw in range(draws):
        for name, way in ways.items():
            rng = np.random.default_rng(draw)
            start = time.process_time()
            image = decode_image(data)
            decoded = time.process_time()
            image = way(rng, image)
            augmented = time.process_time()
            if image.size != (224, 224):
                image.resize((224, 224), Image.Resampling.BICUBIC)
            times[name].append((decoded - start, augmented - decoded, time.process_time() - augmented))
            thing = np.asarray(way(np.random.default_rng(draw), things[draw % 3]), dtype=np.float64)
            kept[name] += int(thing.mean((0, 1)).argmax() == draw % 3)
    results = {}
    for name, measured in times.items():
        decode, augment, squash = (statistics.mean(column) * 1e3 for column in zip(*measured, strict=True))
        results[name] = {
            "decode, ms": round(decode, 2),
            "augment, ms": round(augment, 2),
            "with squash, ms": round(augment + squash, 2),
            "colour kept": round(kept[name] / draws, 3),
        }
        print(f"{name:<13}" + "  ".join(f"{key} {value:.3g}" for key, value in results[name].items()))
    return results


def plain_augment(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Chinese-CLIP's --use-augment: crop to 224x224, mirror, one of 25 sub-policies."""
    area, ratio = rng.uniform(0.9, 1.0), np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    width = min(image.width, round((image.width * image.height * area * ratio) ** 0.5))
    height = min(image.height, round((image.width * image.height * area / ratio) ** 0.5))
    left, top = rng.integers(image.width - width + 1), rng.integers(image.height - height + 1)
    box = (left, top, left + width, top + height)
    image = image.resize((224, 224), Image.Resampling.BICUBIC, box=box)
    if rng.random() < 0.5:
        image = ImageOps.mirror(image)
    steps = _SUBPOLICIES[rng.integers(len(_SUBPOLICIES))]
    for operation, probability, magnitude in (steps[:3], steps[3:]):
        if rng.random() < float(probability):
            image = plain_operation(image, operation, float(magnitude) / 10, rng.choice([-1, 1]))
    return image


def plain_operation(image: Image.Image, operation: str, share: float, sign: int) -> Image.Image:
    """One operation of AutoAugment at a share of its range."""
    if operation in _ENHANCERS:
        return _ENHANCERS[operation](image).enhance(0.1 + 1.8 * share)
    if operation == "Rotate":
        return image.rotate(sign * share * 30, Image.Resampling.BICUBIC, fillcolor=_FILL)
    if operation == "ShearX":
        matrix = (1, sign * share * 0.3, 0, 0, 1, 0)
        return image.transform(
            image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=_FILL
        )
    if operation == "Posterize":
        return ImageOps.posterize(image, 4 + int(share * 4))
    if operation == "Solarize":
        return ImageOps.solarize(image, int(share * 256))
    plain = {"Invert": ImageOps.invert, "Equalize": ImageOps.equalize, "AutoContrast": ImageOps.autocontrast}
    return plain[operation](image)


def measure_captions(draws: int) -> dict[str, float]:
    """Microseconds of processor time for a caption, the generator not counted."""
    ways: dict[str, Callable[[np.random.Generator, str], str]] = {
        name: lambda rng, caption, policy=policy: vary_caption(caption, rng, policy)  # type: ignore[misc]
        for name, policy in CAPTION_POLICIES.items()
    }
    ways["swap_sides"] = lambda _, caption: swap_sides(caption)
    results = {}
    for name, way in ways.items():
        rng, spent = np.random.default_rng(0), []
        for _ in range(draws):
            start = time.process_time()
            for caption in CAPTIONS:
                way(rng, caption)
            spent.append(time.process_time() - start)
        results[name] = round(statistics.median(spent) / len(CAPTIONS) * 1e6, 1)
    length = sum(map(len, CAPTIONS)) / len(CAPTIONS)
    print(f"captions of {length:.1f} characters, us: {results}")
    return results


def write_sheet(photo: Image.Image, path: Path) -> None:
    """A row of eight for each policy."""
    names = [name for name in AUGMENT_POLICIES if not name.endswith("_flip")]
    sheet = Image.new("RGB", (8 * 160, (len(names) + 1) * 120), "white")
    for row, name in enumerate([*names, "original"]):
        for column in range(8):
            rng = np.random.default_rng(column)
            policy = AUGMENT_POLICIES.get(name)
            image = augment_image(photo, rng, policy) if policy else plain_augment(rng, photo)
            sheet.paste(image.resize((158, 118)), (column * 160, row * 120))
    sheet.save(path)


if __name__ == "__main__":
    raise SystemExit(main())
