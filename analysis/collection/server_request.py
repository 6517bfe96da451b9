"""One question as a request to an OpenAI-compatible server."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from complexity.errors import InputError

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


def data_url(data: bytes) -> str:
    """Spell an image file as a data URL.

    PNG, JPEG, GIF and WebP go as they are; other formats are decoded and sent as PNG.

    Parameters
    ----------
    data : bytes
        An image file.

    Returns
    -------
    str
        ``data:image/…;base64,…``

    Raises
    ------
    complexity.image.UnreadableImage
        Another format, and it cannot be decoded.
    """
    kind = next((name for magic, name in _MAGIC if data.startswith(magic)), None)
    if kind is None and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "image/webp"
    if kind is None:
        kind, data = "image/png", _as_png(data)
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _as_png(data: bytes) -> bytes:
    import io

    from PIL import Image

    from complexity.image import UnreadableImage

    made = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.convert("RGB").save(made, "PNG")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableImage(str(error)) from error
    return made.getvalue()


def chat_body(
    question: str, image: str | None, *, model: str | None, max_tokens: int, seed: int,
    more: Mapping[str, Any] | None = None,
) -> bytes:  # fmt: skip
    """Spell a greedy, streamed chat completion: the image, then the question.

    Parameters
    ----------
    question : str
        The text.
    image : str or None
        A data URL; None asks without an image.
    model : str or None
        The name the server knows the model by; None leaves it out.
    max_tokens : int
        Longest answer.
    seed : int
        Sent along; greedy decoding does not need it.
    more : mapping, optional
        Further fields; they win over ours.

    Returns
    -------
    bytes
        JSON.
    """
    parts: list[dict[str, Any]] = []
    if image is not None:
        parts.append({"type": "image_url", "image_url": {"url": image}})
    parts.append({"type": "text", "text": question})
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": parts}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "seed": seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if model is not None:
        body["model"] = model
    return json.dumps(body | dict(more or {}), ensure_ascii=False).encode()


def checked_url(text: str, where: str) -> str:
    """Check a server's base URL.

    Parameters
    ----------
    text : str
        Such as ``http://localhost:8000`` or ``https://host/v1``.
    where : str
        What asks, for messages.

    Returns
    -------
    str
        The URL without a slash at its end.

    Raises
    ------
    InputError
        Not an http or https URL with a host, or one with a query or a password.
    """
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for a port that is no number
    except ValueError as error:
        raise InputError(f"{where}: '{text}' is not a URL ({error})") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(
            f"{where}: '{text}' is not a server's base URL; give one such as http://localhost:8000"
        )
    if parts.query or parts.fragment or parts.username or parts.password:
        raise InputError(
            f"{where}: give the base URL alone, without query or password; name the environment "
            f"variable that holds a key in --api-key-env"
        )
    return text.rstrip("/").removesuffix("/chat/completions")
