"""Greedy answers, token by token, with the times of their phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.collection.clock import Clock
from analysis.collection.extra import require


@dataclass(frozen=True)
class Answers:
    """Greedy answers to one batch at one k.

    Attributes
    ----------
    tokens : ndarray of int64, shape (batch, length)
        New tokens; what follows an end token is an end token.
    lengths : ndarray of int64, shape (batch,)
        New tokens of each answer, its end token included.
    logprobs : ndarray of float64, shape (batch,)
        Log probability (nats) of each answer's tokens.
    prefill_ms, first_ms, decode_ms : float
        The prompt through the model; that and the choice of the first token; all further
        tokens, 0 where there are none.
    """

    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]
    logprobs: NDArray[np.float64]
    prefill_ms: float
    first_ms: float
    decode_ms: float


class Decoder(Protocol):
    """How one further token is computed."""

    @property
    def name(self) -> str:
        """For the `decode_mode` of the latency table."""

    def cache(self, length: int) -> Any:
        """Return an empty cache for the prefill; None: the model makes its own.

        Parameters
        ----------
        length : int
            Most tokens that it has to hold.
        """

    def step(self, k: int, tokens: Any, place: int, cache: Any) -> tuple[Any, Any]:
        """Return the most likely next token of each answer and its log probability.

        `tokens` has shape (batch, 1) and stands at `place`, counted from 0 at the prompt's first.
        """


class Eager:
    """Calls the model for every token.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    """

    name = "eager"

    def __init__(self, model: Any) -> None:
        self.model = model

    def cache(self, length: int) -> Any:
        """Leave the cache to the model."""
        return None

    def step(self, k: int, tokens: Any, place: int, cache: Any) -> tuple[Any, Any]:
        """Compute one token with the cache that the prefill left.

        No mask is given, because nothing is padded; the model places the token behind the cache.
        """
        torch, _ = require()
        made = self.model(input_ids=tokens, past_key_values=cache, use_cache=True)
        return greedy(torch, made.logits[:, -1])


def end_tokens(model: Any) -> tuple[int, ...]:
    """List the tokens that end an answer, from the model's generation settings."""
    settings = getattr(model, "generation_config", None)
    given = getattr(settings, "eos_token_id", None)
    if given is None:
        text = model.config.get_text_config()
        given = getattr(text, "eos_token_id", None)
    if given is None:
        return ()
    return tuple(given) if isinstance(given, list | tuple) else (int(given),)


def answer(
    model: Any,
    inputs: Mapping[str, Any],
    k: int,
    *,
    longest: int,
    ends: Sequence[int],
    decoder: Decoder,
    clock: Clock,
) -> Answers:
    """Answer one batch greedily; k and the image features are set already.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    inputs : mapping of str to Tensor
        Prompts of equal length, no padding.
    k : int
        The k that is set; told to the decoder.
    longest : int
        Most new tokens.
    ends : sequence of int
        Tokens that end an answer.
    decoder : Decoder
        Computes the tokens after the first.
    clock : Clock
        Takes the times.

    Returns
    -------
    Answers
        Ties between equally likely tokens go to the first.
    """
    torch, _ = require()
    width = int(inputs["input_ids"].shape[1])
    device = inputs["input_ids"].device
    stops = torch.tensor(list(ends) or [-1], device=device)
    cache = decoder.cache(width + longest)
    more = {} if cache is None else {"past_key_values": cache}
    clock.wait()
    start = clock.mark()
    made = model(**inputs, **more, use_cache=True, logits_to_keep=1)
    prefilled = clock.mark()
    chosen, logprob = greedy(torch, made.logits[:, -1])
    first = clock.mark()
    cache = made.past_key_values
    tokens, logprobs = [chosen], [logprob]
    over = torch.isin(chosen, stops)
    for number in range(longest - 1):
        # Reading `over` waits for the device: a token at a time is what decoding is.
        if ends and bool(over.all()):
            break
        chosen, logprob = decoder.step(k, chosen[:, None], width + number, cache)
        chosen = torch.where(over, tokens[-1], chosen)
        logprob = torch.where(over, torch.zeros_like(logprob), logprob)
        tokens.append(chosen)
        logprobs.append(logprob)
        over = over | torch.isin(chosen, stops)
    last = clock.mark()
    clock.wait()
    found = torch.stack(tokens, dim=1)
    ended = torch.isin(found, stops)
    lengths = torch.where(ended.any(1), ended.int().argmax(1) + 1, found.shape[1])
    return Answers(
        found.cpu().numpy(),
        lengths.cpu().numpy(),
        torch.stack(logprobs, dim=1).double().sum(1).cpu().numpy(),
        clock.ms(start, prefilled),
        clock.ms(start, first),
        # Without a further token what passed is the end of an empty loop.
        clock.ms(first, last) if len(tokens) > 1 else 0.0,
    )


def greedy(torch: Any, logits: Any) -> tuple[Any, Any]:
    """Return the most likely token of each row and its log probability.

    Parameters
    ----------
    torch : module
        PyTorch.
    logits : Tensor, shape (batch, vocabulary)
        Of any number format; computed in float32.

    Returns
    -------
    chosen : Tensor of int64, shape (batch,)
        The first of those equally likely.
    logprob : Tensor of float32, shape (batch,)
        Nats.
    """
    logits = logits.float()
    chosen = logits.argmax(-1)
    best = logits.gather(-1, chosen[:, None])[:, 0]
    return chosen, best - logits.logsumexp(-1)
