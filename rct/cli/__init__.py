"""The command line: every verb parses, calls one verb of the library, and prints."""

from rct.cli.app import main

__all__ = ["main"]
