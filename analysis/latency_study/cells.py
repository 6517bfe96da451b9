"""Times by cell: what was timed, how, at how many image tokens and requests at once."""

from __future__ import annotations

import pandas as pd

from analysis.latency import PER_TOKEN, PHASES
from complexity.errors import InputError

#: What tells cells apart; within a cell only k varies.
CELL = ("device", "model", "dtype", "decode_mode", "phase", "batch", "image_tokens")
#: Of a `dtype` or `decode_mode` that no row tells.
NOT_TOLD = "not told"
REPEAT, REQUEST = "repeat", "request"
_SETTING = [name for name in CELL if name != "phase"]


def units(latency: pd.DataFrame) -> pd.DataFrame:
    """Average what is not independent: one row per cell × session × unit × k.

    The unit is what was timed again and again at every k. At batch 1 it is the request (the
    sample where rows name one), its repeats averaged; with a single request it is the repeat.
    The requests of a batch share their time, so there it is the repeat, its requests averaged,
    and the request only where nothing was repeated.

    Parameters
    ----------
    latency : DataFrame
        The latency table, with all its columns.

    Returns
    -------
    DataFrame
        `CELL` (`image_tokens` 0 where no row tells them; `phase` also ``tpot_ms``, `decode_ms`
        per generated token after the first), `item` (the unit), `unit` (``repeat`` or
        ``request``), `run` (the session), `k`, `ms`, `order` (mean place in the session within
        the cell, scaled to 0-1; 0 where it does not vary). Cells in order of device, model,
        dtype and way as they appear, then phase, batch, tokens and k.

    Raises
    ------
    InputError
        When some rows tell their image tokens and others do not: sizes would be mixed.
    """
    rows = latency.copy()
    known = rows["n_image_tokens"].notna()
    if known.any() and not known.all():
        raise InputError(
            f"latency: n_image_tokens is empty in {int((~known).sum()):,} of {len(rows):,} rows; "
            "fill it in, because times are compared at the same number of image tokens"
        )
    rows["image_tokens"] = rows["n_image_tokens"].astype("Int64").fillna(0).astype("int64")
    for name in ("dtype", "decode_mode"):
        rows[name] = rows[name].astype(object).where(rows[name].notna(), NOT_TOLD)
    later = rows["n_new_tokens"].astype("Float64").astype(float) - 1
    rows[PER_TOKEN] = rows["decode_ms"].astype(float) / later.where(later > 0)
    rows["order"] = rows["order"].astype(float)
    rows["run"] = rows["run"].astype(str)
    named = rows["sample_id"].notna()
    request = (
        rows["sample_id"].astype(object).where(named, "request " + rows["request"].astype(str))
    )
    repeat = "repeat " + rows["repeat"].astype(str)

    setting = [rows[name] for name in _SETTING]
    n_requests = request.groupby(setting, sort=False).transform("nunique")
    n_repeats = (rows["run"] + "\0" + repeat).groupby(setting, sort=False).transform("nunique")
    alone = rows["batch"] == 1
    by_request = (alone & (n_requests > 1)) | (~alone & (n_repeats == 1))
    rows["item"] = request.where(by_request, repeat)
    rows["unit"] = pd.Series(REQUEST, index=rows.index).where(by_request, REPEAT)

    long = rows.melt(
        id_vars=[*_SETTING, "item", "unit", "run", "k", "order"],
        value_vars=[*PHASES, PER_TOKEN],
        var_name="phase",
        value_name="ms",
    ).dropna(subset=["ms"])
    long["ms"] = long["ms"].astype(float)
    keys = [*CELL, "item", "unit", "run", "k"]
    means = long.groupby(keys, sort=False)[["ms", "order"]].mean().reset_index()
    place = means.groupby([*CELL, "run"], sort=False)["order"]
    low, width = place.transform("min"), place.transform("max") - place.transform("min")
    means["order"] = ((means["order"] - low) / width.where(width > 0)).fillna(0.0)
    return _in_order(means)


def summarise(units: pd.DataFrame) -> pd.DataFrame:
    """Describe each cell at each k: the median over units, and how far they spread.

    Parameters
    ----------
    units : DataFrame
        From `units`.

    Returns
    -------
    DataFrame
        `CELL`, `k`, `median_ms`, `q1_ms`, `q3_ms` (quartiles, linear between order statistics),
        `min_ms`, `max_ms`, `mean_ms`, `sd_ms` (over n − 1; NaN of one), `n_units`, `unit`
        (what was timed again: repeats, or requests).
    """
    keys = [*CELL, "k"]
    times = units.groupby(keys, sort=False)["ms"]
    found = pd.DataFrame(
        {
            "median_ms": times.median(),
            "q1_ms": times.quantile(0.25),
            "q3_ms": times.quantile(0.75),
            "min_ms": times.min(),
            "max_ms": times.max(),
            "mean_ms": times.mean(),
            "sd_ms": times.std(ddof=1),
            "n_units": times.size(),
            "unit": units.groupby(keys, sort=False)["unit"].first(),
        }
    )
    return found.reset_index()


def one_time_for_all_k(summary: pd.DataFrame) -> bool:
    """Whether in every cell of a summary all k have the very same times, and k are several."""
    keys = [name for name in CELL if name in summary]
    times = ["median_ms", "min_ms", "max_ms", "mean_ms"]
    first = summary.groupby(keys, sort=False)[times].transform("first")
    return bool((summary[times] == first).to_numpy().all()) and len(summary["k"].unique()) > 1


def cells(frame: pd.DataFrame) -> list[tuple[dict[str, object], pd.DataFrame]]:
    """Part a frame by cell, in order of its rows: what names the cell, and its rows."""
    return [
        (dict(zip(CELL, key, strict=True)), rows)
        for key, rows in frame.groupby(list(CELL), sort=False)
    ]


def _in_order(means: pd.DataFrame) -> pd.DataFrame:
    rank = pd.DataFrame(index=means.index)
    for name in CELL[:4]:
        rank[name] = pd.factorize(means[name])[0]
    rank["phase"] = means["phase"].map({name: i for i, name in enumerate((*PHASES, PER_TOKEN))})
    rank = rank.assign(**{name: means[name] for name in ("batch", "image_tokens", "k")})
    order = rank.sort_values(list(rank.columns), kind="stable").index
    return means.loc[order].reset_index(drop=True)
