"""Test which systems are better on the same sentences: `python -m metrics.compare A.json [B.json …]`.

The files are those of `python -m metrics.score … --json FILE`; one may hold several systems. The command refuses
results with different signatures, because their scores are not comparable. For each metric and pair of systems it
prints the difference with the 95 % interval of a paired bootstrap, and the p-value of an approximate randomisation
test (Noreen 1989), which exchanges the signs of the differences at random. Of more than two systems (50 at
most) it compares every pair, the one with the higher J first, and also prints p after Holm's correction (1979) for the
number of pairs: calling those below .05 different errs in any of them with a probability of at most .05.

--plot FILE draws the differences of J. --judge also asks an instruction model, per sentence and in both orders, which
of two systems' rewrites is better (profile `judge`, pair_prompt). It prints the win rate of A with its 95 % interval;
where the two orders disagree the sentence is a tie.

Exit codes: 0 done, 2 bad input (one line says what), 130 interrupted.
"""

from pathlib import Path
from typing import Any

from metrics.util.characters import printable
from metrics.util.console import add_judge_option, command_parser
from metrics.util.errors import InputError, run_command

# 1,225 pairs; the work grows with their number.
_MAX_SYSTEMS = 50
_COLUMNS = "A − B [95 %, paired bootstrap]\tp (approximate randomisation)"


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m metrics.compare", __doc__)
    parser.add_argument("files", metavar="A.json", type=Path, nargs="+", help="results, of A first")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the differences of J: .png, .pdf or .svg")
    add_judge_option(parser, "of two systems: also ask this model which rewrite is better")
    options = parser.parse_args(argv)
    from metrics.scoring.pairs_plot import plot_differences, require_plot_format
    from metrics.scoring.result import read_results
    from metrics.scoring.signature import Signature
    from metrics.util.files import require_writable

    if options.plot:
        require_plot_format(options.plot)
        require_writable(options.plot)
    results = [result for path in options.files for result in read_results(path)]
    if len(results) > _MAX_SYSTEMS:
        raise InputError(f"{len(results)} systems in these files; at most {_MAX_SYSTEMS} are compared, pair by pair")
    if len(results) < 2:
        raise InputError(f"{options.files[0]}: one system; give the results of another one to compare it with")
    if options.judge and len(results) > 2:
        raise InputError(f"--judge: compares two systems, and these files hold {len(results)}")
    rows = _compare_two(results[0], results[1], options.judge) if len(results) == 2 else _compare_all(results)
    if options.plot:
        profile = Signature.parse(results[0]["signature"]).fields()["profile"]
        title = f"J, {len(results[0]['sentences'])} sentences, profile {profile}"
        plot_differences(options.plot, title, rows)


def _compare_two(first: dict[str, Any], second: dict[str, Any], judge: str | None) -> list[Any]:
    """Print the comparison of two systems; return the row of the plot."""
    from metrics.scoring.result import compare, scored_sentences
    from metrics.scoring.signature import Signature
    from metrics.scoring.slices import count_line

    differences = compare(first, second)
    a, b, signature = _name(first), _name(second), Signature.parse(first["signature"])
    print(f"A = {a}, B = {b}, n = {len(first['sentences'])}, signature {signature.short}")
    print(f"metric\tA\tB\t{_COLUMNS}")
    for d in differences:
        print(f"{d.metric.upper()}\t{d.first:.3f}\t{d.second:.3f}\t{d.interval}\t{d.p:.4f}")
    for name, result in (("A", first), ("B", second)):
        print(f"{name}, {count_line(scored_sentences(result))}")
    if judge:
        _ask_judge(judge, first, second)
    return [(f"{a} − {b}", d.interval, d.p) for d in differences if d.metric == "j"]


def _name(result: dict[str, Any]) -> str:
    """The name of a system, which comes from a file, for a terminal."""
    return printable(result["system"]["name"], 200)


def _compare_all(results: list[dict[str, Any]]) -> list[Any]:
    """Print the comparison of every pair of systems; return the rows of the plot."""
    from itertools import combinations

    from metrics.scoring import METRICS
    from metrics.scoring.result import compare
    from metrics.scoring.signature import Signature
    from metrics.scoring.statistics import holm
    from metrics.util.progress import progress

    def mean_j(result: dict[str, Any]) -> float:
        return sum(float(sentence["j"]) for sentence in result["sentences"]) / len(result["sentences"])

    pairs = list(combinations(sorted(results, key=mean_j, reverse=True), 2))
    compared = [{d.metric: d for d in compare(*pair)} for pair in progress(pairs, "comparing", unit="pairs")]
    names = [tuple(map(_name, pair)) for pair in pairs]
    signature = Signature.parse(results[0]["signature"])
    print(
        f"{len(results)} systems, {len(pairs)} pairs, n = {len(results[0]['sentences'])}, signature {signature.short}"
    )
    print(f"metric\tsystem A\tsystem B\tA\tB\t{_COLUMNS}\tp (Holm)")
    rows = []
    for metric in METRICS:
        adjusted = holm([differences[metric].p for differences in compared])
        for (a, b), differences, p in zip(names, compared, adjusted, strict=True):
            d = differences[metric]
            print(f"{metric.upper()}\t{a}\t{b}\t{d.first:.3f}\t{d.second:.3f}\t{d.interval}\t{d.p:.4f}\t{p:.4f}")
            rows += [(f"{a} − {b}", d.interval, p)] if metric == "j" else []
    return rows


def _ask_judge(judge: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    from metrics.scoring.pairwise import prefer

    sources = [sentence["source"] for sentence in first["sentences"]]
    ours, theirs = ([sentence["output"] for sentence in result["sentences"]] for result in (first, second))
    preferences = prefer(judge, sources, ours, theirs)
    a_wins, b_wins = (int((preferences.outcomes == outcome).sum()) for outcome in (1, 0))
    ties = len(sources) - a_wins - b_wins
    print(f"judge {preferences.judge}")
    print(f"A better: {a_wins}, B better: {b_wins}, tie: {ties} (orders disagree: {preferences.disagreements})")
    print(f"win rate of A [95 %, bootstrap]: {preferences.win_rate}")


if __name__ == "__main__":
    run_command(main)
