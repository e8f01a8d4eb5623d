import pytest
import yaml

from openmm_cgml.cli.app import main
from openmm_cgml.storage import read_json
from tests.training.conftest import make_dataset  # noqa: F401  (a fixture)

CONFIG = {
    "name": "dimers",
    "data": {"n_blocks": 6, "fractions": [0.6, 0.2, 0.2]},
    "priors": {
        "bonds": {"length": "0.25 nm", "stiffness": "2000 kJ/mol/nm^2"},
        "repulsion": {"sigma": "0.2 nm", "cutoff": "0.6 nm"},
    },
    "network": {"n_features": 6, "n_filters": 5, "n_basis": 8, "cutoff": "0.7 nm"},
    "training": {"epochs": 1, "batch_size": 3, "filter_knots": 40},
}


@pytest.fixture
def arguments(tmp_path, make_dataset):  # noqa: F811
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(CONFIG))
    data = make_dataset()
    return ["fit", str(tmp_path / "fit.yaml"), "-o", str(tmp_path / "out"), "-d", str(data.path), "--threads", "1"]


def test_fit_prints_a_table_and_records_the_run(arguments, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    out, err = capsys.readouterr()
    assert "force RMSE" in out
    assert "  A " in out  # a row per bead type
    assert "epoch 1 of 1" in err
    record = read_json(tmp_path / "out" / "run.json")
    assert (record["verb"], record["ending"]) == ("fit", "finished")
    assert record["result"]["metrics"]["test"]["force_rmse"] > 0


def test_existing_output_is_refused_with_exit_code_2(arguments, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "something").write_text("")
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "--resume" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["something"]
