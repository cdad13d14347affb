"""``python -m onstage``: the command line."""

from onstage.cli import main

if __name__ == "__main__":
    main(prog_name="onstage")
