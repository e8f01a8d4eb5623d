import pytest

from openmm_cgml.config import Config, Length, Time, read_config
from openmm_cgml.errors import InputError


class _Inner(Config):
    cutoff: Length
    blocks: int = 2


class _Outer(Config):
    time_step: Time
    rate: float = 1e-3
    label: str = ""
    inner: _Inner


GOOD = "time_step: 5 fs\nrate: 1e-4\nlabel: no\ninner:\n  cutoff: 8 angstrom\n"


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf8")
        return path

    return write


def test_quantities_are_read_in_our_units_and_yaml_1_1_surprises_are_gone(write):
    config = read_config(write(GOOD), _Outer)
    assert (config.time_step, config.rate, config.label, config.inner.cutoff) == (0.005, 1e-4, "no", 0.8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("cutoff", "cut_off"), r"inner.cut_off \(line 5\): unknown key; did you mean 'cutoff'"),
        (GOOD.replace("8 angstrom", "8"), r"inner.cutoff \(line 5\): 8 has no unit"),
        (GOOD.replace("5 fs", "5 K"), r"time_step \(line 1\).*another dimension"),
        (GOOD + "rate: 1\n", "key 'rate' appears twice"),
        (GOOD.replace("time_step: 5 fs\n", ""), "time_step: missing"),
        (GOOD.replace("1e-4", ".inf"), "rate"),
        ("- 1\n", "expected keys and values"),
        ("a: &x 1\nb: *x\n", "anchors"),
        ("a: !!python/object:os.system {}\n", "not plain YAML"),
        ("a: [1\n", "not plain YAML"),
    ],
)
def test_bad_files_are_refused_with_the_place(write, text, message):
    with pytest.raises(InputError, match=message):
        read_config(write(text), _Outer)


def test_in_python_plain_numbers_are_in_our_units_and_errors_are_ours():
    assert _Inner(cutoff=0.8).cutoff == 0.8
    assert _Inner(cutoff="8 angstrom").cutoff == pytest.approx(0.8)
    with pytest.raises(InputError, match="unknown key; did you mean 'blocks'"):
        _Inner(cutoff=1.0, block=3)


def test_configurations_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        _Inner(cutoff=1.0).blocks = 3
