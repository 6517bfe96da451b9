"""Pixels for LFM2-VL without torchvision, which Transformers' own image processor needs.

After `Lfm2VlImageProcessor` of Transformers 5 (Apache-2.0): sides rounded to whole image tokens
within a minimum and a maximum number of them, an image far above the maximum split into tiles of
one size beside a thumbnail, pixels normalised, then cut into patches, row by row, each as
height × width × channel. Resizing is PyTorch's bilinear with antialiasing on 8-bit values, as
torchvision's is (to within one level of 255).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.collection.extra import require

DEFAULTS: dict[str, Any] = {
    "downsample_factor": 2,
    "do_image_splitting": True,
    "min_tiles": 2,
    "max_tiles": 10,
    "use_thumbnail": True,
    "min_image_tokens": 64,
    "max_image_tokens": 256,
    "encoder_patch_size": 16,
    "tile_size": 512,
    "max_pixels_tolerance": 2.0,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
"""The processor's own defaults; a model's preprocessor_config.json replaces them."""


def convert_to_patches(images: Any, patch: int) -> Any:
    """Cut images into patches.

    Parameters
    ----------
    images : Tensor, shape (n, channels, height, width)
        Sides are multiples of `patch`.
    patch : int
        Side of a patch, pixels.

    Returns
    -------
    Tensor, shape (n, rows × columns, patch × patch × channels)
    """
    n, channels, height, width = images.shape
    rows, columns = height // patch, width // patch
    cut = images.reshape(n, channels, rows, patch, columns, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(n, rows * columns, -1)


class NaflexImages:
    """What Transformers' `Lfm2VlProcessor` asks of its image processor.

    Parameters
    ----------
    settings : mapping
        Replaces `DEFAULTS`; unknown keys are left aside, as the processor does.
    """

    model_input_names = ("pixel_values", "pixel_attention_mask", "spatial_shapes")

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        given = {k: v for k, v in (settings or {}).items() if k in DEFAULTS and v is not None}
        self.settings: dict[str, Any] = DEFAULTS | given

    def __getattr__(self, name: str) -> Any:
        """Offer each setting under its name."""
        settings = self.__dict__.get("settings", {})
        if name in settings:
            return settings[name]
        raise AttributeError(name)

    def fetch_images(self, images: Any) -> Any:
        """Return images as they are: they are arrays already."""
        return images

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Say into how many rows and columns of tiles an image is split; (1, 1): it is not."""
        s = SimpleNamespace(**self.settings)
        low, high = (s.min_tiles, s.max_tiles) if s.do_image_splitting else (1, 1)
        step = s.encoder_patch_size * s.downsample_factor
        most = s.max_image_tokens * step**2 * s.max_pixels_tolerance
        tall = max(s.encoder_patch_size, round(height / step) * step)
        wide = max(s.encoder_patch_size, round(width / step) * step)
        if low == high == 1 or tall * wide <= most:
            return 1, 1
        shapes = {
            (across, down)
            for n in range(low, high + 1)
            for across in range(1, n + 1)
            for down in range(1, n + 1)
            if low <= across * down <= high
        }
        best, distance = (1, 1), math.inf
        for columns, rows in sorted(shapes, key=lambda shape: shape[0] * shape[1]):
            off = abs(width / height - columns / rows)
            large = height * width > 0.5 * s.tile_size**2 * columns * rows
            if off < distance or (off == distance and large):
                best, distance = (columns, rows), off
        return best[1], best[0]

    def sides(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width in whole image tokens, within the limits on their number."""
        s = SimpleNamespace(**self.settings)
        step = s.encoder_patch_size * s.downsample_factor
        least, most = (n * step**2 for n in (s.min_image_tokens, s.max_image_tokens))
        tall = max(step, round(height / step) * step)
        wide = max(step, round(width / step) * step)
        if tall * wide > most:
            beta = math.sqrt(height * width / most)
            tall = max(step, math.floor(height / beta / step) * step)
            wide = max(step, math.floor(width / beta / step) * step)
        elif tall * wide < least:
            beta = math.sqrt(least / (height * width))
            tall = math.ceil(height * beta / step) * step
            wide = math.ceil(width * beta / step) * step
        return tall, wide

    def __call__(self, images: Any, **kwargs: Any) -> dict[str, Any]:
        """Turn images into patches, masks and grids.

        Parameters
        ----------
        images : nested sequence of ndarray of uint8, shape (height, width, 3)
            RGB.

        Returns
        -------
        dict
            `pixel_values` float32 (tiles, patches, patch² × 3), zero-padded;
            `pixel_attention_mask` int32 (tiles, patches); `spatial_shapes` int64 (tiles, 2),
            rows and columns of patches; `image_rows`, `image_cols`, `image_sizes` per image.
        """
        torch, _ = require()
        s = SimpleNamespace(**self.settings)
        tiles: list[Any] = []
        rows, columns, sizes = [], [], []
        for image in _flat(images):
            pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
            height, width = image.shape[:2]
            down, across = self.grid(height, width)
            tall, wide = self.sides(height, width)
            small = _resize(torch, pixels, tall, wide)
            if (down, across) == (1, 1):
                tiles.append(small)
            else:
                side = s.tile_size
                whole = _resize(torch, pixels, side * down, side * across)
                cut = whole.reshape(1, 3, down, side, across, side).permute(0, 2, 4, 1, 3, 5)
                tiles += list(cut.reshape(-1, 1, 3, side, side))
                if s.use_thumbnail:
                    tiles.append(small)
            rows.append(down)
            columns.append(across)
            sizes.append([tall, wide])
        length = s.max_image_tokens * s.downsample_factor**2
        if s.do_image_splitting:
            length = max(length, (s.tile_size // s.encoder_patch_size) ** 2)
        values, masks, shapes = [], [], []
        for tile in tiles:
            patches = convert_to_patches(self._normalised(torch, tile), s.encoder_patch_size)[0]
            mask = torch.zeros(length, dtype=torch.int32)
            mask[: len(patches)] = 1
            values.append(torch.nn.functional.pad(patches, (0, 0, 0, length - len(patches))))
            masks.append(mask)
            shapes.append([side // s.encoder_patch_size for side in tile.shape[-2:]])
        return {
            "pixel_values": torch.stack(values),
            "pixel_attention_mask": torch.stack(masks),
            "spatial_shapes": torch.tensor(shapes),
            "image_rows": rows,
            "image_cols": columns,
            "image_sizes": sizes,
        }

    def _normalised(self, torch: Any, tile: Any) -> Any:
        s = SimpleNamespace(**self.settings)
        scale = s.rescale_factor if s.do_rescale else 1.0
        made = tile.to(torch.float32)
        if not s.do_normalize:
            return made * scale
        # Rescaling and normalising in one step, as the processor does.
        levels = (torch.tensor(v)[None, :, None, None] / scale for v in (s.image_mean, s.image_std))
        mean, std = levels
        return (made - mean) / std


def _resize(torch: Any, pixels: Any, height: int, width: int) -> Any:
    if tuple(pixels.shape[-2:]) == (height, width):
        return pixels
    made = torch.nn.functional.interpolate(
        pixels.to(torch.float32), (height, width), mode="bilinear", antialias=True
    )
    return made.round().clamp(0, 255).to(torch.uint8)


def _flat(images: Any) -> Sequence[NDArray[np.uint8]]:
    if isinstance(images, np.ndarray) and images.ndim == 3:
        return [images]
    return [image for part in images for image in _flat(part)]
