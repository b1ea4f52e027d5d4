"""The documentation's own code, for tests of what it makes."""

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location("docs_conf", Path(__file__).parents[1] / "docs" / "conf.py")
assert _spec and _spec.loader
conf = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(conf)
notebooks = conf.notebooks
