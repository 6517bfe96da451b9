"""What every test may use."""

from __future__ import annotations

import os

# Before numpy is loaded: two test processes share the cores.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says nothing on a shared machine; the same examples every time.
settings.register_profile("optik", deadline=None, derandomize=True)
settings.load_profile("optik")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shapes() -> Path:
    """The folder of the study that ships."""
    return ROOT / "data_manifests" / "shapes"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a skipped test is a missing one."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
