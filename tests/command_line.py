"""The command line, run within the process of a test."""

from recsys.cli import main


def run_cli(*arguments: object) -> int:
    """Run `recsys` with the arguments; return its exit code."""
    try:
        main([str(one) for one in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
