import subprocess
import sys

import pytest
import warp

from openmm_cgml import caches
from tests.fixtures import package_environment


@pytest.fixture(autouse=True)
def _looked_for_anew():
    yield
    caches.find_warp_cache.cache_clear()


def test_warp_keeps_its_own_folder_where_that_can_be_written(tmp_path, monkeypatch):
    monkeypatch.delenv("WARP_CACHE_PATH", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    caches.find_warp_cache.cache_clear()
    assert caches.find_warp_cache() is None


def test_warp_gets_a_private_folder_where_there_is_no_home(tmp_path, monkeypatch):
    monkeypatch.delenv("WARP_CACHE_PATH", raising=False)
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(warp.config, "kernel_cache_dir", None)
    caches.find_warp_cache.cache_clear()
    caches.place_warp_cache(warp.config)
    assert caches.find_warp_cache().stat().st_mode & 0o077 == 0
    assert warp.config.kernel_cache_dir == str(caches.find_warp_cache())


@pytest.mark.slow
def test_kernels_are_compiled_where_numba_finds_no_place_to_keep_them():
    code = (
        "from numba.core import caching; caching.CacheImpl._locator_classes = []\n"
        "from openmm_cgml.caches import keeps_numba_kernels; from openmm_cgml.engine import cell_list\n"
        "import sys; sys.exit(keeps_numba_kernels())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=package_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
