"""The standing table of agreement with people, and the recorded figures that no later version may fall below."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy.stats import rankdata

from metrics.data.contrast import Contrast
from metrics.data.judged import JudgedRewrites
from metrics.scoring.agreement import PAIRS, TITLES, agreement, interval_text, spearman, system_means
from metrics.scoring.contrast import TOTAL, contrast_scores, preferences
from metrics.scoring.evaluator import Evaluator
from metrics.util.files import read_text
from metrics.util.markdown import markdown_table

# Profile and version -> `figures`; `--table` writes it.
RECORD = Path(__file__).parent / "agreement.json"
TOLERANCE = 0.002  # between machines: kernels differ in the last digits of a score
QUOTED = 10


def figures(evaluator: Evaluator, judged: JudgedRewrites, held_out: Sequence[Contrast]) -> dict[str, float]:
    """Return the figures that no later version of a profile may fall below.

    Args:
        evaluator: The profile.
        judged: emnlp_eval.
        held_out: The held-out half of the contrast set.

    Returns:
        meaning and joint: the sentence-level Spearman correlations of SIM and J with people's judgements; contrast_j:
        the share of contrasts in which J prefers the good rewrite; right_order: 1 if J orders the systems as people
        do, else 0.
    """
    scores = evaluator.score(judged.sources, judged.outputs)
    rows = preferences([TOTAL] * len(held_out), *contrast_scores(evaluator, held_out))
    values = {
        "meaning": spearman(scores.sim, judged.judgements["meaning"]),
        "joint": spearman(scores.j, judged.judgements["joint"]),
        "contrast_j": next(row["preferred"] for row in rows if row["metric"] == "j"),
        "right_order": float(in_order(system_means(judged, scores))),
    }
    # An undefined correlation, as of a constant metric, is none.
    return {name: round(value or 0.0, 4) for name, value in values.items()}


def in_order(systems: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether J orders the systems, which `system_means` returns in the order of people, as people do."""
    scores = [means["j"] for means in systems.values()]
    return all(better > worse for better, worse in itertools.pairwise(scores))


def read_record() -> dict[str, dict[str, float]]:
    """Return the recorded figures by profile and version, such as "offline.v2"."""
    record: dict[str, dict[str, float]] = json.loads(read_text(RECORD))
    return record


def falls(name: str, measured: Mapping[str, float], record: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return what is lower than recorded of the version `name`, such as "offline.v3", or of the last one before it."""
    profile, _, version = name.rpartition(".v")
    earlier = [v for p, _, v in (key.rpartition(".v") for key in record) if p == profile and int(v) < int(version)]
    baselines = [f"{profile}.v{max(earlier, key=int)}"] if earlier else []
    return [
        f"{name}: {figure} is {measured[figure]:.3f}, below {least:.3f} of {baseline}"
        for baseline in ([*baselines, name] if name in record else baselines)
        for figure, least in record[baseline].items()
        if measured[figure] < least - TOLERANCE
    ]


def agreement_table(
    evaluators: Mapping[str, Evaluator], sets: Mapping[str, JudgedRewrites], held_out: Sequence[Contrast]
) -> str:
    """Return the Markdown of the standing table: each set of judgements under each profile that serves its language.

    Args:
        evaluators: By profile and version.
        sets: The judgements by name; "emnlp_eval" is among them.
        held_out: The held-out half of the contrast set.
    """
    parts = []
    for title, judged in sets.items():
        systems = len(set(judged.systems))
        counts = f"{len(judged.outputs):,} rewrites{f' by {systems} systems' * (systems > 1)}"
        pairwise = "; style is pairwise" * (judged.style_question == "pairwise")
        parts.append(f"## {title} ({counts}, language {judged.language}{pairwise})")
        serving = {n: e for n, e in evaluators.items() if e.profile.serves(judged.language)}
        if not serving:
            parts.append(f"Not measured: none of {', '.join(evaluators)} serves the language {judged.language}.")
        for name, evaluator in serving.items():
            parts.append(f"### {name} on {title}")
            parts.append(_set_table(judged, evaluator))
    parts.append("## The contrast set, held-out half")
    parts.append(_contrast_lines(evaluators, held_out))
    parts += _disagreements(evaluators, sets["emnlp_eval"])
    return "\n\n".join(parts)


def _set_table(judged: JudgedRewrites, evaluator: Evaluator) -> str:
    scores = evaluator.score(judged.sources, judged.outputs)
    rows = {(r["metric"], r["level"], r["statistic"]): r for r in agreement(judged, scores)}
    systems = system_means(judged, scores)
    pairs = [pair for pair in PAIRS if pair[1] in judged.judgements]
    columns = {"Spearman": ("sentence", "spearman"), "Kendall": ("sentence", "kendall"), "AUC": ("sentence", "auc")}
    if len(systems) > 1:
        columns["Spearman of the systems"] = ("system", "spearman")
    head, lines = ["metric", "people's", *columns], []
    for metric, aspect in pairs:
        lines.append(
            [
                TITLES[metric],
                judged.title(aspect),
                *(interval_text(rows[metric, *column]) for column in columns.values()),
            ]
        )
    table = markdown_table(lines, head, len(head))
    if len(systems) == 1:
        return table
    verdict = (
        "J puts the systems in people's order." if in_order(systems) else "J does not order the systems as people do."
    )
    shown = [("style", "sta"), ("meaning", "sim"), ("fluency", "fl"), ("joint", "j")]
    head, lines = (
        ["system", *(title for aspect, metric in shown for title in (judged.title(aspect), TITLES[metric]))],
        [],
    )
    for system, means in systems.items():
        lines.append([system, *(f"{means[column]:.3f}" for pair in shown for column in pair)])
    return f"{table}\n\n{verdict} Means:\n\n{markdown_table(lines, head, len(head))}"


def _contrast_lines(evaluators: Mapping[str, Evaluator], held_out: Sequence[Contrast]) -> str:
    head = ["profile", "J prefers the good rewrite", "SIM prefers it", "mean SIM of the bad / of the good"]
    lines = []
    for name, evaluator in evaluators.items():
        if evaluator.profile.serves("en"):
            rows = preferences([TOTAL] * len(held_out), *contrast_scores(evaluator, held_out))
            by_metric = {row["metric"]: row | {"value": row["preferred"]} for row in rows}
            ratio = by_metric["sim"]["ratio"]
            cells = [interval_text(by_metric[metric]) for metric in ("j", "sim")]
            lines.append([name, *cells, "undefined" if ratio is None else f"{ratio:.2f}"])
    return markdown_table(lines, head, len(head))


def _disagreements(evaluators: Mapping[str, Evaluator], judged: JudgedRewrites) -> list[str]:
    """For each two successive versions of a profile: rewrites whose rank by J falls and rises most."""
    english = [(n, e) for n, e in evaluators.items() if e.profile.serves("en")]
    english.sort(key=lambda item: (item[1].profile.name, item[1].profile.version))
    parts = []
    for (old, before), (new, after) in itertools.pairwise(english):
        if before.profile.name != after.profile.name:
            continue
        j = {old: before.score(judged.sources, judged.outputs).j, new: after.score(judged.sources, judged.outputs).j}
        change = rankdata(j[new]) - rankdata(j[old])
        for liked, other, order in (
            (old, new, change.argsort(kind="stable")),
            (new, old, (-change).argsort(kind="stable")),
        ):
            # One rewrite of a source: three systems often share a fault.
            first = {judged.sources[i]: int(i) for i in reversed(order.tolist())}
            chosen = sorted(first.values(), key=order.tolist().index)[:QUOTED]
            head, lines = ["source", "rewrite", "people's joint", f"J of {liked}", f"J of {other}"], []
            for i in chosen:
                values = (judged.judgements["joint"][i], j[liked][i], j[other][i])
                lines.append([_cell(judged.sources[i]), _cell(judged.outputs[i]), *(f"{v:.2f}" for v in values)])
            parts += [f"## Rewrites that {liked} likes and {other} does not", markdown_table(lines, head, len(head))]
    return parts


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
