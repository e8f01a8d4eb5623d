"""`openmm-cgml thin`."""

from openmm_cgml.cli.app import main
from openmm_cgml.dataset import ForceMatchingDataset
from tests.training.conftest import make_dataset  # noqa: F401


def run(*arguments):
    try:
        main(["thin", *map(str, arguments)])
    except SystemExit as end:
        return end.code
    return 0


def test_a_small_copy_is_written_and_its_size_told(make_dataset, tmp_path, capsys):  # noqa: F811
    whole = make_dataset(n_frames=12)
    assert run(whole.path, "-o", tmp_path / "small", "--frames", 5) == 0
    assert "5 frames, 0." in capsys.readouterr().out
    assert ForceMatchingDataset.open(tmp_path / "small").n_frames == 5


def test_what_is_there_is_kept_and_no_dataset_is_refused(make_dataset, tmp_path, capsys):  # noqa: F811
    whole = make_dataset()
    assert run(whole.path, "-o", whole.path, "--frames", 5, "--overwrite") == 2
    assert ForceMatchingDataset.open(whole.path).n_frames == whole.n_frames
    assert run(tmp_path / "nothing", "-o", tmp_path / "small", "--frames", 5) == 3
    assert run(whole.path, "-o", tmp_path / "small", "--frames", 0) == 2
    assert not (tmp_path / "small").exists()
