"""Train the heads and the judge of content of the profile `offline`: `python -m metrics.heads train`.

The judge takes most of an hour on two cores; an interrupted training resumes.
"""

from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command


def main(argv: list[str]) -> None:
    parser = command_parser("python -m metrics.heads", __doc__)
    train = parser.add_subparsers(dest="command", required=True).add_parser("train", help="train the heads")
    files = "jigsaw/, cola/, paradetox/ and paraphrase/"
    train.add_argument("--data-dir", help=f"folder with {files} (default: SRO_DATA_DIR)")
    train.add_argument("--only", choices=("toxicity", "acceptability", "content"), help="train one of them only")
    train.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the head files (default: overwrite the package's)"
    )
    options = parser.parse_args(argv)
    from metrics.data.sources import data_folder
    from metrics.scorers.heads.offline import HEADS
    from metrics.scorers.heads.train import train_heads
    from metrics.scorers.heads.train_content import train_content
    from metrics.systems.baselines import lexicon

    folder = data_folder(options.data_dir)
    if folder is None:
        raise InputError("no data folder; give --data-dir or SRO_DATA_DIR")
    target = options.out or HEADS
    names = [name for name in ("toxicity", "acceptability") if options.only in (None, name)]
    train_heads(folder, names, target)
    if options.only in (None, "content"):
        train_content(folder, target / "content", lexicon())


if __name__ == "__main__":
    run_command(main)
