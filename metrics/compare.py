"""Test whether system A is better than system B on the same sentences: `python -m metrics.compare A.json B.json`.

A.json and B.json are files of `python -m metrics.score … --json FILE`. The command refuses results with different
signatures, because their scores are not comparable. For each metric it prints the difference A − B with the 95 %
interval of a paired bootstrap, and the p-value of an approximate randomisation test (Noreen 1989), which exchanges
the signs of the differences at random.

--judge also asks an instruction model, per sentence and in both orders, which rewrite is better (profile `judge`,
pair_prompt). It prints the win rate of A with its 95 % interval; where the two orders disagree the sentence is a tie.

Exit codes: 0 done, 2 bad input (one line says what), 130 interrupted.
"""

from pathlib import Path

from metrics.util.console import add_judge_option, command_parser
from metrics.util.errors import run_command


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m metrics.compare", __doc__)
    parser.add_argument("first", metavar="A.json", type=Path, help="the result of system A")
    parser.add_argument("second", metavar="B.json", type=Path, help="the result of system B")
    add_judge_option(parser, "also ask this model which rewrite is better")
    options = parser.parse_args(argv)
    from metrics.scoring.pairwise import prefer
    from metrics.scoring.result import compare, read_result, scored_sentences
    from metrics.scoring.signature import Signature
    from metrics.scoring.slices import count_line

    first, second = read_result(options.first), read_result(options.second)
    differences = compare(first, second)
    a, b, signature = first["system"]["name"], second["system"]["name"], Signature.parse(first["signature"])
    print(f"A = {a}, B = {b}, n = {len(first['sentences'])}, signature {signature.short}")
    print("metric\tA\tB\tA − B [95 %, paired bootstrap]\tp (approximate randomisation)")
    for d in differences:
        print(f"{d.metric.upper()}\t{d.first:.3f}\t{d.second:.3f}\t{d.interval}\t{d.p:.4f}")
    for name, result in (("A", first), ("B", second)):
        print(f"{name}, {count_line(scored_sentences(result))}")
    if options.judge:
        sources = [sentence["source"] for sentence in first["sentences"]]
        ours, theirs = ([sentence["output"] for sentence in result["sentences"]] for result in (first, second))
        preferences = prefer(options.judge, sources, ours, theirs)
        a_wins, b_wins = (int((preferences.outcomes == outcome).sum()) for outcome in (1, 0))
        ties = len(sources) - a_wins - b_wins
        print(f"judge {preferences.judge}")
        print(f"A better: {a_wins}, B better: {b_wins}, tie: {ties} (orders disagree: {preferences.disagreements})")
        print(f"win rate of A [95 %, bootstrap]: {preferences.win_rate}")


if __name__ == "__main__":
    run_command(main)
