"""Scenes and questions rendered on all processors, as arrays of bytes."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.datasets import shapes
from data_manifests.shapes.training.model import SIDE, VOCABULARY

Bytes = NDArray[np.uint8]
_CHUNK = 250


def encode(questions: Iterable[tuple[str, str]]) -> Bytes:
    """Spell questions and answers as numbers.

    Parameters
    ----------
    questions : iterable of (str, str)
        Question and answer, of the vocabulary's words.

    Returns
    -------
    ndarray of uint8, shape (questions, LONGEST + 2)
        Token ids padded with 0; the number of tokens; the answer's id.
    """
    rows = list(questions)
    made = np.zeros((len(rows), shapes.LONGEST + 2), np.uint8)
    for row, (question, answer) in zip(made, rows, strict=True):
        ids = [VOCABULARY[word] for word in question.split()]
        row[: len(ids)] = ids
        row[-2:] = len(ids), VOCABULARY[answer]
    return made


def choose_folder(n_bytes: int) -> Path:
    """Return a folder in shared memory if the data fit there, else a temporary one."""
    memory = Path("/dev/shm")
    fits = memory.is_dir() and shutil.disk_usage(memory).free > 1.2 * n_bytes
    return (memory if fits else Path("/tmp")) / "shapes_training"


def training_set(
    n_images: int, n_questions: int, processes: int, folder: Path | None = None
) -> tuple[Bytes, Bytes, float]:
    """Render the training images, or take those of an earlier run.

    Parameters
    ----------
    n_images, n_questions : int
        Images, and questions about each.
    processes : int
        At a time.
    folder : Path, optional
        Where the two files go; see `choose_folder`.

    Returns
    -------
    images : memmap of uint8, shape (images, side, side, 3)
    questions : memmap of uint8, shape (images, questions, LONGEST + 2)
        See `encode`.
    seconds : float
        That rendering took, now or then.
    """
    sizes = ((n_images, SIDE, SIDE, 3), (n_images, n_questions, shapes.LONGEST + 2))
    where = folder or choose_folder(sum(int(np.prod(size)) for size in sizes))
    where.mkdir(parents=True, exist_ok=True)
    stem = f"{shapes.TRAIN_FIRST}_{n_images}_{n_questions}"
    files = (where / f"{stem}_images.u8", where / f"{stem}_questions.u8")
    done = where / f"{stem}.json"
    if not done.exists():
        start = time.monotonic()
        for file, size in zip(files, sizes, strict=True):
            np.memmap(file, np.uint8, "w+", shape=size)
        jobs = [
            (files, sizes, first, min(n_images, first + _CHUNK))
            for first in range(0, n_images, _CHUNK)
        ]
        spread(_fill, jobs, processes)
        done.write_text(json.dumps(time.monotonic() - start), encoding="utf-8")
    images, questions = (
        np.memmap(file, np.uint8, "r+", shape=size) for file, size in zip(files, sizes, strict=True)
    )
    return images, questions, float(json.loads(done.read_text(encoding="utf-8")))


def spread(work: Callable[[Any], Any], jobs: Sequence[Any], processes: int) -> list[Any]:
    """Run jobs on processes, in order; the renderer is compiled once before, and inherited."""
    shapes.training_questions(shapes.scene(shapes.TRAIN_FIRST), 1)
    if processes == 1:
        return [work(job) for job in jobs]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        return pool.map(work, jobs, chunksize=1)


def _fill(job: tuple[Any, ...]) -> None:
    (image_file, question_file), (image_size, question_size), first, last = job
    images = np.memmap(image_file, np.uint8, "r+", shape=image_size)
    questions = np.memmap(question_file, np.uint8, "r+", shape=question_size)
    for i in range(first, last):
        scene = shapes.scene(shapes.TRAIN_FIRST + i)
        images[i] = scene.image
        asked = shapes.training_questions(scene, questions.shape[1])
        questions[i] = encode((q.text, q.answer) for q in asked)


@dataclass(frozen=True)
class Study:
    """Images and questions to be evaluated.

    Attributes
    ----------
    frame : DataFrame
        The samples table, one row per question, in the order of the images.
    images : ndarray of uint8, shape (images, side, side, 3)
    questions : ndarray of uint8, shape (images, questions, LONGEST + 2)
        See `encode`.
    """

    frame: pd.DataFrame
    images: Bytes
    questions: Bytes

    def difference(self, samples: Path) -> str | None:
        """Hold questions, answers and images against a samples table, if it is of these images.

        Returns
        -------
        str or None
            What differs; None if nothing does, or if the table is missing or of other images.
            An image without a sum in the table (most of `shapes_large`) is not compared.
        """
        if not samples.exists():
            return None
        theirs = pd.read_parquet(samples).set_index("sample_id")
        ours = self.frame.set_index("sample_id")
        if ours.index[0] not in theirs.index:
            return None
        columns = ["image_id", "question", "answer", "image_sha256_rgb"]
        shared = [column for column in columns if column in theirs.columns]
        rows = theirs.reindex(ours.index)[shared]
        differs = rows.astype(str) != ours[shared].astype(str)
        if columns[-1] in shared:
            differs[columns[-1]] &= rows[columns[-1]].notna()
        wrong = differs.any(axis=1)
        if not wrong.any():
            return None
        return f"{samples}: {int(wrong.sum())} questions differ from the generator's"


def study(which: str, n_images: int | None, processes: int) -> Study:
    """Render a study.

    Parameters
    ----------
    which : str
        ``study`` or ``large``.
    n_images : int, optional
        The first so many; all when left out.
    processes : int
        At a time.
    """
    first, whole = {
        "study": (shapes.STUDY_FIRST, shapes.STUDY_IMAGES),
        "large": (shapes.LARGE_FIRST, shapes.LARGE_IMAGES),
    }[which]
    n = whole if n_images is None else min(n_images, whole)
    jobs = [(first, start, min(_CHUNK, n - start)) for start in range(0, n, _CHUNK)]
    parts = spread(_study_part, jobs, processes)
    frame = pd.concat([part[0] for part in parts], ignore_index=True)
    asked = encode(zip(frame["question"], frame["answer"], strict=True))
    images = np.concatenate([part[1] for part in parts])
    return Study(frame, images, asked.reshape(n, -1, asked.shape[1]))


def _study_part(job: tuple[int, int, int]) -> tuple[pd.DataFrame, Bytes]:
    first, start, count = job
    frame = shapes.study_frames(first, count, start=start)
    images = [shapes.study_scene(start + i, first).image for i in range(count)]
    return frame, np.stack(images)
