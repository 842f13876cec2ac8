"""Show every Hub id that the suite names, or compare them with the Hub: `python -m metrics.models [--check]`.

The table, metrics/models/hub_ids.yaml, has a line per id: kind, revision, licence, where the licence was seen, use
("-": none on record). --check asks the Hub for each and prints what moved: another head than the revision, a revision
or repository that is gone, another licence.

Exit codes: 0 done, 1 an id is gone or gated, or its licence is another one, 2 the Hub cannot be reached (one line says
so), 130 interrupted.
"""

import sys

from metrics.util.console import command_parser
from metrics.util.errors import run_command


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m metrics.models", __doc__)
    parser.add_argument("--check", action="store_true", help="compare the table with the Hub")
    options = parser.parse_args(argv)
    from metrics.models.hub_ids import check_hub_ids, hub_ids

    if not options.check:
        print("id\tkind\trevision\tlicence\tseen\tuse")
        for name, entry in hub_ids().items():
            licence, seen = entry.licence or "-", entry.seen or "unseen"
            print(f"{name}\t{entry.kind}\t{entry.revision or '-'}\t{licence}\t{seen}\t{entry.use}")
        return
    wrong = 0
    for state in check_hub_ids():
        print(f"{'WRONG' if state.wrong else 'ok'}\t{state.name}\t{state.found}", flush=True)
        wrong += state.wrong
    if wrong:
        print(f"{wrong} of {len(hub_ids())} ids are not what the table says", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
