"""The versions and the kind of CPU that the bits of a slate depend on."""

import hashlib
import platform
from functools import cache
from importlib import import_module
from typing import Any

PACKAGES = ("numpy", "scipy", "numba")


@cache
def describe_environment() -> dict[str, str]:
    """Return the versions of this package, Python and the packages that compute slates, and the kind of CPU."""
    from importlib import metadata

    versions = {name: metadata.version(name) for name in PACKAGES}
    return {
        "recsys": metadata.version("recsys-negspace"),
        "python": platform.python_version(),
        **versions,
        "cpu": _describe_cpu(),
    }


def _describe_cpu() -> str:
    """Return architecture, name of the CPU as compilers say it, and a digest of the features that code may use."""
    binding: Any = import_module("llvmlite.binding")  # which has no types
    features = hashlib.sha256(binding.get_host_cpu_features().flatten().encode()).hexdigest()
    return f"{platform.machine()} {binding.get_host_cpu_name()} {features[:8]}"
