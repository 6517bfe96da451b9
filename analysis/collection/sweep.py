"""Collect per-k answers and times of one model on one study, resumably."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.collection.asking import Live, OutOfMemory, halving
from analysis.collection.batches import Asked, Questions
from analysis.collection.decoding import Answers
from analysis.collection.extra import require
from analysis.collection.loading import Loaded, Place, load_model, place
from analysis.collection.log import Log
from analysis.collection.provenance import device_state, model_identity, versions
from analysis.collection.request import Outputs, Request, checked
from analysis.collection.routers import k_restored, refuse_impossible
from analysis.collection.sampling import complexity_of, stratified
from analysis.collection.tables import answered, timed, write_tables
from analysis.collection.width import verify_width
from complexity.errors import InputError, listing
from complexity.files import write_json

if TYPE_CHECKING:
    from analysis.manifest import Study

Say = Callable[[str], None]
Progress = Callable[[str, int, int], Any]


@dataclass(frozen=True)
class Collected:
    """What a sweep left behind.

    Attributes
    ----------
    outputs : Outputs
        The files.
    n_answers, n_times : int
        Rows of the two tables.
    notes : tuple of str
        What a reader should know: questions that could not be asked, halved batches, how tokens
        were decoded, what the scorer could not read.
    """

    outputs: Outputs
    n_answers: int
    n_times: int
    notes: tuple[str, ...]


def collect(
    study: Study,
    request: Request,
    out: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    say: Say = lambda text: None,
    progress: Progress | None = None,
) -> Collected:
    """Sweep k in a live model over a study's questions.

    Parameters
    ----------
    study : Study
        Its samples and images; its scorer gives the scores.
    request : Request
        The model and the settings.
    out : str
        The results table; the latency table, the provenance and the log lie beside it.
    device, dtype : str
        See `analysis.collection.loading.place`.
    say : callable
        Told what is being done.
    progress : callable, optional
        Given a name, a total and what is done already, returns a context manager with an
        `update(n)`.

    Returns
    -------
    Collected
        The same request, after a kill at any moment, goes on where it was.

    Raises
    ------
    InputError
        The study, the model or the request is not right.
    """
    from analysis.datasets import read_samples

    require()
    request, outputs = checked(request), Outputs.beside(out)
    outputs.refuse_to_replace()
    where = place(device, dtype)
    samples = read_samples(study)
    _refuse_unanswerable(study, samples)
    about = {
        "study": study.name,
        # The questions, not the manifest: naming the tables in it later changes no answer.
        "questions": _questions(samples),
        "model": model_identity(request.source),
        **request.identity(),
        "device": where.label,
        "dtype": where.dtype,
    }
    remedy = f"give another -o, or remove {outputs.log} and the tables beside it to start anew"
    with Log(outputs.log, about, remedy) as log:
        sweep = _Sweep(study, request, samples, where, log, say, progress or _silent)
        sweep.run()
        notes = write_tables(
            study, samples, log, request, outputs, {"label": where.label, "dtype": where.dtype}
        )
        notes = (*_notes(log), *notes)
        write_json(outputs.provenance, _provenance(study, request, about, log, notes))
        n_times = len(timed(log)) * len(request.ks)
        return Collected(outputs, len(answered(log)), n_times, notes)


class _Sweep:
    """Runs what the log does not have yet."""

    def __init__(
        self,
        study: Study,
        request: Request,
        samples: pd.DataFrame,
        where: Place,
        log: Log,
        say: Say,
        progress: Progress,
    ) -> None:
        self.study, self.request, self.samples = study, request, samples
        self.where, self.log, self.say, self.progress = where, log, say, progress

    def run(self) -> None:
        """Ask and time what is missing."""
        images = self.study.image_source()
        images.ids()  # refuses a study without images before a model is loaded
        ids, clocked = self._plan()
        gone = {record["sample_id"] for record in self.log.of("skipped")}
        there = answered(self.log)
        want = {(i, k) for i in ids if i not in gone for k in self.request.ks}
        runs = [(i, r) for r in range(self.request.repeats) for i in clocked if i not in gone]
        measured = timed(self.log)
        if want <= there and measured.issuperset(runs):
            self.say("everything is collected; the tables are made from the log")
            return
        self.say(f"loading {self.request.source} on {self.where.label}")
        loaded = load_model(self.request.source, self.where, self.request.instruction)
        questions = Questions(self.samples, images, loaded.prompter)
        with k_restored(loaded.model) as routers:
            refuse_impossible(routers, self.request.ks)
            live = Live(loaded, routers, self.where, self.request.longest)
            try:
                self._begin(live, loaded, questions, [i for i in ids if i not in gone])
                self._answers(live, questions, ids, want - there)
                self._times(live, questions, clocked, measured)
            except OutOfMemory as error:
                raise InputError(
                    f"the device has too little memory for one question ({error}); give smaller k, "
                    "fewer --max-new-tokens, or --dtype bfloat16"
                ) from error
        self.log.append({"kind": "session-end", "time": _now(), **self._state()})

    def _plan(self) -> tuple[list[str], list[str]]:
        """Draw the questions to ask and to time, or take the draw that was begun with."""
        for record in self.log.of("plan"):
            return record["samples"], record["timed"]
        request, kept = self.request, self.samples
        partly = request.samples is not None and request.samples < len(kept)
        if partly or 0 < request.timed < len(kept):
            metric = self.study.manifest.analysis.primary.metric
            self.say(f"measuring {metric} of the images, to draw questions of all complexities")
            values = complexity_of(self.study)
        if partly:
            kept = stratified(kept, values, request.samples or 0, seed=request.seed)
        clocked = kept.iloc[:0]
        if request.timed:
            some = request.timed < len(kept)
            seed = request.seed + 1
            clocked = stratified(kept, values, request.timed, seed=seed) if some else kept
        plan = {"samples": kept["sample_id"].tolist(), "timed": clocked["sample_id"].tolist()}
        self.log.append({"kind": "plan", **plan})
        return plan["samples"], plan["timed"]

    def _begin(self, live: Live, loaded: Loaded, questions: Questions, ids: Sequence[str]) -> None:
        """Verify on the first readable question that every k is honoured."""
        for sample_id in ids:
            first = questions.prepare([sample_id])
            if first:
                break
        else:
            reasons = listing(questions.skipped.values(), shown=2)
            raise InputError(f"no question can be asked, for want of readable images: {reasons}")
        widths = verify_width(live.model, live.routers, self.request.ks, live.forward(first))
        replayed = live.vision.replayed
        live.sweep(first, self.request.ks[:1], lambda k, answers, ms: None)
        once = live.vision.replayed > replayed
        if live.vision.possible and not once:
            raise InputError(
                f"{type(live.model).__name__} does not take image features from its own vision "
                "step, so that images cannot be encoded once for all k; this model is refused"
            )
        self.say(f"k verified on the live model: {', '.join(map(str, widths))} experts dispatched")
        self.log.append(
            {
                "kind": "session",
                "time": _now(),
                "versions": versions(),
                "model": loaded.about,
                "prompts": loaded.prompter.how,
                "experts_modules_seen_by_k": widths,
                "vision": "once per batch" if once else "within each prefill",
                "clock": live.clock.name,
                **self._state(),
            }
        )

    def _state(self) -> dict[str, Any]:
        return {"state": device_state(self.where.device)}

    def _answers(
        self, live: Live, questions: Questions, ids: Sequence[str], pending: set[tuple[str, int]]
    ) -> None:
        """Ask in batches, for accuracy."""
        request, log = self.request, self.log
        limit = min((record["to"] for record in log.of("halved")), default=request.batch)
        number = {name: position for position, name in enumerate(ids)}
        todo = {sample_id for sample_id, _ in pending}
        total = len(ids) * len(request.ks)

        def ask(part: Sequence[Asked]) -> None:
            rng = np.random.default_rng([request.seed, number[part[0].sample_id]])
            order = [request.ks[i] for i in rng.permutation(len(request.ks))]
            missing = [k for k in order if any((a.sample_id, k) in pending for a in part)]

            def done(k: int, answers: Answers, vision_ms: float) -> None:
                made = zip(
                    part, live.texts(answers), answers.lengths, answers.logprobs, strict=True
                )
                rows = [
                    [asked.sample_id, text, int(length), float(logprob)]
                    for asked, text, length, logprob in made
                    if (asked.sample_id, k) in pending
                ]
                log.append({"kind": "answers", "k": k, "rows": rows})
                pending.difference_update((row[0], k) for row in rows)
                bar.update(len(rows))

            live.sweep(part, missing, done)

        def halved(size: int, smaller: int) -> None:
            self.say(f"out of memory with {size} questions at once: {smaller} from now on")
            log.append({"kind": "halved", "from": size, "to": smaller})

        with self.progress("answers", total, total - len(pending)) as bar:
            for batch in questions.batches(ids, request.batch, todo):
                limit = halving(ask, batch, limit, halved)
            known = {record["sample_id"] for record in log.of("skipped")}
            for sample_id, why in questions.skipped.items():
                if sample_id not in known:
                    log.append({"kind": "skipped", "sample_id": sample_id, "why": why})

    def _times(
        self, live: Live, questions: Questions, ids: Sequence[str], measured: set[tuple[str, int]]
    ) -> None:
        """Time questions one by one, at every k in random order."""
        request = self.request
        prompts = {asked.sample_id: asked for asked in questions.prepare(ids)}
        runs = []
        for repeat in range(request.repeats):
            shuffled = np.random.default_rng([request.seed, 1, repeat]).permutation(len(ids))
            runs += [(ids[i], repeat) for i in shuffled if ids[i] in prompts]
        left = [run for run in runs if run not in measured]
        if not left:
            return
        all_ = list(prompts.values())
        decoder, why = live.decoder_for(all_, request.ks, request.decode)
        prefills, too = live.prefills_for(all_, request.ks, decoder, request.prefill)
        mode = f"captured prefill, {decoder.name}" if prefills else decoder.name
        # Of what stands for both reasons one telling is enough.
        why = "; ".join(dict.fromkeys(part for part in (why, too) if part))
        self.log.append({"kind": "decoding", "mode": mode, "why": why})
        for number in range(request.warm_up):
            asked = prompts[runs[number % len(runs)][0]]
            live.sweep([asked], request.ks, lambda k, answers, ms: None, decoder, prefills=prefills)
        with self.progress("times", len(runs), len(runs) - len(left)) as bar:
            for place_, (sample_id, repeat) in enumerate(runs):
                if (sample_id, repeat) in measured:
                    continue
                asked, rows = prompts[sample_id], list[dict[str, Any]]()

                def done(
                    k: int,
                    answers: Answers,
                    vision_ms: float,
                    rows: list[dict[str, Any]] = rows,
                ) -> None:
                    rows.append(_times_of(k, answers, vision_ms))

                rng = np.random.default_rng([request.seed, 2, place_])
                order = [request.ks[i] for i in rng.permutation(len(request.ks))]
                live.sweep([asked], order, done, decoder, prefills=prefills)
                self.log.append(
                    {
                        "kind": "times",
                        "sample_id": sample_id,
                        "repeat": repeat,
                        "place": place_,
                        "decode_mode": mode,
                        "n_prompt_tokens": asked.prompt.n_tokens,
                        "n_image_tokens": asked.prompt.n_image_tokens,
                        "ks": rows,
                    }
                )
                bar.update(1)


def _times_of(k: int, answers: Answers, vision_ms: float) -> dict[str, Any]:
    vision = 0.0 if np.isnan(vision_ms) else vision_ms
    return {
        "k": k,
        "vision_ms": vision_ms,
        "prefill_ms": answers.prefill_ms,
        "ttft_ms": vision + answers.first_ms,
        "decode_ms": answers.decode_ms,
        "total_ms": vision + answers.first_ms + answers.decode_ms,
        "n_new_tokens": int(answers.lengths[0]),
    }


def _questions(samples: pd.DataFrame) -> str:
    """Hash what is asked about which image."""
    from complexity.sources import digest

    rows = samples[["sample_id", "image_id", "question"]].astype(str)
    return digest(rows.itertuples(index=False, name=None))


def _refuse_unanswerable(study: Study, samples: pd.DataFrame) -> None:
    none = samples.loc[samples["answers"].str.len() == 0, "sample_id"]
    if len(none):
        raise InputError(
            f"{study.shown}: {len(none):,} questions have no answer to score by "
            f"({listing(none)}); give answers, or leave these questions out"
        )


def _notes(log: Log) -> tuple[str, ...]:
    notes = []
    skipped = list(log.of("skipped"))
    if skipped:
        shown = listing((f"{r['sample_id']} ({r['why']})" for r in skipped), shown=3)
        notes.append(
            f"{len(skipped):,} questions were not asked, their image being unreadable: {shown}"
        )
    halved = [record["to"] for record in log.of("halved")]
    if halved:
        notes.append(f"out of memory: batches were halved, to {min(halved)} at last")
    modes = dict.fromkeys((r["mode"], r["why"]) for r in log.of("decoding"))
    for mode, why in modes:
        notes.append(f"timed answers were decoded in mode '{mode}'" + (f": {why}" if why else ""))
    spelled = {str(sorted(record["versions"].items(), key=str)) for record in log.of("session")}
    if len(spelled) > 1:
        notes.append("sessions ran under different versions of libraries; see the provenance")
    return tuple(notes)


def _provenance(
    study: Study, request: Request, about: dict[str, Any], log: Log, notes: Sequence[str]
) -> dict[str, Any]:
    plan = next(log.of("plan"))
    return {
        "study": study.name,
        "manifest_hash": study.hash,
        "request": about | {"warm_up": request.warm_up, "source": request.source},
        "n_asked": len(plan["samples"]),
        "n_timed": len(plan["timed"]),
        "notes": list(notes),
        "sessions": [
            record for record in log.records if record["kind"] in ("session", "session-end")
        ],
        "finished": _now(),
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class _Silent:
    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *exc: object) -> None:
        """Leave."""

    def update(self, n: int) -> None:
        """Show nothing."""


def _silent(name: str, total: int, initial: int) -> _Silent:
    return _Silent()
