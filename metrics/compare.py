"""Test whether system A is better than system B on the same sentences: `python -m metrics.compare A.json B.json`.

A.json and B.json are files of `python -m metrics.score … --json FILE`. The command refuses results with different
signatures, because their scores are not comparable. For each metric it prints the difference A − B with the 95 %
interval of a paired bootstrap, and the p-value of an approximate randomisation test (Noreen 1989), which exchanges
the signs of the differences at random.

Exit codes: 0 done, 2 bad input (one line says what), 130 interrupted.
"""

from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.errors import run_command


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m metrics.compare", __doc__)
    parser.add_argument("first", metavar="A.json", type=Path, help="the result of system A")
    parser.add_argument("second", metavar="B.json", type=Path, help="the result of system B")
    options = parser.parse_args(argv)
    from metrics.scoring.result import compare, read_result
    from metrics.scoring.signature import Signature

    first, second = read_result(options.first), read_result(options.second)
    differences = compare(first, second)
    a, b, signature = first["system"]["name"], second["system"]["name"], Signature.parse(first["signature"])
    print(f"A = {a}, B = {b}, n = {len(first['sentences'])}, signature {signature.short}")
    print("metric\tA\tB\tA − B [95 %, paired bootstrap]\tp (approximate randomisation)")
    for d in differences:
        print(f"{d.metric.upper()}\t{d.first:.3f}\t{d.second:.3f}\t{d.interval}\t{d.p:.4f}")


if __name__ == "__main__":
    run_command(main)
