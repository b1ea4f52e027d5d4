"""Charts of reports: drawn where a test looks at pictures, which takes most of the time of a small benchmark."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import vl_convert

draw_picture = vl_convert.vegalite_to_svg


def write_specification(spec: dict[str, Any], **_: Any) -> str:
    """Return a picture that holds the words of the specification in the place of what it describes."""
    return f"<svg><desc><![CDATA[{json.dumps(spec)}]]></desc></svg>"


@contextmanager
def convert_charts(convert: Callable[..., str]) -> Iterator[None]:
    """Make the pictures of charts by `convert`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vl_convert, "vegalite_to_svg", convert)
        yield
