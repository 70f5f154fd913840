"""`python -m rct`, the same as the command `rct`."""

from rct.cli import main

if __name__ == "__main__":
    main()
