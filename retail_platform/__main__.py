"""Where `retail`, or `python -m retail_platform`, begins."""

import gc

# A command is short, and what it imports stays to its end: looking through all of it for garbage,
# again and again, took a tenth of a small build. So this stands before the first import.
gc.set_threshold(200_000, 20, 20)


def main() -> None:
    """Runs the command line."""
    from retail_platform.cli import main as run

    run()


if __name__ == "__main__":
    main()
