"""`python -m rapport_cli`: the same as `rapport`."""

from rapport_cli import main

main()
