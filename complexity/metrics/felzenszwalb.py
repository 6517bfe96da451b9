"""Felzenszwalb and Huttenlocher's segmentation: scikit-image's regions, an order faster.

Felzenszwalb & Huttenlocher 2004, doi:10.1023/B:VISI.0000022288.19776.77. Pixels are joined to
their 8 neighbours by edges whose weight is the Euclidean distance of their smoothed colours.
Edges are taken by rising weight; the components at their ends merge if the weight is below
``Int(C) + scale / |C|`` of both, Int(C) being the weight at which C was made. Then, by rising
weight again, components of fewer than `min_size` pixels merge with the other end's.

The label maps are those of ``skimage.segmentation.felzenszwalb``, because

* the weights are the same doubles: the same operations in the same order;
* edges of different weights are taken in the same order: they are sorted by the first 44 bits
  of the double, then where these agree by the double itself;
* edges whose ends are in one region change nothing: they are taken up in a few lots of rising
  weight, and those inside a region by then are never sorted;
* the order among equal weights does not matter in the first pass. What is made at weight w
  has a threshold above w, so all components with a threshold above w that edges of weight w
  connect become one, in whatever order; the others stay as they are. (Where rounding the
  threshold to 32 bits breaks that, it is noticed.)
* in the second pass it can matter: a small component may have two neighbours at the same
  distance. That is noticed too, and the image is done again in the order in which scikit-image
  takes equal weights, which is NumPy's.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.metrics import felzenszwalb_graph_kernels as graph
from complexity.metrics import felzenszwalb_regions_kernels as regions
from complexity.metrics.felzenszwalb_graph_kernels import Doubles, Indices, Names
from complexity.metrics.scratch import Scratch

#: Shares of edges (of weights above 0) after which the rest are looked through.
CUTS = (0.4, 0.7)
#: Above the bits of all weights.
_ENDLESS = (1 << 64) - 1
_scratch = Scratch()


def segment(
    colours: NDArray[Any], *, scale: float, sigma: float, min_size: int
) -> tuple[Indices, int]:
    """Cut an image into regions.

    Parameters
    ----------
    colours : ndarray of uint8, float32 or float64, shape (h, w, 3)
        8-bit colours are divided by 255; floats are taken as they are.
    scale : float
        Larger values make larger regions; divided by 255, as if colours were 8-bit.
    sigma : float
        Standard deviation in pixels of the Gaussian that smooths the colours first
        (4 sigma wide, rounded; edge pixels doubled at the border); 0 for none.
    min_size : int
        Regions of fewer pixels merge with the neighbour nearest in colour.

    Returns
    -------
    labels : ndarray of int32, shape (h, w)
        From 0, numbered by their first pixel in scanning order.
    count : int
        Number of regions.
    """
    region, _ = _regions(colours, scale, sigma, min_size)
    labels = np.empty(colours.shape[:2], dtype=np.int32)
    return labels, regions.number(region, labels.reshape(-1))


def count_regions(colours: NDArray[Any], *, scale: float, sigma: float, min_size: int) -> int:
    """Count the regions that `segment` finds, with the same parameters."""
    return _regions(colours, scale, sigma, min_size)[1]


def _regions(colours: NDArray[Any], scale: float, sigma: float, min_size: int) -> tuple[Names, int]:
    """Give each pixel's region, named by one of its pixels, and the number of regions."""
    height, width = colours.shape[:2]
    pixels, step = height * width, scale / 255
    # Each edge is a sort key: the leading bits of its weight, then its number. The bits left
    # out are among those that a 32-bit threshold lacks, so comparing with one needs no more.
    low_bits = (4 * pixels - 1).bit_length()
    if low_bits > 29:
        raise ValueError(f"{height} x {width} pixels are too many to segment")
    weights = _scratch.get("weights", 4 * pixels, np.float64).reshape(4, pixels)
    keys = _scratch.get("keys", 4 * pixels, np.uint64)
    kernel = _gaussian(sigma)
    places = (_mirror(height, len(kernel) - 1), _mirror(width, len(kernel) - 1))
    factor = 1 / 255 if colours.dtype == np.uint8 else 1.0
    rows = np.ascontiguousarray(colours).reshape(height, 3 * width)
    graph.weigh(rows, factor, kernel, *places, weights)
    region = _scratch.get("region", pixels, np.uint32)
    nodes = _scratch.get("nodes", 2 * pixels, np.int32).reshape(pixels, 2)
    refused = _scratch.get("refused", 4 * pixels, np.int32)
    done, left, count = 0, 0, pixels
    bounds = _bounds(weights[0].reshape(height, width), low_bits)
    for least, below in pairwise(bounds):
        # What earlier edges have put into one region is never sorted.
        end = done + graph.gather(weights, width, low_bits, least, below, region, keys[done:])
        edges = keys[done:end]
        if below > 1:  # not all 0
            edges.sort()
            graph.order_alike(edges, weights, low_bits)
        more, gone, clear = regions.grow(
            edges, weights, width, low_bits, step, region, nodes, refused[left:], done
        )
        if not clear:
            return _in_numpys_order(weights.reshape(4, height, width), step, min_size)
        done, left, count = end, left + more, count - gone
    edges = keys[:done]
    parts = _scratch.get("parts", 3 * pixels, np.int32).reshape(pixels, 3)
    # Copies, to begin again from if the order of ties turns out to matter.
    grown = _scratch.get("grown", pixels, np.uint32)
    sizes = _scratch.get("sizes", 2 * pixels, np.int32).reshape(pixels, 2)
    again = _scratch.get("again", left, np.int32)
    grown[...], sizes[...], again[...] = region, nodes, refused[:left]
    setting = (weights, width, low_bits, min_size)
    nothing = np.empty(0, dtype=np.int32)
    found, clear = regions.absorb(
        refused[:left], edges, *setting, region, nodes, parts, nothing, count
    )
    if clear:
        return region, found
    order = np.argsort(_costs(weights.reshape(4, height, width)))
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    found, _ = regions.absorb(again, edges, *setting, grown, sizes, parts, rank, count)
    return grown, found


def _bounds(weights: Doubles, low_bits: int) -> list[np.uint64]:
    """Cut the range of weights where edges are to be taken up, as the bits of doubles.

    Cuts cost a look at all edges each, and save sorting and following those that are inside a
    region by then. Any cuts give the same regions; these suit photographs. ``weights`` are those
    of the edges to the right, shape (h, w).
    """
    some = weights[::7, :-1:11].ravel()
    if len(some) < 300:
        return [np.uint64(0), np.uint64(_ENDLESS)]
    zeros = np.count_nonzero(some == 0)
    at = [int(zeros + share * (len(some) - zeros)) for share in CUTS if zeros < len(some)]
    cuts = np.partition(some, at)[at].view(np.uint64) if at else np.empty(0, dtype=np.uint64)
    # Weights that agree in their leading bits must not be cut apart.
    bounds = {0, _ENDLESS, *(int(cut) >> low_bits << low_bits for cut in cuts)}
    if zeros > 0.2 * len(some):
        bounds.add(1)
    return [np.uint64(bound) for bound in sorted(bounds)]


def _costs(weights: Doubles) -> Doubles:
    """Weights in the order in which scikit-image lists its edges."""
    right, down, down_right, down_left = weights
    height, width = right.shape
    costs = _scratch.get("costs", 4 * height * width, np.float64)
    first = 0
    for part in (right[:, :-1], down[:-1], down_right[:-1, :-1], down_left[:-1, 1:]):
        costs[first : first + part.size].reshape(part.shape)[...] = part
        first += part.size
    return costs[:first]


def _in_numpys_order(weights: Doubles, step: float, min_size: int) -> tuple[Names, int]:
    """Segment in the order of NumPy's default sort, that of scikit-image, ties included."""
    costs = _costs(weights)
    pixel = np.arange(weights[0].size, dtype=np.int32).reshape(weights[0].shape)
    one = (pixel[:, :-1], pixel[:-1], pixel[:-1, :-1], pixel[:-1, 1:])
    two = (pixel[:, 1:], pixel[1:], pixel[1:, 1:], pixel[1:, :-1])
    parent = np.arange(pixel.size, dtype=np.uint32)
    count = regions.one_by_one(
        np.argsort(costs),
        costs,
        np.concatenate([part.ravel() for part in one]),
        np.concatenate([part.ravel() for part in two]),
        step,
        min_size,
        parent,
    )
    return parent, count


def _gaussian(sigma: float) -> Doubles:
    """Right half of SciPy's Gaussian kernel, the middle first."""
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return np.ones(1)
    across = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 / (sigma * sigma) * across**2)
    return np.array((kernel / kernel.sum())[radius:])


def _mirror(length: int, radius: int) -> Indices:
    """Where positions -radius to length + radius - 1 lie when the border is mirrored."""
    place = np.arange(-radius, length + radius) % (2 * length)
    return np.minimum(place, 2 * length - 1 - place).astype(np.int32)
