"""What the numbers were measured on: versions, device, clocks and load."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from analysis.collection.extra import require
from complexity.files import sha256_file

_PACKAGES = ("optik", "torch", "transformers", "tokenizers", "numpy", "pillow", "torchvision")
_GPU = (
    *("name", "driver_version", "clocks.sm", "clocks.mem", "clocks.max.sm", "utilization.gpu"),
    *("memory.used", "temperature.gpu", "power.draw", "clocks_event_reasons.active"),
)


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages that shape an answer; None: absent."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def device_label(device: str, dtype: str) -> str:
    """Name a device for the latency table: the GPU's name, or threads and number format."""
    torch, _ = require()
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    n = torch.get_num_threads()
    short = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}.get(dtype, dtype)
    return f"cpu-{n}thread{'s' if n > 1 else ''}-{short}"


def device_state(device: str) -> dict[str, Any]:
    """Describe the device at this moment: load, clocks, temperature."""
    torch, _ = require()
    state: dict[str, Any] = {"processor": _processor(), "cores": os.cpu_count()}
    if hasattr(os, "getloadavg"):
        state["load_average"] = [round(value, 2) for value in os.getloadavg()]
    state["threads"] = torch.get_num_threads()
    if device.startswith("cuda"):
        state["gpu"] = _gpu(_identity(torch, torch.cuda.current_device()))
        state["cuda"] = torch.version.cuda
    return state


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _identity(torch: Any, number: int) -> str:
    """Name a GPU for nvidia-smi: by UUID, since PyTorch numbers only those that it may see."""
    uuid = str(getattr(torch.cuda.get_device_properties(number), "uuid", ""))
    if not uuid:
        return str(number)
    return uuid if uuid.startswith("GPU-") else f"GPU-{uuid}"


def _gpu(which: str) -> dict[str, str]:
    """Ask nvidia-smi; an empty answer where there is none."""
    for fields in (_GPU, _GPU[:-1]):  # the last has another name with drivers before 2023
        command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
        try:
            done = subprocess.run(
                [*command, "-i", which], capture_output=True, text=True, timeout=20, check=True
            )
        except (OSError, subprocess.SubprocessError):
            continue
        parts = (part.strip() for part in done.stdout.split(","))
        return dict(zip(fields, parts, strict=False))
    return {}


def model_identity(source: str) -> dict[str, Any]:
    """Tell one model from another.

    Parameters
    ----------
    source : str
        Folder or hub id.

    Returns
    -------
    dict
        For a folder: SHA-256 of its configuration and processing files; of each weights file the
        size and the SHA-256 of its first and last MiB. For a hub id: the id; the revision is
        added once the configuration is loaded.
    """
    folder = Path(source)
    if not folder.is_dir():
        return {"id": source}
    files: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".jinja", ".model", ".txt") and path.is_file():
            files[path.name] = sha256_file(path)
        elif path.suffix in (".safetensors", ".bin") and path.is_file():
            files[path.name] = f"{path.stat().st_size} bytes, {_ends(path)}"
    return {"folder": folder.resolve().name, "files": files}


def _ends(path: Path) -> str:
    """Hash the first and the last MiB of a file that may be many GB."""
    import hashlib

    total = hashlib.sha256()
    with open(path, "rb") as handle:
        total.update(handle.read(1 << 20))
        handle.seek(max(0, path.stat().st_size - (1 << 20)))
        total.update(handle.read())
    return total.hexdigest()
