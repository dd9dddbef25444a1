"""Weights for prompt templates, learned from pictures without labels.

Zero-shot prompt ensembling, ZPE (Allingham et al., A simple zero-shot prompt weighting technique to improve
prompt ensembling in text-image models, ICML 2023). A template is good where the pictures decide clearly:

    score of a template = mean over pictures of the highest class logit,

after each class's mean logit over the pictures is taken off, which else favours sentences that lie near every
picture (the paper's spurious concept bias). The weights are the softmax of the scores. The paper averages
that mean with one over pictures of the pretraining set; those are not at hand here, so it is the test
pictures' mean alone. That the weights help is not promised: the command measures with and without them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.rows import Rows, Scores

MOST_PICTURES = 2000  # mean scores settle long before; the product is pictures x classes x templates


@dataclass(frozen=True)
class TemplateWeights:
    """What was learned.

    Attributes:
        weights: float64 [P], they add up to 1.
        scores: float64 [P], mean normalised top logit of each template.
        pictures: how many they were learned from.
    """

    weights: Scores
    scores: Scores
    pictures: int

    @property
    def effective(self) -> float:
        """How many equally weighted templates hold as much entropy: P when all weigh the same, 1 for one."""
        known = self.weights[self.weights > 0]
        return float(np.exp(-(known * np.log(known)).sum()))


def learn_template_weights(
    image_rows: Rows, prompts: Rows, scale: float, *, most_pictures: int = MOST_PICTURES
) -> TemplateWeights:
    """Weigh templates by how clearly the pictures choose among the classes; no label is looked at.

    Args:
        image_rows: float32 [N, D], unit rows of the pictures that will be classified, or of others like them.
        prompts: float32 [C, P, D], unit rows.
        scale: of the logits, exp(logit_scale) of the checkpoint; the larger, the fewer templates count.
        most_pictures: where there are more, that many are taken at equal distances.

    Raises:
        SourceError: fewer than two pictures, or one class: there is nothing to choose.
    """
    if len(image_rows) < 2 or len(prompts) < 2:
        raise SourceError(
            "template weights need two pictures and two classes at least", fix="leave out --weight-templates"
        )
    step = max(1, -(-len(image_rows) // most_pictures))
    chosen = image_rows[::step].astype(np.float64)
    # (x - mean x) . t is the logit less the class's mean logit over the pictures
    centred = chosen - chosen.mean(axis=0)
    scores = np.array(
        [
            scale * (centred @ prompts[:, place].T.astype(np.float64)).max(axis=1).mean()
            for place in range(prompts.shape[1])
        ]
    )
    powers = np.exp(scores - scores.max())
    return TemplateWeights(weights=powers / powers.sum(), scores=scores, pictures=len(chosen))
