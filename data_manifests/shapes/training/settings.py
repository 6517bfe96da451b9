"""What a checkpoint's training depends on: the recipe for k, sizes, rates and the seed."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.datasets import shapes

LONG, SHORT = 4, 4
SLOTS = (shapes.LONGEST,) * LONG + (7,) * SHORT
"""Tokens of the questions about an image in a step. About half of all questions have at most 7;
with equal slots a seventh more would be computed, on padding."""


@dataclass(frozen=True)
class Recipe:
    """How k is chosen in training.

    Attributes
    ----------
    ks : tuple of int
        Every batch holds each of them equally often, drawn image by image.
    even : float
        Weight of the unevenness of the chosen experts' weights in the loss. Without it the first
        expert takes most of the weight when k varies, so that further ones change little.
    """

    ks: tuple[int, ...]
    even: float = 0.0


RECIPES = {"fixed4": Recipe((4,)), "anyk": Recipe((1, 2, 3, 4, 6, 8, 12, 16), even=0.01)}


@dataclass(frozen=True)
class Settings:
    """What the outcome depends on.

    Attributes
    ----------
    recipe : str
        One of `RECIPES`.
    seed : int
        Of the weights, the order of the images, the choice of questions and of k.
    images : int
        Unique training images.
    stored : int
        Questions kept of each image, of which a step takes as many as `SLOTS` at random.
    batch : int
        Images a step.
    rate, decay, beta : float
        AdamW's highest learning rate, weight decay and second beta.
    warm_up : int
        Steps of linear warm-up; a cosine follows.
    balance : float
        Step of the routing bias towards experts that are chosen too rarely
        (Wang et al. 2024, arXiv:2408.15664).
    """

    recipe: str
    seed: int = 0
    images: int = 600_000
    stored: int = 16
    batch: int = 512
    rate: float = 2e-3
    decay: float = 0.05
    beta: float = 0.98
    warm_up: int = 300
    balance: float = 1e-3
