"""Load a model for a sweep, or say why it cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.collection.extra import require
from analysis.collection.prompts import Prompter, load_prompter
from analysis.collection.provenance import device_label
from analysis.collection.routers import refuse_family
from complexity.errors import InputError

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Place:
    """Where a model runs.

    Attributes
    ----------
    device : str
        ``cpu`` or ``cuda``.
    dtype : str
        One of `DTYPES`.
    label : str
        How the latency table names it.
    """

    device: str
    dtype: str
    label: str


def place(device: str = "auto", dtype: str = "auto") -> Place:
    """Choose device and number format: a GPU where there is one; bfloat16 there, float32 else.

    Raises
    ------
    InputError
        A GPU is asked for and there is none, or an unknown device or format.
    """
    torch, _ = require()
    gpu = bool(torch.cuda.is_available())
    if device == "auto":
        device = "cuda" if gpu else "cpu"
    if device not in ("cpu", "cuda"):
        raise InputError(f"--device: '{device}' is not known; give auto, cpu or cuda")
    if device == "cuda" and not gpu:
        raise InputError("--device cuda: PyTorch sees no CUDA GPU here; give --device cpu")
    if dtype == "auto":
        dtype = "bfloat16" if device == "cuda" else "float32"
    if dtype not in DTYPES:
        raise InputError(f"--dtype: '{dtype}' is not known; give auto, {', '.join(DTYPES)}")
    return Place(device, dtype, device_label(device, dtype))


@dataclass(frozen=True)
class Loaded:
    """A model ready to be asked.

    Attributes
    ----------
    model : torch.nn.Module
        In evaluation mode, on its device.
    prompter : Prompter
        Makes its inputs.
    about : dict
        Class, revision and implementations, for the provenance.
    """

    model: Any
    prompter: Prompter
    about: dict[str, Any]


def load_model(source: str, where: Place, instruction: str = "") -> Loaded:
    """Load a Transformers vision-language model and its processor.

    Parameters
    ----------
    source : str
        Folder or hub id.
    where : Place
        From `place`.
    instruction : str
        Appended to every question.

    Raises
    ------
    InputError
        No such model, not a vision-language model, or a family that ignores k.
    """
    torch, transformers = require()
    config = _config(transformers, source)
    refuse_family(config)
    transformers.utils.logging.disable_progress_bar()
    try:
        model = transformers.AutoModelForImageTextToText.from_pretrained(
            source, dtype=getattr(torch, where.dtype)
        )
    except ValueError as error:
        if "Unrecognized configuration class" not in str(error):
            raise _unloadable(source, error) from error
        raise InputError(
            f"{source} is a {config.model_type} model, which takes no images in Transformers "
            f"{transformers.__version__}; give a vision-language model"
        ) from error
    except (OSError, ImportError, RuntimeError) as error:
        raise _unloadable(source, error) from error
    model = model.to(where.device).eval()
    about = {
        "class": type(model).__name__,
        "revision": getattr(config, "_commit_hash", None),
        "dtype": where.dtype,
        "attention": getattr(model.config, "_attn_implementation", None),
        "experts": _experts(model.config),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    return Loaded(model, load_prompter(source, model.config, instruction), about)


def _config(transformers: Any, source: str) -> Any:
    path = Path(source)
    if path.is_dir() and not (path / "config.json").is_file():
        raise InputError(f"--model: the folder {source} has no config.json, so it holds no model")
    if not path.is_dir() and (path.exists() or path.is_absolute() or source.count("/") != 1):
        raise InputError(
            f"--model: no folder {source}; give a model's folder, or a hub id such as owner/name"
        )
    try:
        return transformers.AutoConfig.from_pretrained(source)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise _unloadable(source, error) from error


def _unloadable(source: str, error: Exception) -> InputError:
    said = " ".join(str(error).split())
    return InputError(f"--model {source} cannot be loaded: {said[:400]}")


def _experts(config: Any) -> dict[str, str]:
    """Name how the products of the experts are computed, by part of the model."""
    found: dict[str, str] = {}
    own = getattr(config, "_experts_implementation", None)
    if own is not None:
        found[str(config.model_type)] = str(own)
    for value in vars(config).values():
        if hasattr(value, "to_dict") and hasattr(value, "model_type"):
            found |= _experts(value)
    return found
