"""`cnclip data filter STORE TARGET --checkpoint M`: pairs that a model finds ill-matched are left out."""

from __future__ import annotations

from pathlib import Path

from cnclip.commands.data_rebuild import rebuild, refuse_existing
from cnclip.commands.data_scores import print_scores, score_store, write_scores
from cnclip.errors import RecipeError
from cnclip.stores.derived import DerivedSource, Filtered, keep_good_pairs, least_score, origin_of
from cnclip.stores.reader import StoreReader


def filter_pairs(
    store: Path,
    target: Path,
    *,
    checkpoint: str,
    min_score: float | None = None,
    keep_share: float | None = None,
    keep_pictures: bool = False,
    dry_run: bool = False,
    batch_size: int = 64,
    workers: int = 2,
    device: str = "auto",
    shard_size: str = "4GB",
    overwrite: bool = False,
) -> int:
    """Make a store of the pairs that a model finds well matched: cosine similarity of picture and caption.

    A pair under the threshold loses its link; captions without a pair and pictures without a caption go.
    Captions that had no picture to begin with stay. Which scores are good differs from model to model: begin
    with --dry-run true, which prints their distribution, what several thresholds keep, and the worst pairs.

    In both cases all scores are written to TARGET.scores.tsv, and TARGET.scores.html shows pairs on both
    sides of the threshold. The embeddings are kept in STORE.embeddings, so that another threshold takes
    seconds; training with a locked image tower uses them, too.

    Examples:
        cnclip data filter stores/web stores/web-good --checkpoint ViT-B-16 --dry-run true
        cnclip data filter stores/web stores/web-good --checkpoint ViT-B-16 --min-score 0.2
        cnclip data filter stores/web stores/web-good --checkpoint ViT-B-16 --keep-share 0.8

    Args:
        store: a folder made by `cnclip data build`.
        target: the store to make.
        checkpoint: a model's name, folder or file.
        min_score: the least score that a pair must have, -1 to 1.
        keep_share: in place of --min-score: the share of the pairs that stays, the best ones.
        keep_pictures: keep pictures that have no caption.
        dry_run: score and report only; the threshold may be left out.
        batch_size: pictures per forward pass; captions go four times as many.
        workers: threads that decode pictures.
        device: cpu, cuda, cuda:1 …; auto takes a GPU where there is one.
        shard_size: of one file of the store, such as 512MB, 4GB or 10000images.
        overwrite: replace a store that is there.
    """
    _check_threshold(min_score, keep_share, dry_run)
    if not dry_run:
        refuse_existing([target], [store], overwrite)
    with StoreReader(store) as reader:
        scored = score_store(checkpoint, reader, batch_size=batch_size, workers=workers, device=device)
        print_scores(scored)
        threshold = min_score if keep_share is None else least_score(scored.scores, keep_share)
        write_scores(scored, target, threshold)
        if threshold is None:
            return _end_dry_run()
        found = keep_good_pairs(reader, scored.scores, threshold, keep_pictures=keep_pictures)
        for line in _conservation(reader, found):
            print(line)
        if dry_run:
            return _end_dry_run()
        facts = {
            "kind": "filter",
            **origin_of(reader),
            "checkpoint": scored.subject.short_name,
            **{f"{kind}_tower": digest for kind, digest in scored.subject.towers.items()},
            "min_score": found.threshold,
            "dropped_pairs": found.pairs,
        }
        report = rebuild(DerivedSource([reader], found.choice, facts), target, shard_size, overwrite)
        assert report.pairs == reader.pair_count - found.pairs
        assert report.texts == reader.text_count - found.captions
        assert report.images == reader.image_count - found.pictures
    return 0


def _check_threshold(min_score: float | None, keep_share: float | None, dry_run: bool) -> None:
    if min_score is not None and keep_share is not None:
        raise RecipeError("--min-score and --keep-share both say what stays", fix="give one of them")
    if min_score is None and keep_share is None and not dry_run:
        fix = "--min-score 0.2 or --keep-share 0.8; --dry-run true shows the scores"
        raise RecipeError("nothing says which pairs stay", fix=fix)
    if min_score is not None and not -1 <= min_score <= 1:
        raise RecipeError(f"min_score is {min_score:g}; a cosine is from -1 to 1", fix="--min-score 0.2")
    if keep_share is not None and not 0 < keep_share <= 1:
        raise RecipeError(f"keep_share is {keep_share:g}", fix="--keep-share 0.8")


def _conservation(reader: StoreReader, found: Filtered) -> list[str]:
    pairs, captions = reader.pair_count - found.pairs, reader.text_count - found.captions
    pictures = reader.image_count - found.pictures
    return [
        f"threshold {found.threshold:.6g}:",
        f"  pairs: {reader.pair_count} = {pairs} kept + {found.pairs} under it",
        f"  captions: {reader.text_count} = {captions} kept + {found.captions} without a pair",
        f"  pictures: {reader.image_count} = {pictures} kept + {found.pictures} without a caption"
        + (f" ({found.bare} had none before)" if found.bare else ""),
    ]


def _end_dry_run() -> int:
    print("dry run: no store was written")
    return 0
