"""`python -m tests.fuzz 10000`: damages so many files of all kinds and prints a table of what became of them."""

import sys
import tempfile
from pathlib import Path

from tests.fuzz.campaign import run_campaign
from tests.fuzz.targets import make_targets

n_cases, seed = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, int(sys.argv[2]) if len(sys.argv) > 2 else 1
with tempfile.TemporaryDirectory() as folder:
    targets = make_targets(Path(folder))
    campaign = run_campaign(targets, Path(folder), n_each=-(-n_cases // len(targets)), seed=seed)
sys.stdout.write("\n".join([campaign.table(), *campaign.wrong[:40], ""]))
sys.exit(bool(campaign.wrong))
