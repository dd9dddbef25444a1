"""The training recipe: every key with its meaning, unit and default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cnclip.config.data import DataConfig


@dataclass(frozen=True)
class ImageTowerConfig:
    """The image tower.

    Attributes:
        kind: vit, resnet (ModifiedResNet), or features (ready-made features, one linear projection).
        width: channels; for features the length of a row.
        layers: one number of blocks (vit), or four, one a stage (resnet).
        heads: attention heads; 0 = width / 64 (vit), width · 32 / 64 (resnet).
        patch_size: pixels (vit).
        resolution: pixels of the square input.
        checkpoint: folder, file (ours, cn_clip's, OpenAI's, open_clip's, a Hugging Face CLIP), owner/name on
            the hub to take the image tower from; its shape then comes from there.
        locked: keep every weight of it as it is (LiT); features as wide as embed_dim are then the embeddings.
        patch_dropout: share of patches left out in training (FLIP, vit only).
    """

    kind: Literal["vit", "resnet", "features"] = "vit"
    width: int = 768
    layers: tuple[int, ...] = (12,)
    heads: int = 0
    patch_size: int = 16
    resolution: int = 224
    checkpoint: str | None = None
    locked: bool = False
    patch_dropout: float = 0.0


@dataclass(frozen=True)
class TextTowerConfig:
    """The text tower, a BERT encoder.

    Attributes:
        hidden: width.
        layers: blocks.
        heads: attention heads.
        intermediate: width of the feed-forward layer.
        dropout: for hidden states and attention alike; with model.checkpoint as saved there.
        checkpoint: folder, file (ours, cn_clip's, a Hugging Face BERT) or owner/name on the hub
            (hfl/chinese-roberta-wwm-ext) to take the text tower from; its shape then comes from there.
        locked: keep every weight of it as it is.
    """

    hidden: int = 768
    layers: int = 12
    heads: int = 12
    intermediate: int = 3072
    dropout: float = 0.1
    checkpoint: str | None = None
    locked: bool = False


@dataclass(frozen=True)
class ModelConfig:
    """What is trained and where its weights come from.

    Attributes:
        name: an official architecture (ViT-B-16 …) in place of the two tower sections' shapes.
        embed_dim: length of an embedding.
        checkpoint: a whole model to start from (stage 2: stage 1's folder; or an official name, or owner/name
            on the hub, which is downloaded); the shapes come from there.
        image: the image tower.
        text: the text tower.
        logit_scale: value of the temperature's inverse at the start, before the logarithm.
        activation_checkpointing: recompute blocks in the backward pass: less memory, a third slower.
    """

    name: str | None = None
    embed_dim: int = 512
    checkpoint: str | None = None
    image: ImageTowerConfig = field(default_factory=ImageTowerConfig)
    text: TextTowerConfig = field(default_factory=TextTowerConfig)
    logit_scale: float = 14.285714
    activation_checkpointing: bool = False


@dataclass(frozen=True)
class LossConfig:
    """The objective.

    Attributes:
        duplicates: keep = every other pair of the batch is a negative; mask = pairs with the same picture
            or the same caption are not.
    """

    duplicates: Literal["keep", "mask"] = "keep"


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW and its learning rate.

    Attributes:
        lr: peak learning rate at a global batch of `lr_batch_size`.
        lr_batch_size: pairs; 0 = whatever the global batch is, no scaling.
        lr_scaling: how the rate follows the global batch: linear (Goyal et al. 2017), sqrt (Malladi et al.
            2022, for Adam), none.
        image_lr_factor: the image tower learns at this multiple of the rate.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        eps: of the denominator.
        weight_decay: on matrices only; never on biases, norms, embeddings of position or class, logit_scale.
        clip_norm: largest gradient norm; 0 = no clipping.
    """

    lr: float = 5e-4
    lr_batch_size: int = 0
    lr_scaling: Literal["linear", "sqrt", "none"] = "none"
    image_lr_factor: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.98
    eps: float = 1e-6
    weight_decay: float = 0.2
    clip_norm: float = 1.0


@dataclass(frozen=True)
class ScheduleConfig:
    """How long, and the learning rate's course: linear warm-up, then half a cosine to zero.

    Attributes:
        epochs: passes over the training store; ignored where `steps` is given.
        steps: optimizer steps; 0 = from `epochs`.
        warmup_steps: optimizer steps.
    """

    epochs: float = 1.0
    steps: int = 0
    warmup_steps: int = 0


@dataclass(frozen=True)
class ValidationConfig:
    """Recall@K on the validation store while training.

    Attributes:
        every_steps: optimizer steps between two validations; 0 = only at the end.
        batch_size: rows per forward pass.
    """

    every_steps: int = 0
    batch_size: int = 256


@dataclass(frozen=True)
class SavingConfig:
    """Checkpoints of the run.

    Attributes:
        every_steps: optimizer steps between two; 0 = only at the end and on SIGTERM.
        keep_last: how many of the newest stay, besides the best.
        publish: which checkpoint becomes `output`: the best by validation mean recall, or the last.
        towers: what `output` holds: both towers, or only the image tower, for others to lock.
    """

    every_steps: int = 0
    keep_last: int = 2
    publish: Literal["best", "last"] = "best"
    towers: Literal["both", "image"] = "both"


@dataclass(frozen=True)
class TrainRecipe:
    """Train a Chinese CLIP model by a recipe; a stage is a recipe, not a program.

    Examples:
      accelerate launch recipes/train.py recipes/emoji_stage1.yaml
      accelerate launch -m cnclip train recipes/emoji_stage2.yaml optimizer.lr=3e-4 schedule.epochs=20
      accelerate launch -m cnclip train my.yaml resume=fresh

    Attributes:
        output: folder that the finished model is published to; a name for load_from_name.
        run: folder of the run: checkpoints, metrics.jsonl, tensorboard; default runs/<name of output>.
        seed: decides initial weights, order, augmentation and dropout.
        precision: fp32, bf16, or fp16 (GPU only).
        resume: auto = go on from the run's newest good checkpoint if there is one; must = fail if there is
            none; fresh = move an earlier run aside and start again.
        allow_change: go on although the recipe or the data changed since the checkpoint.
        log_every_steps: optimizer steps between two rows of metrics.
        threads: CPU threads per process; 0 = as the system says.
        model: the two towers and their starting weights.
        data: stores, batches, captions, augmentation.
        loss: the objective.
        optimizer: AdamW.
        schedule: length and learning rate.
        validation: recall@K while training.
        saving: checkpoints.
    """

    output: str
    run: str | None = None
    seed: int = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    resume: Literal["auto", "must", "fresh"] = "auto"
    allow_change: bool = False
    log_every_steps: int = 10
    threads: int = 0
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    saving: SavingConfig = field(default_factory=SavingConfig)
