"""Derive the embedded English-German corpus from its grammar, or check the committed files."""

import argparse
import sys
from pathlib import Path

from demo_grammar import corpus

DEMO = Path(__file__).parents[1] / "data" / "demo"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=DEMO, help="folder (default: data/demo)")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args(arguments)

    derived = corpus.splits()
    contents = corpus.files(derived)
    if not options.check:
        corpus.write(contents, options.output)
        print(corpus.summary(derived))
        return 0
    different = corpus.differences(contents, options.output)
    if different:
        print(
            f"{options.output}: {', '.join(different)} differ from what the grammar derives; "
            "run scripts/make_demo_corpus.py and commit the result",
            file=sys.stderr,
        )
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
