"""From a table of scores, and latencies where there are any, to the worth of k for each model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.numerals import k_list
from analysis.optimum.cells import Cells, cells_of, complete_samples
from analysis.optimum.resample import image_weights
from analysis.threads import one_thread
from analysis.worth.answer import PolicyValue, Worth
from analysis.worth.cross_fit import N_FOLDS, N_REPEATS, ByImage, policy_value
from analysis.worth.latencies import Timed, timed_items
from analysis.worth.non_inferior import NonInferior, non_inferior
from analysis.worth.rules import Rule
from analysis.worth.utility import GroupUtility, group_utility
from complexity.errors import InputError, did_you_mean, listing

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
SEED = 20261123
MARGIN = 0.01
N_BOOT = 2_000
ALL = "all"
#: With fewer images a fifth of them says nothing about a policy.
MIN_IMAGES = 20
#: A limit that rests on fewer images with different answers is named.
FEW_DIFFER = 10
#: Prices at which the time between the fastest and the slowest k counts as much as this much
#: accuracy. They come from latency alone, so that no score chooses them.
STAKES = (0.01, 0.03, 0.10)
NO_LATENCY = (
    "without latency there are no prices, no break-even between k, and no time that choosing k "
    "by complexity would save"
)


@one_thread
def worth(
    table: pd.DataFrame,
    metric: str,
    labels: pd.Series,
    latency: pd.DataFrame | None = None,
    *,
    margin: float = MARGIN,
    learn_cuts: bool = True,
    seed: int = SEED,
    n_boot: int = N_BOOT,
    n_folds: int = N_FOLDS,
    n_repeats: int = N_REPEATS,
) -> tuple[Worth, ...]:
    """Say, for each model of a table, what a choice of k is worth.

    Parameters
    ----------
    table : DataFrame
        One row per model × sample × k with `model`, `image_id`, `sample_id`, `k`, `score` (in
        [0, 1]) and the metric.
    metric : str
        Column with the complexity of the row's image.
    labels : Series of ordered categories, index image id
        Complexity bucket of each image.
    latency : DataFrame, optional
        `model`, `item` (a sample's id where it is known), `k` and `ms` of one device and one
        phase, as `analysis.latency.by_item` gives them.
    margin : float
        Non-inferiority margin, share of accuracy in [0, 1).
    learn_cuts : bool
        Cut as many quantile buckets anew in each training fold. False: the buckets were fixed
        before looking (edges, or a column), and `labels` are used throughout.
    seed : int
        Seed of bootstrap, Monte Carlo and folds; each model and metric draws from its own
        stream.
    n_boot : int
        Image-cluster bootstrap resamples behind break-even prices.
    n_folds, n_repeats : int
        Folds by image, and how often they are drawn.

    Returns
    -------
    tuple of Worth
        One per model with two or more k on the same questions, in the order of first
        appearance. What cannot be
        said is missing there, and `notes` say why.

    Raises
    ------
    InputError
        When a column is missing or impossible, no image has both scores and complexity, no
        model has two k, or `latency` holds more than one device or phase.
    """
    _check(table, metric, latency, margin)
    scored = table[table["score"].notna() & table[metric].notna()]
    rows = scored.assign(image_id=scored["image_id"].astype(str))
    labels = labels.rename(index=str)
    rows = rows[rows["image_id"].isin(labels.index[labels.notna()])]
    if not len(rows):
        raise InputError(
            f"no image has scores, {metric} and a bucket: check that the columns are filled and "
            "the ids match."
        )
    image_of = rows.drop_duplicates("sample_id").set_index("sample_id")["image_id"]
    settings = _Settings(metric, margin, learn_cuts, n_boot, n_folds, n_repeats)
    found = []
    refused: dict[str, str] = {}
    for model, of_model in rows.groupby("model", sort=False, observed=True):
        if of_model["k"].nunique() < 2:
            continue
        digest = hashlib.sha256(f"worth\0{model}\0{metric}".encode()).digest()
        rng = np.random.default_rng(np.random.SeedSequence([seed, *digest]))
        items = None if latency is None else latency[latency["model"].astype(str) == str(model)]
        try:
            found.append(_one_model(str(model), of_model, labels, items, image_of, settings, rng))
        except InputError as error:
            # One model that cannot be answered must not silence the others.
            refused[str(model)] = str(error)
    if not found and refused:
        raise InputError(listing(f"{model}: {why}" for model, why in refused.items()))
    if not found:
        raise InputError(
            f"every model has results at one k only (k = {listing(sorted(rows['k'].unique()))}): "
            "to choose a k takes results at two or more. Add the others under `results:`."
        )
    return tuple(found)


@dataclass(frozen=True)
class _Settings:
    metric: str
    margin: float
    learn_cuts: bool
    n_boot: int
    n_folds: int
    n_repeats: int


def _check(table: pd.DataFrame, metric: str, latency: pd.DataFrame | None, margin: float) -> None:
    for name in ("model", "image_id", "sample_id", "k", "score", metric):
        if name not in table.columns:
            raise InputError(
                f"the table has no column '{name}'{did_you_mean(name, map(str, table.columns))}. "
                "It needs model, image_id, sample_id, k, score and the metric."
            )
    if not pd.api.types.is_numeric_dtype(table[metric]):
        raise InputError(f"column '{metric}' holds text: a complexity metric must be a number.")
    if not 0 <= margin < 1:
        raise InputError(
            f"the margin is {margin:g}: it is a share of accuracy from 0 to below 1, 0.01 for "
            "one point."
        )
    if latency is None:
        return
    for name in ("model", "item", "k", "ms"):
        if name not in latency.columns:
            raise InputError(
                f"the latencies have no column '{name}'"
                f"{did_you_mean(name, map(str, latency.columns))}. Take the rows of one device "
                "and phase from analysis.by_item."
            )
    for name in ("device", "phase"):
        found = list(latency[name].unique()) if name in latency.columns else []
        if len(found) > 1:
            raise InputError(
                f"the latencies are of more than one {name} ({listing(found)}): they do not add "
                "up. Take the rows of one."
            )


def _one_model(
    model: str,
    rows: pd.DataFrame,
    labels: pd.Series,
    items: pd.DataFrame | None,
    image_of: pd.Series,
    settings: _Settings,
    rng: np.random.Generator,
) -> Worth:
    rows, incomplete = complete_samples(rows)
    notes = [incomplete] if incomplete else []
    cells = cells_of(rows)
    of_image = labels.reindex(list(cells.images))
    names = [str(name) for name in labels.cat.categories]
    present = [name for name in names if (of_image == name).any()]
    if len(present) < len(names):
        absent = [name for name in names if name not in present]
        notes.append(f"bucket {listing(absent)} has no results of this model.")
    bucket = of_image.astype(str).map({name: i for i, name in enumerate(present)})
    index: Indices = np.asarray(bucket, dtype=np.intp)
    by_metric = rows.drop_duplicates("image_id").set_index("image_id")[settings.metric]
    c = by_metric.reindex(list(cells.images)).to_numpy(dtype=np.float64)

    timed: Timed | None = None
    if items is None or not len(items):
        lacking = "given" if items is None else "of this model"
        notes.append(f"no latency {lacking}: {NO_LATENCY}.")
    else:
        timed, said = timed_items(items, cells.ks, image_of, cells.images, index, len(present))
        notes += [f"{text}." for text in said]
        if timed is None:
            notes.append(f"{NO_LATENCY}.")
    groups = {ALL: np.ones(len(index), dtype=bool)} | {
        name: index == i for i, name in enumerate(present)
    }
    utility = []
    if timed is not None:
        utility = [_utility(name, cells, timed, of, settings, rng) for name, of in groups.items()]
    shown = []
    for name, of in groups.items():
        if of.sum() < 2:
            notes.append(f"bucket '{name}' has one image: no smallest k is given.")
            continue
        shown.append(non_inferior(name, cells.take(of), settings.margin, rng))
    notes += _few(shown)
    value, why = _value(cells, c, index, len(present), timed, settings, rng)
    return Worth(
        model=model,
        metric=settings.metric,
        ks=cells.ks,
        buckets=tuple(present),
        n_images=len(cells.images),
        n_samples=int(cells.counts[:, 0].sum()),
        margin=settings.margin,
        latency=None if timed is None else timed.basis,
        utility=tuple(utility),
        non_inferior=tuple(shown),
        value=tuple(value),
        notes=tuple(notes + why),
    )


def _utility(
    name: str,
    cells: Cells,
    timed: Timed,
    of: NDArray[np.bool_],
    settings: _Settings,
    rng: np.random.Generator,
) -> GroupUtility:
    columns = [cells.ks.index(k) for k in timed.ks]
    part = cells.take(of)
    clusters = of if timed.basis.by_bucket else np.ones(len(timed.counts), dtype=bool)
    sums, counts = timed.sums[clusters], timed.counts[clusters]
    resampled = None
    if len(part.images) > 1:
        n = settings.n_boot
        images = image_weights(len(part.images), n, rng)
        times = images if timed.basis.by_bucket else image_weights(len(counts), n, rng)
        weighed = times @ counts
        # A resample without one timed image has no latency.
        kept = weighed > 0
        accuracy = (images @ part.sums) / (images @ part.counts)
        resampled = (
            accuracy[kept][:, columns],
            (times[kept] @ sums) / weighed[kept, None],
        )
    return group_utility(
        name,
        timed.ks,
        part.means()[columns],
        timed.means(clusters),
        resampled,
        len(part.images),
        int(counts.sum()),
    )


def _few(shown: list[NonInferior]) -> list[str]:
    thin = [
        f"k = {item.k} in '{item.group}' ({item.n_differ} images)"
        for item in shown
        if item.k is not None and item.k != item.best and (item.n_differ or 0) < FEW_DIFFER
    ]
    if not thin:
        return []
    return [
        f"that {listing(thin)} is within the margin rests on fewer than {FEW_DIFFER} images that "
        "it answers differently from the best k: the limits are rough there."
    ]


def _value(
    cells: Cells,
    c: Array,
    bucket: Indices,
    n_buckets: int,
    timed: Timed | None,
    settings: _Settings,
    rng: np.random.Generator,
) -> tuple[list[PolicyValue], list[str]]:
    n_images = len(cells.images)
    if n_buckets < 2:
        return [], ["there is one bucket of complexity, so k cannot be chosen by it."]
    if n_images < max(MIN_IMAGES, settings.n_folds):
        return [], [
            f"{n_images} images are too few to learn on some and try on others: the value of "
            f"choosing k by complexity wants {MIN_IMAGES} or more."
        ]
    data = ByImage(
        ks=cells.ks,
        sums=cells.sums,
        counts=cells.counts[:, 0],
        c=c,
        n_buckets=n_buckets,
        given=None if settings.learn_cuts else bucket,
    )
    tasks = [(data, Rule("accuracy"))]
    notes = []
    if timed is not None:
        columns = [cells.ks.index(k) for k in timed.ks]
        with_ms = replace(data, ks=timed.ks, sums=cells.sums[:, columns])
        if timed.basis.by_bucket:
            with_ms = replace(with_ms, ms_sums=timed.sums, ms_counts=timed.counts)
        else:
            known = data.counts[:, None] * timed.means()
            with_ms = replace(with_ms, ms_sums=known, ms_counts=data.counts)
            notes.append(
                "in the value of choosing k by complexity latency is taken as known: intervals "
                "hold the sampling of images only."
            )
        if timed.ks == cells.ks:
            tasks = [(with_ms, Rule("accuracy"))]
        span = float(np.ptp(timed.means()))
        if span <= 1e-9 * float(timed.means().max()):
            notes.append("latency is the same at every k: nothing is gained by a smaller one.")
        else:
            tasks += [(with_ms, Rule("utility", price=stake / span)) for stake in STAKES]
            tasks += [
                (with_ms, Rule("equal accuracy")),
                (with_ms, Rule("within margin", margin=settings.margin)),
            ]
    value = [
        policy_value(part, rule, rng, settings.n_folds, settings.n_repeats) for part, rule in tasks
    ]
    same = [item for item in value if item.moved and item.accuracy.se == 0]
    if same:
        ks = sorted({k for item in same for share in item.shares for k in share})
        notes.append(
            f"k = {k_list(ks, 'and')} answer every question of the held-out images alike: an "
            "interval without width says nothing about rarer differences."
        )
    return value, notes
