"""Where datasets are kept on this machine."""

import os
from pathlib import Path


def data_folder(data_dir: str | Path | None = None) -> Path:
    """Return `data_dir`, else the folder that `RECSYS_DATA` names, else the user's cache folder for data."""
    chosen = data_dir or os.environ.get("RECSYS_DATA")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("recsys") / "data"
