"""`python -m restante.cli.manual FOLDER` writes what the program tells of itself into a checkout (script/docs)."""

import sys
from pathlib import Path

from restante.cli.manual import pages


def main(checkout: Path) -> None:
    """Writes each file that is not as it should be, and says which."""
    for name, text in pages().items():
        file = checkout / name
        if file.exists() and file.read_text("utf-8") == text:
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        sys.stdout.write(f"{name} is new\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
