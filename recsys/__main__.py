"""The entry point of the command line, which says what to install where the extra is missing.

`recsys warmup` needs no extra: a server has none.
"""

import sys

ADVICE = 'recsys: the command line needs the extra: pip install "recsys-negspace[bench]"'


def main() -> None:
    """Run `recsys` with the arguments of the process."""
    try:
        from recsys.cli import main as run

        run()
    except ModuleNotFoundError as error:
        from recsys.types.extras import EXTRA_MODULES

        if (error.name or "").partition(".")[0] not in EXTRA_MODULES:
            raise
        if sys.argv[1:2] == ["warmup"]:
            from recsys.rankers.warmups import run_command

            sys.exit(run_command(sys.argv[2:]))
        print(ADVICE, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # before the command line is there to answer it
        print("recsys: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
