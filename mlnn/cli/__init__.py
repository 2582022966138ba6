"""The command line: what was said, how it is composed and checked, one file a command. Hydra is imported here only."""

from mlnn.cli.app import Script, main

__all__ = ["Script", "main"]
