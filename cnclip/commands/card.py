"""The README.md of a model on a hub: what it is, how it was made, what was measured, how to use it."""

from __future__ import annotations

from typing import Any

import yaml

from cnclip.checkpoints.compare import IMAGE, TEXT
from cnclip.checkpoints.describe import WHOLE, CheckpointFacts
from cnclip.commands.model_parts import metric_lines, readable_bytes, readable_count, recipe_lines
from cnclip.tables import Table, markdown_table

_DIRECTIONS = {"text_to_image": "文搜图 text→image", "image_to_text": "图搜文 image→text"}
_TRANSFORMERS_NOTE = (
    "transformers 也能读取 it is also a transformers folder "
    "(`ChineseCLIPModel`, `BertTokenizer`, `ChineseCLIPProcessor`)."
)


def model_card(facts: CheckpointFacts, history: dict[str, Any], repository: str, *, license_name: str) -> str:
    """A model card in Chinese and English, with the front matter that hubs read.

    Args:
        facts: of the checkpoint.
        history: as `read_history` gives it.
        repository: `owner/name` on the hub, for the usage snippet.
        license_name: a hub's word for a license, such as `apache-2.0`.
    """
    parts = [
        _front_matter(facts, license_name),
        f"# {repository.rpartition('/')[2]}",
        _purpose(facts),
        _usage(facts, repository),
        _shape(facts),
    ]
    training = [*recipe_lines(history.get("recipe", {})), *metric_lines(history.get("metrics", {}))]
    if training:
        parts.append("## 训练 Training\n\n" + "\n".join(f"- {_plain(line)}" for line in training))
    tables = results_tables(history.get("results", {}))
    if tables:
        parts.append("## 结果 Results\n\n" + "\n\n".join(map(markdown_table, tables)))
    if "recipe" in history:
        parts.append("完整配置见 The whole recipe: `recipe.yaml`.")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def results_tables(results: dict[str, Any]) -> list[Table]:
    """The tables of a `results.json` of `cnclip eval`; none for anything else."""
    data = _mapping(_mapping(results.get("run")).get("data"))
    note = f"数据 data: {str(data['path']).rstrip('/').rpartition('/')[2]}" if data.get("path") else ""
    tables = []
    rows = [
        _recall_row(shown, _mapping(results.get(key))) for key, shown in _DIRECTIONS.items() if key in results
    ]
    if rows:
        header = ["方向 direction", "R@1", "R@5", "R@10", "MR", "随机 chance MR"]
        tables.append(Table("图文检索 Retrieval, recall@K (%)", header, rows, note))
    if "top1" in results:
        keys = ("top1", "top5", "mean_per_class")
        row = [[_number(results.get(key)) for key in keys]]
        header = ["top-1", "top-5", "类平均 mean per class"]
        tables.append(Table("零样本分类 Zero-shot classification (%)", header, row, note))
    return tables


def _front_matter(facts: CheckpointFacts, license_name: str) -> str:
    hugging_face = _is_hugging_face(facts)
    values: dict[str, Any] = {
        "license": license_name,
        "language": ["zh"],
        "library_name": "transformers" if hugging_face else "cnclip",
        "tags": ["cnclip", "chinese-clip", "clip", "image-text-retrieval"],
    }
    if WHOLE in facts.uses:
        values["pipeline_tag"] = "zero-shot-image-classification"
    return f"---\n{yaml.safe_dump(values, allow_unicode=True, sort_keys=False)}---"


def _purpose(facts: CheckpointFacts) -> str:
    if WHOLE in facts.uses:
        return (
            "中文 CLIP 模型：用中文搜索图片、用图片搜索中文文本、零样本图片分类。\n\n"
            "A Chinese CLIP model: find pictures by Chinese text and the reverse, classify without training."
        )
    tower = "图像塔 image tower" if IMAGE in facts.uses else "文本塔 text tower"
    return f"中文 CLIP 模型的{tower.split()[0]}。\n\nThe {tower.partition(' ')[2]} of a Chinese CLIP model."


def _usage(facts: CheckpointFacts, repository: str) -> str:
    heading = "## 用法 Usage\n\n"
    if WHOLE not in facts.uses:
        tower = "image" if IMAGE in facts.uses else "text"
        return f"{heading}在训练配置中 in a training recipe: `model.{tower}.checkpoint: FOLDER`"
    code = f"""```python
import cnclip
import torch
from PIL import Image

model, preprocess = cnclip.load_from_name("{repository}")
device = next(model.parameters()).device
images = preprocess(Image.open("图片.jpg"))[None].to(device)
texts = cnclip.tokenize(["一只猫", "一只狗"]).to(device)
with torch.no_grad():
    logits_per_image, logits_per_text = model.get_similarity(images, texts)
print(logits_per_image.softmax(dim=-1))
```"""
    return heading + code + (f"\n\n{_TRANSFORMERS_NOTE}" if _is_hugging_face(facts) else "")


def _shape(facts: CheckpointFacts) -> str:
    rows = [["架构 architecture", facts.name or "自定义 its own"]]
    rows.append(["参数 parameters", readable_count(facts.parameters["total"])])
    for use, shown in ((IMAGE, "图像塔 image tower"), (TEXT, "文本塔 text tower")):
        if use in facts.uses:
            rows.append([shown, readable_count(facts.parameters[use])])
    if facts.resolution is not None:
        rows.append(["图片 pictures", f"{facts.resolution} × {facts.resolution}"])
    rows.append(["数值类型 types", ", ".join(facts.types)])
    rows.append(["大小 size", readable_bytes(facts.bytes)])
    return markdown_table(Table("模型 Model", ["", ""], rows)).replace("### ", "## ", 1)


def _recall_row(shown: str, direction: dict[str, Any]) -> list[str]:
    chance = _mapping(direction.get("chance")).get("mean_recall")
    return [
        shown,
        *[_number(direction.get(key)) for key in ("r1", "r5", "r10", "mean_recall")],
        _number(chance),
    ]


def _is_hugging_face(facts: CheckpointFacts) -> bool:
    return "hugging face" in facts.kind.lower()


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else "-"


def _plain(line: str) -> str:
    """One line of Markdown that means what it says."""
    return " ".join("".join("\\" + c if c in "\\`*_<>|[]#" else c for c in line).split())
