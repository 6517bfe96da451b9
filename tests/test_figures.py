from __future__ import annotations

import io
import itertools
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from analysis.report import figures
from analysis.report.figures import frames, saving, style
from analysis.report.figures.frontier import on_frontier

SHAPES = Path(__file__).parents[1] / "data_manifests" / "shapes"
RANGES = {"low": "≤ 16", "mid": "16 < c ≤ 32", "high": "> 32"}
LONG_NAMES = (
    "Qwen3-VL-30B-A3B-Instruct-with-random-k-finetuning",
    "org/very_long_model_name_without_end_v2.1_final",
    "m$x$_a",
    "A",
    "Modèle-β",
    "LFM2-VL",
    "fixed4_3k",
    "anyk",
)


class Frames(NamedTuple):
    curves: pd.DataFrame
    by_bucket: pd.DataFrame
    common: pd.DataFrame
    latency: pd.DataFrame
    front: pd.DataFrame
    examples: dict[str, list[tuple[str, Any, float]]]


@cache
def study() -> Frames:
    """The shapes study by object count: accuracy with image-cluster errors, shares, latency."""
    samples = pd.read_parquet(SHAPES / "samples.parquet")
    results = pd.read_parquet(SHAPES / "results.parquet")
    table = results.merge(samples[["sample_id", "image_id", "n_objects"]], on="sample_id")
    table["bucket"] = pd.cut(table["n_objects"], [0, 16, 32, 48], labels=list(RANGES)).astype(str)
    rng = np.random.default_rng(1)
    curves, shares, common = [], [], []
    for model in results["checkpoint"].drop_duplicates():
        gaps: dict[int, float] = {}
        for bucket in RANGES:
            rows = table[(table["checkpoint"] == model) & (table["bucket"] == bucket)]
            cells = rows.pivot_table(index="image_id", columns="k", values="correct", aggfunc="sum")
            size = rows.groupby("image_id").size().to_numpy()[:, None] / cells.shape[1]
            sums, ks = cells.to_numpy(dtype=float), [int(k) for k in cells]
            mean = sums.sum(axis=0) / size.sum()
            influence = (sums - size * mean) / size.sum()
            cov = influence.T @ influence * len(sums) / (len(sums) - 1)
            se = np.sqrt(np.diag(cov))
            draws = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), 400)
            wins = np.argmax(np.round(draws @ sums / (draws @ size), 12), axis=1)
            best = int(np.argmax(mean))
            spread = np.sqrt(np.maximum(np.diag(cov) + cov[best, best] - 2 * cov[best], 1e-18))
            z = (mean[best] - mean) / spread
            for i, k in enumerate(ks):
                bounds = (mean[i] - 1.96 * se[i], mean[i] + 1.96 * se[i])
                curves.append((model, bucket, k, mean[i], *bounds))
                shares.append((model, bucket, k, np.mean(wins == i), i == best, z[i] < 2.2))
                if bucket != "mid":
                    gaps[k] = max(gaps.get(k, 0.0), float(z[i]))
        common += [(model, k, z < 2.2, float(np.exp(-(z**2)))) for k, z in gaps.items()]
    curve_frame = pd.DataFrame(curves, columns=["model", "bucket", "k", *ACCURACY])
    latency = _latency()
    chosen = latency[latency["device"].str.startswith("cpu")][["model", "k", "mean_ms"]]
    return Frames(
        curves=curve_frame,
        by_bucket=pd.DataFrame(shares, columns=["model", "bucket", "k", "share", "best", "in_set"]),
        common=pd.DataFrame(common, columns=["model", "k", "serves_both", "p"]),
        latency=latency,
        front=curve_frame.merge(
            chosen.rename(columns={"mean_ms": "latency_ms"}), on=["model", "k"], how="left"
        ),
        examples=_examples(samples),
    )


ACCURACY = ["accuracy", "ci_low", "ci_high"]


def _latency() -> pd.DataFrame:
    raw = pd.read_parquet(SHAPES / "latency.parquet")
    keys = ["device", "model", "k"]
    items = raw.groupby([*keys, "sample_id"])["prefill_ms"].mean().reset_index()
    means = items.groupby(keys)["prefill_ms"].agg(["mean", "sem"]).reset_index()
    return pd.DataFrame(
        {
            **{key: means[key] for key in keys},
            "phase": "prefill_ms",
            "mean_ms": means["mean"],
            "ci_low": means["mean"] - 1.96 * means["sem"],
            "ci_high": means["mean"] + 1.96 * means["sem"],
        }
    )


def _examples(samples: pd.DataFrame) -> dict[str, list[tuple[str, Any, float]]]:
    images = pd.read_parquet(SHAPES / "images.parquet").set_index("image_id")["image"]
    counts = samples.drop_duplicates("image_id").set_index("image_id")["n_objects"]
    groups = {}
    for bucket, (low, high) in zip(RANGES, [(0, 16), (16, 32), (32, 48)], strict=True):
        chosen = counts[(counts > low) & (counts <= high)].sort_values(kind="stable").iloc[::225]
        groups[bucket] = [
            (image, np.asarray(Image.open(io.BytesIO(images[image]["bytes"])).convert("RGB")), n)
            for image, n in chosen.items()
        ]
    return groups


def draw(name: str) -> Figure:
    data = study()
    if name == "accuracy":
        return figures.accuracy_curves(data.curves, metric="object_count", bucket_ranges=RANGES)
    if name == "latency":
        return figures.latency_curves(data.latency)
    if name == "frontier":
        return figures.frontier(
            data.front, device="cpu-1thread-fp32", phase="prefill_ms", bucket_ranges=RANGES
        )
    if name == "optimal":
        return figures.optimal_k(data.by_bucket, data.common, RANGES, metric="object_count")
    return figures.example_images(data.examples, metric="object_count")


FIGURES = ["accuracy", "latency", "frontier", "optimal", "examples"]


def visible_texts(fig: Figure) -> list[Text]:
    """Every text on the page; tick labels beyond an axis' ends are not drawn."""
    texts = {id(t): t for t in fig.findobj(Text) if isinstance(t, Text)}
    for ax in (a for axes in fig.axes for a in (axes, *axes.child_axes)):
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low <= tick.get_loc() <= high:
                    texts.pop(id(tick.label1), None)
                    texts.pop(id(tick.label2), None)
            texts.pop(id(axis.get_offset_text()), None)
    return [t for t in texts.values() if t.get_visible() and t.get_text().strip()]


def assert_tidy(fig: Figure) -> None:
    """All text is on the page, none covers another, and no data lie beyond the axes."""
    fig.draw_without_rendering()
    page = fig.bbox.padded(1.0)
    boxes = [(text.get_text(), text.get_window_extent()) for text in visible_texts(fig)]
    for name, box in boxes:
        assert page.x0 <= box.x0 and box.x1 <= page.x1, f"{name!r} leaves the page sideways"
        assert page.y0 <= box.y0 and box.y1 <= page.y1, f"{name!r} leaves the page"
    for (name, box), (other, other_box) in itertools.combinations(boxes, 2):
        assert not box.padded(-0.7).overlaps(other_box.padded(-0.7)), f"{name!r} over {other!r}"
    for ax in fig.axes:
        for line in ax.get_lines():
            x, y = (np.asarray(values, dtype=float) for values in line.get_data())
            (x0, x1), (y0, y1) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
            assert np.all((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))


def legend_texts(fig: Figure) -> list[str]:
    return [text.get_text() for text in fig.legends[0].get_texts()]


def footnote(fig: Figure) -> str:
    notes = [text for text in fig.texts if text.get_label() == "footnote"]
    return " ".join(text.get_text().replace("\n", " ") for text in notes)


def tick_texts(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels() if label.get_text()]


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_of_the_study_is_tidy_and_saved_alike_twice(name: str, tmp_path: Path) -> None:
    fig = draw(name)
    assert_tidy(fig)
    assert fig.get_figwidth() <= style.PAGE
    first = figures.save(fig, tmp_path / "one" / "v1.0")
    second = figures.save(draw(name), tmp_path / "two" / "v1.0")
    assert [path.name for path in first] == ["v1.0.pdf", "v1.0.svg", "v1.0.png"]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
    assert len(list((tmp_path / "one").iterdir())) == 3


def test_saving_again_and_saving_after_another_figure_change_nothing(tmp_path: Path) -> None:
    fig = draw("optimal")
    first = [path.read_bytes() for path in figures.save(fig, tmp_path / "a")]
    figures.save(draw("accuracy"), tmp_path / "other")
    assert [path.read_bytes() for path in figures.save(fig, tmp_path / "b")] == first


def test_files_are_fit_for_papers(tmp_path: Path) -> None:
    pdf, svg, png = figures.save(draw("accuracy"), tmp_path / "figure")
    assert b"CreationDate" not in pdf.read_bytes()
    assert b"/FontFile2" in pdf.read_bytes()  # TrueType, which submission systems accept
    drawing = svg.read_text(encoding="utf-8")
    assert "dc:date" not in drawing
    for words in ("active experts k (log scale)", "fixed4", "mid (16 &lt; c ≤ 32)"):
        assert words in drawing
    with Image.open(png) as picture:
        assert picture.width == 1400
        assert round(picture.info["dpi"][0]) == 200
        assert set(picture.info) == {"dpi"}


def test_the_users_settings_neither_change_nor_matter(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    expected = [p.read_bytes() for p in figures.save(draw("accuracy"), tmp_path / "a")]
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        paths = figures.save(draw("accuracy"), tmp_path / "b")
        assert dict(matplotlib.rcParams) == before
    assert [path.read_bytes() for path in paths] == expected
    assert plt.get_fignums() == []


def test_notebooks_can_show_a_figure() -> None:
    png = draw("latency")._repr_png_()  # type: ignore[attr-defined]
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.width == 7 * 144


def test_accuracy_panels_show_measured_k_and_buckets_in_order() -> None:
    fig = draw("accuracy")
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["fixed4", "anyk"]
    for ax in fig.axes:
        assert tick_texts(ax.xaxis) == ["1", "2", "3", "4", "6", "8", "12", "16"]
        assert list(ax.xaxis.get_majorticklocs()) == [1, 2, 3, 4, 6, 8, 12, 16]
        assert ax.get_xscale() == "log"
        assert [line.get_label() for line in ax.get_lines()] == ["low", "mid", "high"]
    (legend,) = fig.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "low (≤ 16)",
        "mid (16 < c ≤ 32)",
        "high (> 32)",
    ]
    assert legend.get_title().get_text() == "object count of the image"
    colors = [line.get_color() for line in fig.axes[0].get_lines()]
    assert [handle.get_color() for handle in legend.legend_handles] == colors
    rows = study().curves.query("model == 'anyk' and bucket == 'mid'")
    drawn = fig.axes[1].get_lines()[1].get_ydata()
    np.testing.assert_allclose(drawn, 100 * rows["accuracy"])


def test_bucket_order_comes_from_ranges_then_categories_then_rows() -> None:
    shuffled = pd.Series(["high", "low", "mid"])
    assert frames.bucket_order(shuffled, RANGES) == ["low", "mid", "high"]
    assert frames.bucket_order(shuffled, None) == ["high", "low", "mid"]
    ordered = shuffled.astype(pd.CategoricalDtype(["low", "mid", "high"], ordered=True))
    assert frames.bucket_order(ordered, None) == ["low", "mid", "high"]
    with pytest.raises(ValueError, match="'high' has no range"):
        frames.bucket_order(shuffled, {"low": "≤ 8", "mid": ""})


@pytest.mark.parametrize("n", range(2, 7))
def test_bucket_colors_darken_step_by_step(n: int) -> None:
    luminance = [np.dot(color, [0.2126, 0.7152, 0.0722]) for color in style.bucket_colors(n)]
    assert np.all(np.diff(luminance) < -0.06)


def test_latency_axes_start_at_zero() -> None:
    fig = draw("latency")
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["NVIDIA H200", "cpu-1thread-fp32"]
    for ax in fig.axes:
        assert ax.get_ylim()[0] == 0
        assert ax.get_ylabel() == "prefill latency (ms)"
        assert tick_texts(ax.xaxis) == ["1", "2", "3", "4", "6", "8", "12", "16"]


def test_a_phase_that_never_ran_has_no_panel() -> None:
    rows = study().latency
    none = rows.assign(phase="decode_ms", mean_ms=0.0, ci_low=0.0, ci_high=0.0)
    fig = figures.latency_curves(pd.concat([rows, none], ignore_index=True))
    assert {ax.get_ylabel() for ax in fig.axes} == {"prefill latency (ms)"}


def test_frontier_names_models_without_latency_and_every_k() -> None:
    front = study().front
    untimed = [
        front[front["model"] == model].assign(model=f"{model}_3k", latency_ms=np.nan)
        for model in ("fixed4", "anyk")
    ]
    fig = figures.frontier(
        pd.concat([front, *untimed], ignore_index=True),
        device="cpu-1thread-fp32",
        phase="prefill_ms",
        bucket_ranges=RANGES,
    )
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["fixed4", "anyk"]
    assert legend_texts(fig)[-1] == "dominated (point estimates)"
    label = fig.get_supxlabel()
    assert label == "prefill latency (ms) on cpu-1thread-fp32\nno latency: fixed4_3k, anyk_3k"
    (top,) = fig.axes[0].child_axes
    assert tick_texts(top.xaxis) == ["k = 1", "2", "3", "4", "6", "8", "12", "16"]


def test_frontier_without_any_latency_is_refused() -> None:
    with pytest.raises(ValueError, match="no row has both"):
        figures.frontier(study().front.assign(latency_ms=np.nan), device="d", phase="prefill_ms")


def test_frontier_points() -> None:
    cost = np.array([1.0, 2.0, 2.0, 3.0, 4.0, 4.0])
    value = np.array([0.5, 0.7, 0.6, 0.7, 0.9, 0.9])
    assert list(on_frontier(cost, value)) == [True, True, False, False, True, True]


@given(arrays(float, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(0, 4)))
def test_every_point_off_the_frontier_is_beaten_by_one_on_it(points: Any) -> None:
    cost, value = points.T
    on = on_frontier(cost, value)
    assert on.any()
    for i in np.flatnonzero(~on):
        assert np.any(on & (cost <= cost[i]) & (value >= value[i]))
    for i, j in itertools.permutations(np.flatnonzero(on), 2):
        same = cost[i] == cost[j] and value[i] == value[j]
        assert same or cost[i] < cost[j] or value[i] > value[j]
    # The order of the points tells nothing, ties included.
    np.testing.assert_array_equal(on_frontier(cost[::-1], value[::-1]), on[::-1])


def test_optimal_k_marks_what_the_frames_say() -> None:
    data = study()
    fig = draw("optimal")
    for ax in fig.axes:
        model = ax.get_title(loc="left")
        rows = data.by_bucket[data.by_bucket["model"] == model]
        common = data.common[data.common["model"] == model]
        ks = sorted(rows["k"].unique())
        assert tick_texts(ax.xaxis) == [str(k) for k in ks]
        framed = [p for p in ax.patches if p.get_edgecolor()[3] > 0]
        assert len(framed) == rows["in_set"].sum()
        assert len(ax.patches) == len(rows) + len(common)
        dots = sorted(
            (list(RANGES)[round(line.get_ydata()[0] - 0.33)], ks[round(line.get_xdata()[0] - 0.35)])
            for line in ax.get_lines()
        )
        best = rows[rows["best"]]
        assert dots == sorted(zip(best["bucket"], best["k"], strict=True))
        serving = [
            p for p in ax.patches if matplotlib.colors.to_hex(p.get_facecolor()) == "#f0c36a"
        ]
        assert len(serving) == common["serves_both"].sum()
    labels = [label.get_text() for label in fig.axes[0].get_yticklabels()]
    assert labels == ["low (≤ 16)", "mid (16 < c ≤ 32)", "high (> 32)", "both ends"]


def test_optimal_k_without_a_common_test_has_no_strip() -> None:
    data = study()
    fig = figures.optimal_k(data.by_bucket, data.common.iloc[:0])
    assert tick_texts(fig.axes[0].yaxis) == ["low", "mid", "high"]
    assert legend_texts(fig) == [
        "bootstrap share of best k (%)",
        "best k",
        "not distinguishable from it at .05",
    ]


def test_optimal_k_names_what_the_strip_shows() -> None:
    assert legend_texts(draw("optimal"))[-2:] == ["not rejected at both ends (p)", "rejected (p)"]


def test_every_tied_best_k_has_its_dot() -> None:
    rows = pd.DataFrame(
        {
            "model": "m",
            "bucket": ["low"] * 4 + ["high"] * 4,
            "k": [1, 2, 4, 8] * 2,
            "share": [0.3, 0.3, 0.4, 0.0, 0.1, 0.2, 0.3, 0.4],
            "best": [True, True, False, True, False, False, False, True],
            "in_set": True,
        }
    )
    common = pd.DataFrame(
        {"model": "m", "k": [1, 2, 4, 8], "serves_both": True, "p": [1.0, 0.997, 0.5, 0.06]}
    )
    fig = figures.optimal_k(rows, common)
    assert_tidy(fig)
    dots = {
        (round(x[0] - 0.35), round(y[0] - 0.33))
        for x, y in (line.get_data() for line in fig.axes[0].get_lines())
    }
    assert dots == {(0, 0), (1, 0), (3, 0), (3, 1)}
    texts = [text.get_text() for text in fig.axes[0].texts]
    assert texts[-4:] == ["1", ">.99", ".50", ".060"]


def test_footnotes_say_what_the_intervals_are() -> None:
    paired = "95 %, clustered by image; k are paired within questions, so overlap is no test"
    assert footnote(draw("accuracy")) == f"bands: {paired}; y axes differ"
    times = "x: mean over all timed samples, the same for every bucket"
    assert footnote(draw("frontier")) == f"bars: {paired}; {times}; axes differ"
    assert footnote(draw("latency")).startswith("bars: 95 %, clustered by image;")
    one = study().curves.query("model == 'anyk'")
    assert footnote(figures.accuracy_curves(one, metric="object_count")) == f"bands: {paired}"
    bare = one.assign(ci_low=np.nan, ci_high=np.nan)
    assert footnote(figures.accuracy_curves(bare, metric="object_count")) == ""


def test_a_footnote_stands_below_the_label_of_the_axes() -> None:
    for fig in (draw("accuracy"), draw("frontier")):
        fig.draw_without_rendering()
        (note,) = [text for text in fig.texts if text.get_label() == "footnote"]
        label = fig._supxlabel  # type: ignore[attr-defined]
        assert note.get_window_extent().y0 >= 0
        assert note.get_window_extent().y1 < label.get_window_extent().y0


def test_example_images_carry_their_values() -> None:
    data = study()
    fig = draw("examples")
    drawn = [(ax.images[0].get_array(), ax.get_xlabel()) for ax in fig.axes if ax.images]
    given_ = [(rgb, f"{value}") for group in data.examples.values() for _, rgb, value in group]
    for (shown, label), (rgb, value) in zip(drawn, given_, strict=True):
        np.testing.assert_array_equal(shown, rgb)
        assert label == value


def test_example_images_of_any_shape_and_number() -> None:
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (900, 20), (20, 900), (1500, 1500)]
    group = [
        (f"i{i}", rng.integers(0, 255, (*shape, 3), dtype=np.uint8), 0.01234 * i)
        for i, shape in enumerate(shapes)
    ]
    fig = figures.example_images(
        {"1 of 3": group, "2 of 3": group[:1], "3 of 3": []}, metric="edge_density"
    )
    assert_tidy(fig)
    assert [ax.get_xlabel() for ax in fig.axes[:4]] == ["0.0000", "0.0123", "0.0247", "0.0370"]
    assert max(ax.images[0].get_array().shape[0] for ax in fig.axes[:4]) <= 384
    with pytest.raises(ValueError, match="no image"):
        figures.example_images({"low": []}, metric="edge_density")


K12 = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32]


def made_up(n_models: int, n_buckets: int, ks: list[int], *, perfect: bool = False) -> Frames:
    rng = np.random.default_rng(0)
    buckets = [f"{i + 1} of {n_buckets}" for i in range(n_buckets)]
    curves, shares, common = [], [], []
    for m, model in enumerate(LONG_NAMES[:n_models]):
        for b, bucket in enumerate(buckets):
            if m == 1 and b == 0:
                continue  # a bucket that one model has no result in
            base = np.ones(len(ks)) if perfect else 0.95 - 0.05 * b - 0.1 / np.array(ks)
            share = rng.dirichlet(np.ones(len(ks)))
            for i, k in enumerate(ks):
                half = 0 if perfect else 0.02
                curves.append((model, bucket, k, base[i], base[i] - half, base[i] + half))
                shares.append((model, bucket, k, share[i], share[i] == share.max(), i % 2 == 0))
        common += [(model, k, i % 3 > 0, [1e-9, 0.3, 1.0][i % 3]) for i, k in enumerate(ks)]
    frame = pd.DataFrame(curves, columns=["model", "bucket", "k", *ACCURACY])
    times = frame[["model", "k"]].drop_duplicates().assign(phase="ttft_ms")
    times["mean_ms"] = 100 + 9.0 * times["k"]
    times = times.assign(ci_low=times["mean_ms"] - 3, ci_high=times["mean_ms"] + 3)
    devices = ["gpu", "a-very-long-device-name-of-a-rented-machine", "cpu"][: min(n_models, 3)]
    front = frame.assign(latency_ms=10 + 1.1 * frame["k"])
    front.loc[front["model"].isin(LONG_NAMES[4:6]), "latency_ms"] = np.nan
    return Frames(
        curves=frame,
        by_bucket=pd.DataFrame(shares, columns=["model", "bucket", "k", "share", "best", "in_set"]),
        common=pd.DataFrame(common, columns=["model", "k", "serves_both", "p"]),
        latency=pd.concat([times.assign(device=device) for device in devices]),
        front=front,
        examples={bucket: [] for bucket in buckets},
    )


@pytest.mark.parametrize(
    ("n_models", "n_buckets", "ks", "perfect"),
    [
        (1, 2, [1, 2], False),
        (1, 6, K12, False),
        (2, 3, [1, 2, 4, 8], True),
        (3, 2, [2, 4, 8], False),
        (5, 4, [1, 2, 4, 8, 16], False),
        (8, 6, K12, False),
    ],
)
def test_figures_stay_tidy_at_any_size(
    n_models: int, n_buckets: int, ks: list[int], perfect: bool
) -> None:
    data = made_up(n_models, n_buckets, ks, perfect=perfect)
    ranges = {f"{i + 1} of {n_buckets}": f"{i * 10.25} < c ≤ 99.5" for i in range(n_buckets)}
    for fig in (
        figures.accuracy_curves(data.curves, metric="segment_count", bucket_ranges=ranges),
        figures.optimal_k(data.by_bucket, data.common, ranges, metric="segment_count"),
        figures.frontier(
            data.front, device="NVIDIA H200 (bf16)", phase="ttft_ms", bucket_ranges=ranges
        ),
        figures.latency_curves(data.latency),
    ):
        assert_tidy(fig)
        assert fig.get_figwidth() <= style.PAGE
        assert fig.get_figheight() <= 10


def test_intervals_may_be_missing(tmp_path: Path) -> None:
    data = study()
    bare = {"ci_low": np.nan, "ci_high": np.nan}
    figures.save(
        figures.accuracy_curves(data.curves.assign(**bare), metric="object_count"), tmp_path / "a"
    )
    figures.save(figures.latency_curves(data.latency.assign(**bare)), tmp_path / "b")
    fig = figures.frontier(data.front.assign(**bare), device="cpu", phase="prefill_ms")
    figures.save(fig, tmp_path / "c")


def test_wrong_frames_are_named() -> None:
    curves = study().curves
    with pytest.raises(ValueError, match="accuracy curves: no column ci_low"):
        figures.accuracy_curves(curves.drop(columns="ci_low"), metric="object_count")
    with pytest.raises(ValueError, match="nothing to draw"):
        figures.accuracy_curves(curves.iloc[:0], metric="object_count")


def test_phases_in_words() -> None:
    assert frames.phase_words("prefill_ms") == "prefill latency (ms)"
    assert frames.phase_words("ttft_ms") == "time to first token (ms)"
    assert frames.phase_words("total_ms") == "total latency (ms)"


def test_generated_ids_of_an_svg_are_numbered_and_still_refer() -> None:
    svg = (
        '<clipPath id="pd50c2b1db1"/><path id="m0123456789"/><path id="C0_0_abcdef0123"/>'
        '<g clip-path="url(#pd50c2b1db1)" style="fill: #ececec"><use xlink:href="#m0123456789"/>'
        '<use xlink:href="#C0_0_abcdef0123"/></g><g id="axes_1"/>'
    )
    assert saving.numbered_ids(svg) == (
        '<clipPath id="id0"/><path id="id1"/><path id="id2"/>'
        '<g clip-path="url(#id0)" style="fill: #ececec"><use xlink:href="#id1"/>'
        '<use xlink:href="#id2"/></g><g id="axes_1"/>'
    )
