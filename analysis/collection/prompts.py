"""Questions about images, as the inputs that a model takes.

The model's own processor and chat template decide how a prompt looks. Where the processor cannot
be loaded because torchvision is missing, it is put together from its parts: Transformers' own
processor class, its Pillow image processor (LFM2-VL: `naflex`), the tokenizer, and no video part.
"""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.collection.extra import require
from analysis.collection.naflex import NaflexImages
from complexity.errors import InputError


@dataclass(frozen=True)
class Prompt:
    """One question as tensors.

    Attributes
    ----------
    inputs : mapping of str to Tensor
        What the model takes; first dimension 1, or tiles or patches of the one image.
    n_tokens : int
        Prompt tokens, image tokens included.
    n_image_tokens : int or None
        Tokens that stand for the image.
    """

    inputs: Mapping[str, Any]
    n_tokens: int
    n_image_tokens: int | None

    @property
    def shape(self) -> tuple[Any, ...]:
        """What two prompts must share to be one batch without padding."""
        sizes = tuple((name, tuple(value.shape[1:])) for name, value in self.inputs.items())
        return (self.n_tokens, self.n_image_tokens, sizes)


class Prompter:
    """Makes prompts for one model.

    Parameters
    ----------
    processor : object
        A Transformers processor.
    image_token : int or None
        The id that stands for image features, for counting.
    instruction : str
        Appended to every question after a blank; empty: nothing.
    parts : bool
        Whether the processor was put together from its parts.
    """

    def __init__(
        self, processor: Any, image_token: int | None, instruction: str = "", parts: bool = False
    ) -> None:
        self.processor = processor
        self.image_token = image_token
        self.instruction = instruction
        self.parts = parts

    @property
    def how(self) -> str:
        """Which classes make the prompts, for the provenance."""
        image = type(self.processor.image_processor).__name__
        made = "put together without torchvision" if self.parts else "as shipped"
        template = "chat template" if self.processor.chat_template else "image token, then question"
        name = type(self.processor).__name__.removeprefix("_")
        return f"{name} ({made}), {image}, {template}"

    def text(self, question: str) -> str:
        """Spell one question about one image, the image still a placeholder."""
        asked = f"{question} {self.instruction}".strip()
        if self.processor.chat_template:
            content = [{"type": "image"}, {"type": "text", "text": asked}]
            messages = [{"role": "user", "content": content}]
            made = self.processor.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
            return str(made)
        token = getattr(self.processor, "image_token", None) or "<image>"
        return f"{token}\n{asked}"

    def encode(self, question: str, image: NDArray[np.uint8]) -> Prompt:
        """Make the inputs for one question.

        Parameters
        ----------
        question : str
            As the model is asked it.
        image : ndarray of uint8, shape (height, width, 3)
            RGB, upright, at its own size.
        """
        torch, _ = require()
        from PIL import Image

        # A chat template writes the tokens at the beginning itself.
        more = {"add_special_tokens": False} if self.processor.chat_template else {}
        given: Any = image if self.parts and self._own_pixels else Image.fromarray(image)
        with warnings.catch_warnings():
            # Some processors hand tensors to numpy in a way that it will no longer accept.
            warnings.simplefilter("ignore", DeprecationWarning)
            made = self.processor(
                images=[given], text=[self.text(question)], return_tensors="pt", **more
            )
        inputs = {n: v for n, v in made.items() if isinstance(v, torch.Tensor)}
        ids = inputs["input_ids"]
        inputs.setdefault("attention_mask", torch.ones_like(ids))
        n = None if self.image_token is None else int((ids == self.image_token).sum())
        return Prompt(inputs, int(ids.shape[1]), n)

    @property
    def _own_pixels(self) -> bool:
        return isinstance(self.processor.image_processor, NaflexImages)


def load_prompter(source: str, config: Any, instruction: str = "") -> Prompter:
    """Load a model's processor.

    Parameters
    ----------
    source : str
        Folder or hub id.
    config : object
        The model's configuration.
    instruction : str
        See `Prompter`.

    Raises
    ------
    InputError
        No processor or tokenizer, or one that needs a library that is not installed.
    """
    _, transformers = require()
    token = getattr(config, "image_token_id", getattr(config, "image_token_index", None))
    try:
        processor = transformers.AutoProcessor.from_pretrained(source)
        if hasattr(processor, "image_processor"):
            return Prompter(processor, token, instruction)
        why = "it has a tokenizer only, no image processor"
    except (ImportError, OSError, ValueError) as error:
        if "torchvision" not in str(error).lower():
            raise _no_processor(source, error) from error
        why = "torchvision is not installed"
    try:
        return Prompter(_from_parts(transformers, source, config), token, instruction, parts=True)
    except (ImportError, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise _no_processor(source, f"{why}; put together from its parts: {error}") from error


def _no_processor(source: str, why: object) -> InputError:
    said = " ".join(str(why).split())[:300]
    return InputError(
        f"{source}: its processor cannot be loaded ({said}); the folder needs "
        "preprocessor_config.json, tokenizer files and a chat template, and some processors need "
        "torchvision: pip install torchvision"
    )


def _from_parts(transformers: Any, source: str, config: Any) -> Any:
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    family = config.model_type
    name = PROCESSOR_MAPPING_NAMES.get(family)
    if name is None:
        raise ValueError(f"no processor is known for {family}")
    base = getattr(transformers, name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    images = (
        NaflexImages(_image_settings(transformers, source))
        if family == "lfm2_vl"
        else transformers.AutoImageProcessor.from_pretrained(source)
    )

    def accept(self: Any, argument_name: str, argument: Any) -> None:
        """Take a missing video or audio part: questions here are about one image."""

    kind = type(f"_{name}", (base,), {"check_argument_for_proper_class": accept})
    attributes = base.get_attributes()
    parts = {
        part: {"tokenizer": tokenizer, "image_processor": images}.get(part) for part in attributes
    }
    known = inspect.signature(base.__init__).parameters
    own = _content(transformers, source, "processor_config.json")
    more = {key: value for key, value in own.items() if key in known and key not in parts}
    return kind(**parts, **(more | {"chat_template": tokenizer.chat_template}))


def _image_settings(transformers: Any, source: str) -> dict[str, Any]:
    """Read the image settings, in whichever of the two files they are."""
    whole = _content(transformers, source, "processor_config.json")
    alone = _content(transformers, source, "preprocessor_config.json")
    return dict(whole.get("image_processor", whole)) | alone


def _content(transformers: Any, source: str, name: str) -> dict[str, Any]:
    """Read a JSON file of a folder or hub id; nothing where there is none."""
    path = transformers.utils.cached_file(source, name, _raise_exceptions_for_missing_entries=False)
    if path is None:
        return {}
    content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return content
