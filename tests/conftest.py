"""Shapes of the core are checked in the tests, and there only."""

import jaxtyping
import pytest
import torch

CHECKED = ["newtake.levels", "newtake.guidance", "newtake.attention", "newtake.inversion"]

torch.set_num_threads(1)                                # the least noise, and room for other workers
jaxtyping.install_import_hook(CHECKED, "shapecheck.checked")


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NEWTAKE_CACHE", str(tmp_path_factory.mktemp("inversions")))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder for all tests of a file."""
    return tmp_path_factory.mktemp("place")


@pytest.fixture
def made(tmp_path):
    """A published data set in miniature, by its layout's name: its folder."""
    from made_datasets import MADE  # after the hook, which checks what is imported later

    def make(layout):
        folder = tmp_path / "sample"
        folder.mkdir()
        MADE[layout](folder)
        return folder
    return make
