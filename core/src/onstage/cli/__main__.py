"""``python -m onstage.cli``."""

from onstage.cli import main

main(prog_name="onstage")
