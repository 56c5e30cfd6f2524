"""The command line: ``python -m vqssl``, or ``vqssl`` where it is installed."""

import sys

from vqssl._cli import main

if __name__ == "__main__":
    sys.exit(main())
