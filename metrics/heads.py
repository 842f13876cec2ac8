"""Train the heads of the profile `offline`: `python -m metrics.heads train`."""

from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command


def main(argv: list[str]) -> None:
    parser = command_parser("python -m metrics.heads", __doc__)
    train = parser.add_subparsers(dest="command", required=True).add_parser("train", help="train the heads")
    train.add_argument("--data-dir", help="folder with jigsaw/, cola/ and paradetox/ (default: SRO_DATA_DIR)")
    train.add_argument("--only", choices=("toxicity", "acceptability"), help="train one head only")
    train.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the head files (default: overwrite the package's)"
    )
    options = parser.parse_args(argv)
    from metrics.data.sources import data_folder
    from metrics.scorers.heads.offline import HEADS
    from metrics.scorers.heads.train import train_heads

    folder = data_folder(options.data_dir)
    if folder is None:
        raise InputError("no data folder; give --data-dir or SRO_DATA_DIR")
    names = [options.only] if options.only else ["toxicity", "acceptability"]
    train_heads(folder, names, options.out or HEADS)


if __name__ == "__main__":
    run_command(main)
