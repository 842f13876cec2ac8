"""Agreement with human judgements: statistics by hand, refused files, and the published judgements."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from metrics.agreement import main
from metrics.data.contrast import Contrast
from metrics.data.judged import JudgedRewrites
from metrics.data.judgements import (
    CLEF_LANGUAGES,
    convert,
    judgement_sets,
    judgements_by_language,
    read_clef,
    read_judgements,
    read_paraphrases,
)
from metrics.profiles import load_profile
from metrics.scoring.agreement import agreement, auc, kendall, spearman
from metrics.scoring.agreement_table import agreement_table, falls, in_order
from metrics.scoring.evaluator import Evaluator, evaluators_that_run
from metrics.scoring.items import SentenceScores
from metrics.util.errors import InputError
from metrics.util.files import write_generated

HEADER = "source\toutput\tsystem\tstyle\tmeaning\tfluency\n"


def test_statistics_by_hand() -> None:
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.1, 0.9, 0.6, 1.0])
    # Ranks 1 2 3 4 against 1 3 2 4: 1 − 6·(0+1+1+0)/(4·15) = .8; five pairs agree, one does not: 4/6.
    assert spearman(x, y) == pytest.approx(0.8)
    assert kendall(x, y) == pytest.approx(4 / 6)
    # Above .5: 2, 3 and 4; each beats 1.
    assert auc(x, y) == 1.0
    # A tie counts half: good {1, 2}, bad {1}: (.5 + 1) / 2.
    assert auc(np.array([1.0, 2.0, 1.0]), np.array([1.0, 1.0, 0.0])) == pytest.approx(0.75)
    assert spearman(np.ones(3), np.arange(3.0)) is None and auc(x, np.ones(4)) is None


def test_judgements_are_averaged_and_joint_is_the_product_of_the_aspects(tmp_path: Path) -> None:
    path = tmp_path / "judged.tsv"
    rows = ["a b\tc\tone\t1\t.5\t1", "a b\tc\tone\t0\t.5\t1", "a b\td\ttwo\t1\t1\t.5"]
    path.write_text(HEADER + "\n".join(rows) + "\n")
    judged = read_judgements(path)
    assert (judged.sources, judged.outputs, judged.systems) == (["a b", "a b"], ["c", "d"], ["one", "two"])
    assert judged.judgements["style"].tolist() == [0.5, 1.0]
    assert judged.judgements["joint"].tolist() == [0.25, 0.5]


def test_another_scale_is_scaled_to_the_unit_interval_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Style from 1 to 5, by two judges; meaning and fluency as they should be. Commas, quoted texts."""
    path = tmp_path / "judged.csv"
    rows = ['"a, b","c\nd",one,5,.5,1', '"a, b","c\nd",one,4,.5,1', "e,f,two,1,0,.5"]
    path.write_text(HEADER.replace("\t", ",") + "\n".join(rows) + "\n")
    judged = read_judgements(path)
    assert judged.outputs == ["c\nd", "f"]
    # (4.5 − 1) / (5 − 1), not stretched by the means' own range.
    assert judged.judgements["style"].tolist() == [0.875, 0.0]
    assert judged.judgements["meaning"].tolist() == [0.5, 0.0]
    # The joint is the product on the new scale: .875 · .5 · 1.
    assert judged.judgements["joint"].tolist() == [0.4375, 0.0]
    assert "style runs from 1 to 5; read as 0 to 1" in capsys.readouterr().err


def test_unquoted_tsv_with_a_lone_quote_loses_no_row(tmp_path: Path) -> None:
    """Tab-separated lines as many programs write them: no quoting, and outputs that begin with a quote."""
    path = tmp_path / "judged.tsv"
    outputs = ['" no , i can picture it .', "yes", 'he said "no"', '"so it is', '"the end']
    path.write_text(HEADER + "".join(f"s{i}\t{output}\tone\t1\t1\t1\n" for i, output in enumerate(outputs)))
    assert read_judgements(path).outputs == outputs
    # Quoted as the csv module writes it, quotes are undone and a line break stays in its field.
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(HEADER.split())
        writer.writerows([[f"s{i}", f"{output}\nx", "one", 1, 1, 1] for i, output in enumerate(outputs)])
    assert read_judgements(path).outputs == [f"{output}\nx" for output in outputs]
    path.write_text(HEADER.replace("\t", ";") + "a;b;one;1;1;1\n")
    assert read_judgements(path).outputs == ["b"]


def test_system_level_statistics_use_the_means(tmp_path: Path) -> None:
    """Two systems on three sentences: people and J both put `good` first."""
    path = tmp_path / "judged.tsv"
    lines = [f"s{i}\tx{i}\tgood\t1\t.{i + 6}\t1\ns{i}\ty{i}\tbad\t.{i}\t.{i}\t.{i}\n" for i in (1, 2, 3)]
    path.write_text(HEADER + "".join(lines))
    judged = read_judgements(path)
    good = np.array([system == "good" for system in judged.systems])
    values = np.where(good, 0.9, 0.2)
    scores = SentenceScores(sta=good.astype(float), sim=values, fl=values, soft_sta=values, soft_fl=values)
    rows = {(r["metric"], r["level"], r["statistic"]): r for r in agreement(judged, scores)}
    assert rows["j", "system", "spearman"]["value"] == pytest.approx(1.0)
    assert rows["j", "system", "spearman"]["n"] == 2 and rows["j", "sentence", "auc"]["n"] == 6
    interval = rows["sim", "sentence", "spearman"]
    assert interval["low"] <= interval["value"] <= interval["high"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source\toutput\tsystem\tstyle\tmeaning\na\tb\tc\t1\t1\n", "no column fluency"),
        (HEADER, "no judgement"),
        (HEADER + "a\tb\tc\t1\t1\tgood\n", "row 2: style, meaning and fluency must be numbers"),
        (HEADER + "a\tb\tc\t1\t1\t4\n", "fluency is 4 in every row"),
        (HEADER + "a\tb\tc\t1\t1\tnan\n", "row 2: a judgement that is not finite"),
        (HEADER + "a\tb\tc\t1\n", "row 2 has too few columns"),
        # Python reads 1_0 as ten, which would become the scale's end.
        (HEADER + "a\tb\tc\t1_0\t1\t1\nd\te\tc\t0\t1\t1\n", "row 2: style, meaning and fluency must be"),
        ("style\t" + HEADER + "0\ta\tb\tc\t1\t1\t1\n", "more than one column style"),
        (HEADER.replace("\n", "\tlang\n") + "a\tb\tc\t1\t1\t1\tGerman\n", "row 2: lang: 'German' is no ISO 639"),
        ("original\trewritten\tsource\tstyle\tmeaning\tfluency\na\tb\tc\t1\t1\t1\n", "--convert OUT makes them"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "judged.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_judgements(path)


def test_means_of_the_published_judgements_equal_the_paper(tmp_path: Path, data_dir: Path) -> None:
    """Dale et al. 2021, Table 4: style, meaning, fluency and joint of ParaGeDi and CondBERT, times 100."""
    source = data_dir / "human_judgements" / "emnlp_eval_mean.tsv"
    assert convert(source, tmp_path / "judged.tsv") == 600
    judged = read_judgements(tmp_path / "judged.tsv")
    published = {"paragedi": (93.41, 64.75, 91.25, 55.34), "condbert": (91.00, 63.92, 86.41, 50.47)}
    for name, figures in published.items():
        own = np.array([system == name for system in judged.systems])
        assert own.sum() == 200
        means = [100 * judged.judgements[a][own].mean() for a in ("style", "meaning", "fluency", "joint")]
        assert means == pytest.approx(figures, abs=0.01)


def test_offline_reaches_its_documented_agreement(tmp_path: Path, data_dir: Path) -> None:
    """Sentence-level Spearman on the 600 EMNLP rewrites, and J's order of the three systems."""
    convert(data_dir / "human_judgements" / "emnlp_eval_mean.tsv", tmp_path / "judged.tsv")
    judged = read_judgements(tmp_path / "judged.tsv")
    scores = Evaluator(load_profile("offline")).score(judged.sources, judged.outputs)
    reached = {
        metric: spearman(scores.metric(metric), judged.judgements[aspect])
        for metric, aspect in (("sta", "style"), ("sim", "meaning"), ("fl", "fluency"))
    }
    least = {"sta": 0.50, "sim": 0.40, "fl": 0.45}
    assert all(value is not None and value >= least[metric] for metric, value in reached.items()), reached
    own = {name: np.array([system == name for system in judged.systems]) for name in set(judged.systems)}
    by_people = sorted(own, key=lambda name: judged.judgements["joint"][own[name]].mean())
    assert (
        sorted(own, key=lambda name: scores.j[own[name]].mean()) == by_people == ["mask_infill", "condbert", "paragedi"]
    )


def test_clef_files_are_joined_over_teams_and_cells_may_hold_line_breaks(tmp_path: Path) -> None:
    header = "toxic_sentence\tneutral_sentence\tfluency_score\tcontent_score\ttoxic_pairwise_score\n"
    for team, rows in {"b": 's\t"x\ny"\t1\t0\t0.5\n', "a": "s\tz\t0\t1\t1.0\n"}.items():
        (tmp_path / team).mkdir()
        (tmp_path / team / "German.tsv").write_text(header + rows)
    judged = read_clef(tmp_path, "de")
    assert (judged.outputs, judged.systems, judged.language) == (["z", "x\ny"], ["a", "b"], "de")
    assert {name: values.tolist() for name, values in judged.judgements.items()} == {
        "style": [1.0, 0.5], "meaning": [1.0, 0.0], "fluency": [0.0, 1.0], "joint": [0.0, 0.0]
    }  # fmt: skip
    with pytest.raises(InputError, match=r"no folder holds Russian\.tsv"):
        read_clef(tmp_path, "ru")
    (tmp_path / "a" / "German.tsv").write_text(HEADER + "s\tz\ta\t1\t1\t1\n")
    with pytest.raises(InputError, match=r"no column toxic_sentence, .*: not a file of the CLEF 2024 human evaluation"):
        read_clef(tmp_path, "de")


CLEF_HEADER = "toxic_sentence\tneutral_sentence\tlang\tfluency_score\tcontent_score\ttoxic_pairwise_score\n"


def clef_folder(folder: Path) -> Path:
    """Two teams; de and en. A cell has a line break and doubled quotes, a judgement is .5."""
    files = {
        "b/German": 's\t"x ""y""\nz"\tde\t1\t0\t0.5\n',
        "a/German": "s\tz\tde\t0\t1\t1.0\n",
        "a/English": "u\tv\ten\t1\t1\t1\n",
    }
    for name, rows in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.tsv").write_text(CLEF_HEADER + rows)
    return folder


@pytest.mark.parametrize("target", ["out.tsv", "out.csv"])
def test_clef_folders_and_files_are_converted_with_their_language(tmp_path: Path, target: str) -> None:
    folder, out = clef_folder(tmp_path / "clef"), tmp_path / target
    assert [convert(path, out) for path in (folder / "a", folder / "b" / "German.tsv", folder)] == [2, 1, 3]
    sets = judgements_by_language(out)
    assert list(sets) == ["de", "en"] and {judged.style_question for judged in sets.values()} == {"pairwise"}
    assert (sets["de"].systems, sets["de"].outputs) == (["a", "b"], ["z", 'x "y"\nz'])
    assert sets["de"].judgements["style"].tolist() == [1.0, 0.5] and sets["en"].sources == ["u"]
    with pytest.raises(InputError, match="holds the languages de, en; give a file of one language"):
        read_judgements(out)
    for path in (folder, folder / "a" / "German.tsv"):
        with pytest.raises(InputError, match="--convert OUT makes"):
            read_judgements(path)
    (folder / "a" / "English.tsv").write_text(CLEF_HEADER + "u\tv\tru\t1\t1\t1\n")
    with pytest.raises(InputError, match="row 2: its language is ru, and the file's name says en"):
        convert(folder, out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no folder of a team"):
        convert(tmp_path / "empty", out)


def test_no_file_of_a_clef_folder_is_passed_over(tmp_path: Path) -> None:
    folder, out = clef_folder(tmp_path / "clef"), tmp_path / "out.tsv"
    # macOS adds such files; notes are no table.
    (folder / "a" / "._German.tsv").write_bytes(b"\x00\x05\x16\x07")
    (folder / "a" / "notes.txt").write_text("x")
    assert convert(folder, out) == 3
    for name, message in (
        ("French.tsv", "holds French.tsv beside folders of teams"), ("a/Spanish.csv", "Spanish.csv: not a file of a t"),
        ("b/Spanish.TSV", "Spanish.TSV: not a file of a team, which are called LANGUAGE.tsv"),
    ):  # fmt: skip
        (folder / name).write_text(CLEF_HEADER + "s\tz\tes\t0\t1\t1.0\n")
        with pytest.raises(InputError, match=message):
            convert(folder, out)
        (folder / name).unlink()


def test_each_language_has_its_table_which_says_that_style_is_pairwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(clef_folder(tmp_path / "clef")), "--convert", str(tmp_path / "all.tsv")])
    main([str(tmp_path / "all.tsv"), "--profile", "offline-v2", "--json", str(tmp_path / "out.json")])
    told = capsys.readouterr()
    assert "profile offline.v2, language en, 1 rewrites of 1 systems\nstyle (pairwise): people judged" in told.out
    assert "sta\tstyle (pairwise)\tsentence" in told.out and "j\tjoint (pairwise)\tsentence" in told.out
    assert "not measured: profile offline serves en and not de" in told.err
    (document,) = json.loads((tmp_path / "out.json").read_text())["profiles"]
    assert (document["language"], document["style_question"]) == ("en", "pairwise")
    (tmp_path / "clef" / "a" / "English.tsv").unlink()
    convert(tmp_path / "clef", tmp_path / "de.tsv")
    with pytest.raises(InputError, match="not measured: profile offline serves en and not de; choose another"):
        main([str(tmp_path / "de.tsv")])


def test_the_published_clef_folder_is_converted_whole(tmp_path: Path, data_dir: Path) -> None:
    """The file has what the three sets of the data folder have."""
    assert convert(data_dir / "clef2024_human", tmp_path / "all.tsv") == 5_600
    for code, judged in judgements_by_language(tmp_path / "all.tsv").items():
        known = read_clef(data_dir / "clef2024_human", code)
        assert (judged.sources, judged.outputs, judged.systems) == (known.sources, known.outputs, known.systems)
        assert judged.judgements["joint"].tolist() == known.judgements["joint"].tolist()


def test_paraphrase_labels_are_judgements_of_meaning(tmp_path: Path) -> None:
    path = tmp_path / "msr.txt"
    path.write_text(
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tHe left.\tHe went.\n0\t7\t9\tHe left.\tHe ate.\n"
    )
    judged = read_paraphrases(path)
    assert judged.outputs == ["He went.", "He ate."] and judged.judgements["meaning"].tolist() == [1.0, 0.0]
    values = np.array([0.9, 0.1])
    scores = SentenceScores(sta=values, sim=values, fl=values, soft_sta=values, soft_fl=values)
    # Without the other aspects only SIM has a judgement, and one system has no order.
    assert {(r["metric"], r["level"]) for r in agreement(judged, scores)} == {("sim", "sentence")}


def test_the_data_folder_holds_the_judgements_of_clef(data_dir: Path) -> None:
    """Most copies of a toxic source are judged as toxic as their source: .5 is no difference, and 1 is best."""
    sets = judgement_sets(data_dir)
    sizes = {name: (len(judged.outputs), len(set(judged.systems))) for name, judged in sets.items()}
    assert sizes == {
        "emnlp_eval": (600, 3), "msr_test": (1725, 1), "clef2024_de": (1800, 18), "clef2024_es": (1800, 18),
        "clef2024_ru": (2000, 20),
    }  # fmt: skip
    for code in CLEF_LANGUAGES:
        judged = sets[f"clef2024_{code}"]
        pairs = zip(judged.sources, judged.outputs, strict=True)
        copies = np.array([source.strip() == output.strip() for source, output in pairs])
        assert np.median(judged.judgements["style"][copies]) == 0.5 < judged.judgements["style"][~copies].mean() - 0.3


def test_a_version_falls_below_its_own_record_or_that_of_the_version_before() -> None:
    record = {"a.v1": {"joint": 0.9}, "a.v2": {"joint": 0.5, "right_order": 1.0}, "b.v9": {"joint": 1.0}}
    assert falls("a.v3", {"joint": 0.499, "right_order": 1.0}, record) == []
    assert falls("a.v3", {"joint": 0.497, "right_order": 0.0}, record) == [
        "a.v3: joint is 0.497, below 0.500 of a.v2",
        "a.v3: right_order is 0.000, below 1.000 of a.v2",
    ]
    assert falls("a.v2", {"joint": 0.45, "right_order": 1.0}, record) == [
        "a.v2: joint is 0.450, below 0.900 of a.v1",
        "a.v2: joint is 0.450, below 0.500 of a.v2",
    ]
    # v10 follows v9, and a first version has nothing to fall below.
    assert falls("b.v10", {"joint": 0.9}, record) == ["b.v10: joint is 0.900, below 1.000 of b.v9"]
    assert falls("c.v1", {"joint": 0.0}, record) == []
    assert in_order({"x": {"j": 0.4}, "y": {"j": 0.3}}) and not in_order({"x": {"j": 0.3}, "y": {"j": 0.3}})


def test_the_generated_part_of_a_file_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    write_generated(path, "cmd", "one\n")
    path.write_text(f"before\n\n{path.read_text()}\nafter\n")
    write_generated(path, "cmd", "two")
    assert path.read_text() == "before\n\n<!-- cmd writes from here -->\n\ntwo\n\n<!-- to here -->\n\nafter\n"
    with pytest.raises(InputError, match="has no lines <!-- other writes from here --> and <!-- to here -->"):
        write_generated(path, "other", "three")


def test_the_table_names_what_it_skips_and_quotes_where_two_versions_differ(tmp_path: Path) -> None:
    """The second version is the first under another number."""
    own = tmp_path / "own.yaml"
    text = (Path(__file__).parents[2] / "metrics" / "profiles" / "offline.yaml").read_text()
    version = load_profile("offline").version
    own.write_text(text.replace(f"version: {version}", "version: 99") + "\n")
    evaluators, reasons = evaluators_that_run(["offline", str(own), "clef2024"])
    assert list(evaluators) == [f"offline.v{version}", "offline.v99"]
    assert reasons == {"clef2024.v1": "compares with human references, which these sentences do not have"}
    sources, outputs = ["you idiot , stop | it", "the stupid bus is late"], ["please stop it", "the bus is late"]
    aspects = {name: np.array([0.5, 1.0]) for name in ("style", "meaning", "fluency", "joint")}
    sets = {
        "emnlp_eval": JudgedRewrites(sources, outputs, ["p", "q"], aspects),
        "clef2024_de": JudgedRewrites(["Du Depp."], ["Hallo."], ["p"], aspects, "de"),
    }
    contrast = Contrast("gap", "held-out", "you idiot", "you are wrong", "you")
    table = agreement_table(evaluators, sets, [contrast])
    assert f"Not measured: none of offline.v{version}, offline.v99 serves the language de." in table
    assert "### offline.v99 on emnlp_eval\n\n| metric | people's | Spearman | Kendall | AUC | Spearman of the" in table
    assert f"## Rewrites that offline.v{version} likes and offline.v99 does not\n\n| source | rewrite |" in table
    assert "| you idiot , stop \\| it | please stop it | 0.50 |" in table
    assert table.count("| the stupid bus is late | the bus is late | 1.00 |") == 2


@pytest.mark.full
def test_the_release_check_passes_and_refuses_a_fall(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    main(["--check", "--data-dir", str(data_dir)])
    name, *values = capsys.readouterr().out.split("\n")[0].split("\t")
    reached = {figure: float(value) for figure, value in (text.split(" ") for text in values)}
    higher = tmp_path / "record.json"
    higher.write_text(json.dumps({name: {**reached, "joint": reached["joint"] + 0.01}}))
    monkeypatch.setattr("metrics.scoring.agreement_table.RECORD", higher)
    with pytest.raises(SystemExit) as exit_:
        main(["--check", "--data-dir", str(data_dir)])
    assert exit_.value.code == 1 and f"{name}: joint is {reached['joint']:.3f}, below" in capsys.readouterr().err
