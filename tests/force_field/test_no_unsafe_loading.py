import re
from pathlib import Path

import pytest

import openmm_cgml

FORBIDDEN = {
    "weights_only=False": r"weights_only\s*=\s*False",
    "torch.load without weights_only": r"torch\.load\((?!.*weights_only\s*=\s*True)",
    "pickle.load": r"pickle\.loads?\(",
    "torch.jit.load": r"jit\.load\(",
    "allow_pickle": r"allow_pickle\s*=\s*True",
    "yaml.load": r"yaml\.(?:unsafe_|full_)?load\(",
    "eval or exec": r"(?<![\w.])(?:eval|exec)\(",
}


def findings(text):
    return [name for name, pattern in FORBIDDEN.items() if re.search(pattern, text)]


def test_the_package_holds_no_call_that_runs_code_from_a_file():
    package = Path(openmm_cgml.__file__).parent
    found = {
        str(path.relative_to(package)): findings(path.read_text(encoding="utf8")) for path in package.rglob("*.py")
    }
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "pickle.loads(data)",
        "torch.jit.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, Loader)",
        "x = eval(text)",
    ],
)
def test_the_search_finds_each_of_them(line):
    assert findings(line)
    assert not findings("network.eval(); torch.load(path, weights_only=True); yaml.safe_load(text)")
