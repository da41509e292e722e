"""``python -m omnisila``."""

from omnisila.cli import main

if __name__ == "__main__":
    main()
