"""Ask a live model at every k: batches for accuracy, one question at a time for latency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from analysis.collection.batches import Asked, stacked
from analysis.collection.clock import Clock
from analysis.collection.decoding import Answers, Decoder, Eager, answer, end_tokens
from analysis.collection.extra import require
from analysis.collection.loading import Loaded, Place
from analysis.collection.prefill import Prefills, handed
from analysis.collection.routers import Router, set_k
from analysis.collection.vision import VisionOnce

#: Nats between log probabilities of two tokens that rounding alone may swap.
NEAR_TIE = 0.05


class OutOfMemory(Exception):
    """The device has too little memory for this batch."""


class Live:
    """A model with its routers found, ready to answer at any k.

    Parameters
    ----------
    loaded : Loaded
        The model.
    routers : sequence of Router
        From `k_restored`.
    where : Place
        Device and number format.
    longest : int
        Most new tokens.

    Attributes
    ----------
    vision : VisionOnce
        How images are encoded once.
    """

    def __init__(
        self, loaded: Loaded, routers: Sequence[Router], where: Place, longest: int
    ) -> None:
        self.model = loaded.model
        self.tokenizer = loaded.prompter.processor.tokenizer
        self.routers = routers
        self.where = where
        self.longest = longest
        self.ends = end_tokens(loaded.model)
        self.vision = VisionOnce(loaded.model)
        self.clock = Clock(where.device)
        self.eager: Decoder = Eager(loaded.model)

    def forward(self, batch: Sequence[Asked]) -> Callable[[], object]:
        """Return one pass of some prompts, for looking at what runs."""

        def run() -> object:
            with _working():
                inputs = stacked(batch, self.where.device, self.where.dtype)
                return self.model(**inputs, use_cache=False, logits_to_keep=1)

        return run

    def sweep(
        self,
        batch: Sequence[Asked],
        ks: Sequence[int],
        done: Callable[[int, Answers, float], None],
        decoder: Decoder | None = None,
        *,
        prefills: Prefills | None = None,
        exactly: int = 0,
    ) -> None:
        """Encode the images of a batch once and answer at every k.

        Parameters
        ----------
        batch : sequence of Asked
            Prompts of one shape.
        ks : sequence of int
            In the order in which they are run.
        done : callable
            Handed each k, its answers and the milliseconds of the vision tower (NaN for a model
            without a vision step of its own: its prefill then holds it).
        decoder : Decoder, optional
            Eager when left out.
        prefills : Prefills, optional
            Replays the prefills; the model is called when left out.
        exactly : int
            If not 0, so many tokens are made whatever they are, instead of whole answers.

        Raises
        ------
        OutOfMemory
            At some k; those before it were handed over.
        """
        with _working():
            inputs = stacked(batch, self.where.device, self.where.dtype)
            vision_ms, replaying = self._encoded(inputs)
            with replaying:
                given = prefills and handed(self.model, inputs)
                for k in ks:
                    set_k(self.model, self.routers, k)
                    model = prefills.at(k, given or {}) if prefills else self.model
                    answers = answer(
                        model,
                        inputs,
                        k,
                        longest=exactly or self.longest,
                        ends=() if exactly else self.ends,
                        decoder=decoder or self.eager,
                        clock=self.clock,
                    )
                    done(k, answers, vision_ms)

    def _encoded(self, inputs: Mapping[str, Any]) -> tuple[float, Any]:
        if not self.vision.possible:
            return float("nan"), nullcontext()
        self.clock.wait()
        start = self.clock.mark()
        features = self.vision.encode(inputs)
        stop = self.clock.mark()
        self.clock.wait()
        return self.clock.ms(start, stop), self.vision.replaying(features)

    def texts(self, answers: Answers) -> list[str]:
        """Spell answers, without special tokens and blanks around them."""
        rows = (
            tokens[:length] for tokens, length in zip(answers.tokens, answers.lengths, strict=True)
        )
        return [
            str(self.tokenizer.decode(row.tolist(), skip_special_tokens=True)).strip()
            for row in rows
        ]

    def decoder_for(
        self, prompts: Sequence[Asked], ks: Sequence[int], wish: str = "compiled"
    ) -> tuple[Decoder, str]:
        """Choose how timed answers are decoded.

        On a GPU by CUDA graphs of compiled layers, else of the layers as they are, else eagerly:
        the first that the model allows and that gives the eager answers to the first question.

        Parameters
        ----------
        prompts : sequence of Asked
            All that will be timed.
        ks : sequence of int
            Each is captured here, so that no timed answer is.
        wish : str
            What to begin with, one of `request.DECODE`.

        Returns
        -------
        decoder : Decoder
            The one chosen.
        why : str
            Why it is not what was wished; empty if it is.
        """
        if wish == "eager":
            return self.eager, ""
        if not self.clock.events:
            return self.eager, "CUDA graphs need a GPU"
        from analysis.collection.graphs import Graphed

        longest = max(asked.prompt.n_tokens for asked in prompts) + self.longest
        said: list[str] = []
        for compiled in (True, False) if wish == "compiled" else (False,):
            name = "compiled layers" if compiled else "CUDA graph"
            try:
                graphed = Graphed(self.model, longest, compiled=compiled)
                why = self._otherwise(prompts[:1], ks, graphed)
            except Exception as error:  # whatever a model raises that cannot be so decoded
                why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            if not why:
                return graphed, "; ".join(said)
            said.append(f"no {name}: {why}")
            _free()
        return self.eager, "; ".join(said)

    def _otherwise(self, first: Sequence[Asked], ks: Sequence[int], decoder: Decoder) -> str:
        """Say at which k a decoder answers otherwise than eagerly; nothing if at none."""
        eager, other = _all(self, first, ks), _all(self, first, ks, decoder)
        for k, one, two in zip(ks, eager, other, strict=True):
            if not np.array_equal(one.tokens, two.tokens):
                return f"it answered the first question otherwise than eagerly at k = {k}"
        # An answer of one token takes no step: none was captured, and none compared.
        short = [k for k, one in zip(ks, eager, strict=True) if one.tokens.shape[1] == 1]
        if not short or self.longest == 1:
            return ""
        eager = _all(self, first, short, exactly=2)
        other = _all(self, first, short, decoder, exactly=2)
        for k, one, two in zip(short, eager, other, strict=True):
            # What follows an end is not trained, so that ties are near: either will do.
            if not _alike(one, two):
                return f"its first step differs from the eager one at k = {k}"
        return ""

    def prefills_for(
        self, prompts: Sequence[Asked], ks: Sequence[int], decoder: Decoder, wish: str = "captured"
    ) -> tuple[Prefills | None, str]:
        """Choose how timed prompts are prefilled.

        On a GPU by CUDA graphs, if the model allows them and if each prompt has the eager first
        token at each k; else by calling the model.

        Parameters
        ----------
        prompts : sequence of Asked
            All that will be timed; each shape is captured here, at each k.
        ks : sequence of int
            All that will be timed.
        decoder : Decoder
            From `decoder_for`; its cache is filled.
        wish : str
            One of `request.PREFILL`.

        Returns
        -------
        prefills : Prefills or None
            None: the model is called.
        why : str
            Why it is not what was wished; empty if it is.
        """
        if wish == "eager":
            return None, ""
        if not self.clock.events:
            return None, "CUDA graphs need a GPU"
        static = getattr(decoder, "static", None)
        if static is None:
            return None, "no captured prefill without a static cache"
        if not self.vision.possible:
            return None, "no captured prefill: the model has no vision step of its own to leave out"
        prefills: Prefills | None = None
        try:
            prefills = Prefills(self.model, static)
            why = self._otherwise_begun(prompts, ks, decoder, prefills)
        except Exception as error:  # whatever a model raises that cannot be so run
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if not why:
            return prefills, ""
        prefills = None  # with its graphs, before memory is given back
        _free()
        return None, f"no captured prefill: {why}"

    def _otherwise_begun(
        self, prompts: Sequence[Asked], ks: Sequence[int], decoder: Decoder, prefills: Prefills
    ) -> str:
        """Say where a replayed prefill has another first token than the model."""
        for asked in prompts:
            own = _all(self, [asked], ks, decoder, exactly=1)
            other = _all(self, [asked], ks, decoder, exactly=1, prefills=prefills)
            for k, one, two in zip(ks, own, other, strict=True):
                if not _alike(one, two):
                    return f"another first token than the model's at k = {k}, {asked.sample_id}"
        return ""


def _all(
    live: Live,
    batch: Sequence[Asked],
    ks: Sequence[int],
    decoder: Decoder | None = None,
    **more: Any,
) -> list[Answers]:
    """List the answers at every k."""
    found: list[Answers] = []
    live.sweep(batch, ks, lambda k, answers, ms: found.append(answers), decoder, **more)
    return found


def _alike(one: Answers, two: Answers) -> bool:
    """Say whether answers of one length are equal, or so nearly tied that rounding may decide.

    Of two that tie none has more than half of the probability: two that are both almost certain
    come from different distributions, however near their probabilities are.
    """
    equal = (one.tokens == two.tokens).all(axis=1)
    near = np.abs(one.logprobs - two.logprobs) <= NEAR_TIE
    open_ = np.maximum(one.logprobs, two.logprobs) <= np.log(0.5) + NEAR_TIE
    return bool((equal | (near & open_)).all())


def halving(
    ask: Callable[[Sequence[Asked]], None],
    batch: Sequence[Asked],
    limit: int,
    said: Callable[[int, int], None],
) -> int:
    """Ask a batch, in halves where the memory does not suffice.

    Parameters
    ----------
    ask : callable
        Asks some questions; may raise `OutOfMemory`.
    batch : sequence of Asked
        The batch.
    limit : int
        Most questions that fitted so far.
    said : callable
        Told the size that did not fit and the next one.

    Returns
    -------
    int
        The limit from now on.

    Raises
    ------
    OutOfMemory
        One question alone does not fit.
    """
    rest = list(batch)
    while rest:
        part = rest[:limit]
        try:
            ask(part)
        except OutOfMemory:
            _free()
            if len(part) == 1:
                raise
            limit = len(part) // 2
            said(len(part), limit)
            continue
        rest = rest[len(part) :]
    return limit


@contextmanager
def _working() -> Iterator[None]:
    """Compute without gradients; whatever says that memory is short becomes `OutOfMemory`."""
    torch, _ = require()
    try:
        with torch.inference_mode():
            yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(str(error)) from error
    except RuntimeError as error:
        if not _is_memory(error):
            raise
        raise OutOfMemory(str(error)) from error


def _is_memory(error: RuntimeError) -> bool:
    said = str(error).lower()
    return "out of memory" in said or "can't allocate memory" in said


def _free() -> None:
    torch, _ = require()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
