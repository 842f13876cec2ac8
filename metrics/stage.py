"""The command `python -m metrics.stage NAME DIR`: writes a metric as a self-contained Hugging Face Space.

NAME is sta, sim, fl or j. DIR must be new or empty. The command writes to it

    DIR.py           the module that evaluate.load(DIR) loads, from any working directory; it has the folder's name
    packed.py        the package metrics as text, for DIR.py: evaluate copies Python files only
    metrics/         the same package as files, for app.py
    app.py, README.md, requirements.txt

and the Space runs without this project being installed. To publish it: create_repo(repo_type="space",
space_sdk="gradio"), then upload_folder(folder_path=DIR), into a Space with the folder's name.

Exit codes: 0 done, 2 invalid input (one line says what), 130 interrupted.
"""

from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.errors import run_command


def main(argv: list[str]) -> None:
    """Run the command with the arguments `argv`."""
    parser = command_parser("python -m metrics.stage", __doc__)
    parser.add_argument("name", metavar="NAME", choices=("sta", "sim", "fl", "j"), help="sta, sim, fl or j")
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder to write; must be new or empty")
    options = parser.parse_args(argv)
    from metrics.spaces.bundle import write_metric_space

    write_metric_space(options.name, options.folder)
    print(f"{options.folder}: evaluate.load loads this folder; python app.py in it shows the metric's page")


if __name__ == "__main__":
    run_command(main)
