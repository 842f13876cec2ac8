"""Agreement with human judgements: statistics by hand, refused files, and the published judgements."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from metrics.profiles import load_profile
from metrics.scoring.agreement import agreement, auc, convert_emnlp, kendall, read_judgements, spearman
from metrics.scoring.evaluator import Evaluator
from metrics.scoring.items import SentenceScores
from metrics.util.errors import InputError

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
    assert convert_emnlp(source, tmp_path / "judged.tsv") == 600
    judged = read_judgements(tmp_path / "judged.tsv")
    published = {"paragedi": (93.41, 64.75, 91.25, 55.34), "condbert": (91.00, 63.92, 86.41, 50.47)}
    for name, figures in published.items():
        own = np.array([system == name for system in judged.systems])
        assert own.sum() == 200
        means = [100 * judged.judgements[a][own].mean() for a in ("style", "meaning", "fluency", "joint")]
        assert means == pytest.approx(figures, abs=0.01)


def test_offline_reaches_its_documented_agreement(tmp_path: Path, data_dir: Path) -> None:
    """Sentence-level Spearman on the 600 EMNLP rewrites, and J's order of the three systems."""
    convert_emnlp(data_dir / "human_judgements" / "emnlp_eval_mean.tsv", tmp_path / "judged.tsv")
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
