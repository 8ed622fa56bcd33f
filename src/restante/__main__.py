"""`python -m restante` is `restante`."""

import sys

from restante.cli import main

if __name__ == "__main__":
    sys.exit(main())
