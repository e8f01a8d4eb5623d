"""The command line: one short module per verb that parses, calls one public function and writes `run.json`."""
