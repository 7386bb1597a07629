"""`python -m materia` is `materia`."""

from __future__ import annotations

from materia.cli import main

if __name__ == "__main__":
    main()
