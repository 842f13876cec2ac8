"""Metric protocols: every choice of the published ones, their rules by hand, and the pitfalls between them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import metrics
from metrics.data.test_sets import TestSet
from metrics.profiles import Profile, load_profile, profile_names
from metrics.scorers import CLASSIFIERS, COMPARISONS, SIMILARITIES
from metrics.scorers.encoders import SentenceEncoder, SequenceClassifier
from metrics.scoring.evaluator import Evaluator
from metrics.scoring.measures import Fluency, Similarity, Style, acceptability, style
from metrics.util.config import validate
from metrics.util.errors import InputError

PROFILES = Path(metrics.__file__).parent / "profiles"
TOXICITY = ("sequence-classifier", "s-nlp/roberta_toxicity_classifier", 0)
COLA = ("sequence-classifier", "cointegrated/roberta-large-cola-krishna2020", 0)
WIETING = ("wieting", "wieting-sim")
LABSE = ("sentence-encoder", "sentence-transformers/LaBSE")
# The published protocols: (scorer, model, neutral label, rule, threshold), (scorer, model, anchor, weight of the
# source), (scorer, model, acceptable label, rule, threshold, detokeniser), J.
PUBLISHED: dict[str, tuple[Any, ...]] = {
    "paradetox": (
        (*TOXICITY, "argmax", None),
        (*WIETING, "source", 1.0),
        (*COLA, "probability", 0.5, "strap"),
        "product",
    ),
    "emnlp2021": (
        (*TOXICITY, "logit", 0.8),
        (*WIETING, "source", 1.0),
        (*COLA, "argmax", None, "strap"),
        "product",
    ),
    "sro-release": (
        (*TOXICITY, "probability", 0.8),
        (*WIETING, "references", 0.0),
        (*COLA, "argmax", None, "strap"),
        "product",
    ),
    "clef2024": (
        ("sequence-classifier", "textdetox/xlmr-large-toxicity-classifier", 0, "soft", None),
        (*LABSE, "source", 1.0),
        ("chrf", "sacrebleu", 0, "soft", None, "none"),
        "product",
    ),
    "clef2025": (
        ("sequence-classifier", "textdetox/xlmr-large-toxicity-classifier-v2", 0, "relative", None),
        (*LABSE, "both", 0.4),
        ("xcomet-lite", "myyycroft/XCOMET-lite", 0, "soft", None, "none"),
        "product",
    ),
}
# Hub models of which no commit is on record: this project was written without the Hub. Each user's first use pins
# them (pins.json), and the commit enters the signature.
KNOWN_UNPINNED = {
    "cointegrated/roberta-large-cola-krishna2020",
    "textdetox/xlmr-large-toxicity-classifier-v2",
    "myyycroft/XCOMET-lite",
}


# -- the table ------------------------------------------------------------------------------------------------------
def test_the_shipped_profiles() -> None:
    assert set(profile_names()) == {*PUBLISHED, "judge", "offline", "offline-v2"}
    for name in profile_names():
        profile = load_profile(name)
        assert name in (profile.name, f"{profile.name}-v{profile.version}")
        assert profile.version >= 1 and profile.max_tokens == 512


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_protocols_field_by_field(name: str) -> None:
    sta, sim, fl, joint = PUBLISHED[name]
    p = load_profile(name)
    assert (p.sta_scorer, p.sta_model, p.sta_label, p.sta_rule, p.sta_threshold) == sta
    assert (p.sim_scorer, p.sim_model, p.sim_anchor, p.sim_source_weight) == sim
    assert (p.fl_scorer, p.fl_model, p.fl_label, p.fl_rule, p.fl_threshold, p.fl_detokenise) == fl
    assert p.joint == joint


def test_offline_needs_no_hub() -> None:
    p = load_profile("offline")
    assert {p.sta_model, p.sim_model, p.fl_model} == {"offline-judge"}
    assert (p.sta_rule, p.sta_threshold, p.sim_anchor, p.fl_rule, p.fl_detokenise, p.joint) == (
        "soft", None, "source", "soft", "strap", "product",
    )  # fmt: skip


def test_which_profiles_need_references() -> None:
    needing = {name for name in profile_names() if load_profile(name).needs_references}
    assert needing == {"sro-release", "clef2024", "clef2025"}


def test_hub_models_are_pinned_to_a_commit() -> None:
    hub = [
        (getattr(p, f"{metric}_model"), getattr(p, f"{metric}_revision"))
        for p in map(load_profile, profile_names())
        for metric in ("sta", "sim", "fl")
        if "/" in getattr(p, f"{metric}_model")
    ]
    pinned = {model: bool(re.fullmatch("[0-9a-f]{40}", revision or "")) for model, revision in hub}
    assert {model for model, yes in pinned.items() if not yes} == KNOWN_UNPINNED
    assert {model for model, yes in pinned.items() if yes} == {
        "s-nlp/roberta_toxicity_classifier",
        "sentence-transformers/LaBSE",
        "textdetox/xlmr-large-toxicity-classifier",
    }
    # One model, one revision, whichever profile names it.
    assert len(set(hub)) == len(pinned)


# -- rules by hand --------------------------------------------------------------------------------------------------
def logit(*p_neutral: float) -> np.ndarray:
    """Logits [n, 2] with P(class 0) = p."""
    return np.array([[math.log(p / (1 - p)), 0.0] for p in p_neutral])


# Raw logits (neutral, toxic), and STA under argmax, logit[1] > .8, P(neutral) ≥ .8.
STYLE = [
    ([3.0, -3.0], 1, 1, 1),
    ([-3.0, 3.0], 0, 0, 0),
    # A sure neutral whose raw toxic logit is high, and a sure toxic whose raw logit is low.
    ([5.0, 0.9], 1, 0, 1),
    ([-5.0, 0.7], 0, 1, 0),
    # P = 1 / (1 + e^-.5) = .62: enough for argmax alone.
    ([0.5, 0.0], 1, 1, 0),
    # At the boundaries: "> .8" lets .8 pass; a tie goes to class 0, as in torch.
    ([9.0, 0.8], 1, 1, 1),
    ([9.0, 0.8000001], 1, 0, 1),
    ([0.3, 0.3], 1, 1, 0),
    # 4 : 1 is P = .8 exactly.
    ([math.log(4), 0.0], 1, 1, 1),
    ([math.log(4) - 1e-9, 0.0], 1, 1, 0),
]


@pytest.mark.parametrize(("logits", "argmax", "raw", "probability"), STYLE)
def test_hard_style_by_hand(logits: list[float], argmax: int, raw: int, probability: int) -> None:
    given = np.array([logits])
    assert style(load_profile("paradetox"), given).tolist() == [argmax]
    assert style(load_profile("emnlp2021"), given).tolist() == [raw]
    assert style(load_profile("sro-release"), given).tolist() == [probability]


def test_probability_at_its_threshold_passes() -> None:
    half = replace(load_profile("sro-release"), sta_threshold=0.5)
    assert style(half, np.array([[1.7, 1.7], [1.7, 1.7000001]])).tolist() == [1, 0]


def test_soft_style_by_hand() -> None:
    # 1 / (1 + e^-3) = .952574
    values = style(load_profile("clef2024"), np.array([[2.0, -1.0], [-1.0, 2.0], [4.0, 4.0], [1000.0, 0.0]]))
    assert values.tolist() == pytest.approx([0.952574, 0.047426, 0.5, 1.0], abs=1e-6)


def test_relative_style_by_hand() -> None:
    """max((p_out + [p_in ≤ p_out]) / 2, [p_ref ≤ p_out])."""
    rows = [  # p_out, p_in, p_ref, STA
        (0.8, 0.2, 0.9, 0.9),  # (.8 + 1) / 2
        (0.3, 0.6, 0.9, 0.15),  # worse than its input: .3 / 2
        (0.3, 0.3, 0.9, 0.65),  # a copy: ≤ holds
        (0.9, 0.2, 0.9, 1.0),  # as neutral as the reference
        (0.9, 0.95, 0.5, 1.0),  # more neutral than the reference, less than the input
        (0.4, 0.5, 0.41, 0.2),
    ]
    out, source, reference, expected = zip(*rows, strict=True)
    values = style(load_profile("clef2025"), logit(*out), logit(*source), logit(*reference))
    assert values.tolist() == pytest.approx(expected)


def test_acceptability_by_hand() -> None:
    """paradetox: P(acceptable) > .5, the others argmax: they part at a tie alone."""
    logits = np.array([[2.0, -1.0], [-1.0, 2.0], [0.7, 0.7], [0.7000001, 0.7]])
    assert acceptability(load_profile("paradetox"), logits).tolist() == [1, 0, 0, 1]
    assert acceptability(load_profile("emnlp2021"), logits).tolist() == [1, 0, 1, 1]
    assert acceptability(load_profile("sro-release"), logits).tolist() == [1, 0, 1, 1]
    soft = acceptability(load_profile("offline"), logits)
    assert soft.tolist() == pytest.approx([0.952574, 0.047426, 0.5, 0.5], abs=1e-6)


@pytest.mark.parametrize(
    ("rule", "threshold"), [("argmax", None), ("logit", 0.8), ("probability", 0.8), ("soft", None)]
)
def test_the_label_says_which_class_is_neutral(rule: str, threshold: float | None) -> None:
    zero = replace(load_profile("paradetox"), sta_rule=rule, sta_threshold=threshold)
    one = replace(zero, sta_label=1)
    logits = np.array([[3.0, -3.0], [-3.0, 3.0], [5.0, 0.9], [-5.0, 0.7], [0.5, 0.0]])
    np.testing.assert_array_equal(style(one, logits[:, ::-1]), style(zero, logits))
    assert style(one, logits).tolist() != style(zero, logits).tolist()


# -- tiny real models -----------------------------------------------------------------------------------------------
WORDS = ["you", "are", "a", "fool", "the", "dog", "is", "here", "go", "home", "now", ".", ",", "!"]


def write_tokenizer(folder: Path) -> None:
    """RoBERTa's special tokens around words; no longest length, as many folders have it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)


SIZES = {
    "vocab_size": len(WORDS) + 4, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "initializer_range": 1.0, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
}  # fmt: skip


def write_roberta(
    folder: Path, bias: Sequence[float] | None = None, swap: bool = False, classes: int = 2, positions: int = 514
) -> Path:
    """A random RoBERTa classifier. bias: its logits for every text. swap: classes 0 and 1 change places."""
    import torch
    from transformers import RobertaConfig, RobertaForSequenceClassification

    # This one finds some of the texts below in each class.
    torch.manual_seed(7)
    config = RobertaConfig(**SIZES, max_position_embeddings=positions, num_labels=classes, type_vocab_size=1)
    model = RobertaForSequenceClassification(config)
    last = model.classifier.out_proj
    with torch.no_grad():
        if bias is not None:
            last.weight.zero_()
            last.bias.copy_(torch.tensor(bias))
        if swap:
            last.weight.copy_(last.weight.flip(0))
            last.bias.copy_(last.bias.flip(0))
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def write_bert(folder: Path, positions: int = 512) -> Path:
    """A random BERT encoder, of another family than RoBERTa: positions are counted from 0."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    config = BertConfig(**SIZES, max_position_embeddings=positions)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def replace(profile: Profile, **changes: Any) -> Profile:
    """A validated copy."""
    return validate(Profile, {**profile.model_dump(), **changes}, "changed")


def local(profile: Profile, metric: str, folder: Path) -> Profile:
    return replace(profile, **{f"{metric}_model": str(folder), f"{metric}_revision": None})


TEXTS = ("you are a fool", "go home now !", "the dog is here .", "the dog", "a fool , a fool , a fool", "now")
ITEMS = [("you", text, ()) for text in TEXTS]


def test_a_classifier_with_known_logits(tmp_path: Path) -> None:
    """Logits (2, −1) whatever the text: class 0 is neutral for STA, and acceptable for FL."""
    straight = write_roberta(tmp_path / "straight", bias=[2.0, -1.0])
    swapped = write_roberta(tmp_path / "swapped", bias=[2.0, -1.0], swap=True)
    profile = load_profile("paradetox")
    for folder, hard, soft in ((straight, 1.0, 0.952574), (swapped, 0.0, 0.047426)):
        for measure in (Style(local(profile, "sta", folder)), Fluency(local(profile, "fl", folder))):
            assert measure(ITEMS).tolist() == [pytest.approx([hard, soft], abs=1e-6)] * len(ITEMS)


@pytest.mark.parametrize(("metric", "make"), [("sta", Style), ("fl", Fluency)])
def test_swapped_classes_change_the_score_as_the_label_says(tmp_path: Path, metric: str, make: Any) -> None:
    straight, swapped = write_roberta(tmp_path / "straight"), write_roberta(tmp_path / "swapped", swap=True)
    profile = local(load_profile("paradetox"), metric, straight)
    values = make(profile)(ITEMS)
    assert 0 < values[:, 0].mean() < 1
    other = make(local(profile, metric, swapped))(ITEMS)
    np.testing.assert_allclose(other, 1 - values, atol=1e-6)
    relabelled = make(replace(local(profile, metric, swapped), **{f"{metric}_label": 1}))(ITEMS)
    np.testing.assert_allclose(relabelled, values, atol=1e-6)


@pytest.mark.parametrize(
    ("metric", "make", "names"),
    [
        ("sta", Style, ["Toxic", "neutral"]),
        ("sta", Style, ["hate_speech", "ok"]),
        ("fl", Fluency, ["unacceptable", "1"]),
    ],
)
def test_a_label_that_the_model_calls_by_its_opposite_is_refused(
    metric: str, make: Any, names: list[str], tmp_path: Path
) -> None:
    """A classifier whose first class is the toxic one would give the most toxic text the best score."""
    folder = write_roberta(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "id2label": dict(enumerate(names))}))
    profile = local(load_profile("paradetox"), metric, folder)
    with pytest.raises(
        InputError, match=f"{metric}_label 0 is the class of good texts, but .* calls it {names[0]}; its"
    ):
        make(profile)(ITEMS)
    assert make(replace(profile, **{f"{metric}_label": 1}))(ITEMS).shape == (len(ITEMS), 2)


@pytest.mark.parametrize("side", ["left", "right"])
def test_texts_are_truncated_on_the_side_that_the_tokenizer_says(side: str, tmp_path: Path) -> None:
    """Also those whose characters are cut before they are tokenized, 64 for each of 16 tokens."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = write_roberta(tmp_path)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "truncation_side": side}))
    text = " ".join([*[WORDS[0]] * 1_000, *WORDS[1:9], *[WORDS[9]] * 8])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    expected = model(**tokenizer([text], truncation=True, max_length=16, return_tensors="pt")).logits.tolist()
    found = SequenceClassifier(str(folder), max_tokens=16)([text])
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("classes", "label", "message"), [(1, 0, "sta_label 0"), (2, 2, "sta_label 2")])
def test_a_classifier_without_the_class_is_refused(tmp_path: Path, classes: int, label: int, message: str) -> None:
    folder = write_roberta(tmp_path / "model", classes=classes)
    profile = replace(local(load_profile("clef2024"), "sta", folder), sta_label=label)
    with pytest.raises(InputError, match=rf"profile clef2024: {message}, but .* has {classes} class"):
        Style(profile)(ITEMS)


@pytest.mark.parametrize(
    ("positions", "max_tokens", "longest"),
    [(514, 512, 512), (514, 4_096, 512), (34, 512, 32), (514, 16, 16)],
)
def test_over_long_texts_are_truncated_with_a_warning(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    positions: int,
    max_tokens: int,
    longest: int,
) -> None:
    """2,000 words and a tokenizer that knows no limit: RoBERTa has room for its positions less two."""
    scorer = SequenceClassifier(str(write_roberta(tmp_path / "model", positions=positions)), None, max_tokens)
    widths: list[int] = []
    pool = scorer._pool

    def measured(output: Any, mask: Any) -> Any:
        widths.append(mask.shape[1])
        return pool(output, mask)

    monkeypatch.setattr(scorer, "_pool", measured)

    def warnings() -> list[str]:
        # Loading draws bars there, too.
        return [line for line in capsys.readouterr().err.split("\n") if "truncated" in line]

    words = (WORDS * 143)[:2_000]
    # Two of the tokens are <s> and </s>.
    kept = scorer([" ".join(words[: longest - 2]), "the dog"])
    assert warnings() == [] and max(widths) == longest
    widths.clear()
    values = scorer([" ".join(words), "the dog"])
    assert warnings() == [f"{tmp_path / 'model'}: texts are truncated to {longest} tokens"]
    assert max(widths) == longest
    np.testing.assert_allclose(values, kept, atol=1e-5)
    # Once is enough.
    scorer(["go " * 2_000])
    assert warnings() == []


def test_other_encoders_truncate_at_their_own_length(tmp_path: Path) -> None:
    """BERT uses every position; sentence-transformers' folders may ask for less."""
    folder = write_bert(tmp_path / "model", positions=40)
    words = WORDS * 30
    for longest in (40, 24):
        if longest == 24:
            (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 24, "do_lower_case": false}')
        scorer = SentenceEncoder(str(folder))
        cut, kept = scorer([" ".join(words), " ".join(words[: longest - 2])])
        np.testing.assert_allclose(cut, kept, atol=1e-4)
        assert scorer.cosine([" ".join(words)], [" ".join(words[: longest - 3])])[0] < 1 - 1e-4


def test_a_profile_scores_over_long_texts(tmp_path: Path) -> None:
    profile = local(load_profile("clef2024"), "sta", write_roberta(tmp_path / "classifier"))
    evaluator = Evaluator(local(profile, "sim", write_bert(tmp_path / "encoder")))
    long = "you are a fool " * 500
    scores = evaluator.score([long, long], [long, "home"], [[long], [long]])
    assert scores.sim[0] == pytest.approx(1.0, abs=1e-5) and scores.fl[0] == 1.0
    assert np.isfinite(scores.j).all()


# -- sentence encoders ----------------------------------------------------------------------------------------------
def states(folder: Path, text: str) -> np.ndarray:
    """BERT's last hidden states of one text alone, [tokens, width]."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        model = AutoModel.from_pretrained(folder).eval()
        return np.asarray(model(input_ids=ids).last_hidden_state[0].double().numpy())


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


LABSE_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    {"idx": 3, "name": "3", "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"},
]


def write_labse(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """A folder laid out as LaBSE's: first token, linear layer, tanh. Gives the layer's weight and bias."""
    import torch
    from safetensors.torch import save_file

    write_bert(folder)
    rng = np.random.default_rng(2)
    weight, bias = rng.normal(size=(12, 16)) / 4, rng.normal(size=12)
    for name in ("1_Pooling", "2_Dense"):
        (folder / name).mkdir()
    pooling = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({**pooling, "pooling_mode_max_tokens": False}))
    dense = {"in_features": 16, "out_features": 12, "bias": True}
    activation = {"activation_function": "torch.nn.modules.activation.Tanh"}
    (folder / "2_Dense" / "config.json").write_text(json.dumps({**dense, **activation}))
    tensors = {"linear.weight": torch.tensor(weight).float(), "linear.bias": torch.tensor(bias).float()}
    save_file(tensors, folder / "2_Dense" / "model.safetensors")
    (folder / "modules.json").write_text(json.dumps(LABSE_MODULES))
    return weight, bias


def test_labse_by_hand(tmp_path: Path) -> None:
    """tanh(W · first token + b), then the cosine; the short text is padded to the long one's length."""
    folder = tmp_path / "labse"
    weight, bias = write_labse(folder)
    left, right = "you are a fool", "now"
    a, b = (np.tanh(weight @ states(folder, text)[0] + bias) for text in (left, right))
    measure = Similarity(local(load_profile("clef2024"), "sim", folder))
    values = measure([(left, right, ()), (left, left, ())])
    assert values[:, 0].tolist() == pytest.approx([cosine(a, b), 1.0], abs=1e-5)


def test_mean_pooling_by_hand(tmp_path: Path) -> None:
    """Without further files the mean over real tokens: padding must not enter it."""
    folder = write_bert(tmp_path / "mean")
    left, right = "you are a fool", "now"
    expected = cosine(states(folder, left).mean(0), states(folder, right).mean(0))
    assert SentenceEncoder(str(folder)).cosine([left], [right])[0] == pytest.approx(expected, abs=1e-5)
    # The same when it is asked for, in the old spelling and the new.
    (folder / "1_Pooling").mkdir()
    for config in ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, {"pooling_mode": "mean"}):
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
        assert SentenceEncoder(str(folder)).cosine([left], [right])[0] == pytest.approx(expected, abs=1e-5)


POOLINGS = {
    "cls": lambda h: h[0],
    "max": lambda h: h.max(0),
    "mean": lambda h: h.mean(0),
    "mean_sqrt_len_tokens": lambda h: h.sum(0) / math.sqrt(len(h)),
    "weightedmean": lambda h: np.average(h, axis=0, weights=np.arange(1, len(h) + 1)),
    "lasttoken": lambda h: h[-1],
}


@pytest.mark.parametrize("modes", [*([mode] for mode in POOLINGS), ["mean", "cls"], ["cls", "lasttoken", "max"]])
def test_poolings_by_hand(tmp_path: Path, modes: list[str]) -> None:
    """Each mode, and several joined in the order of the list; a batch pads the shorter text."""
    folder = write_bert(tmp_path / "encoder")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": modes}))
    texts = ["you are a fool", "now"]
    a, b = (np.concatenate([POOLINGS[mode](states(folder, text)) for mode in modes]) for text in texts)
    values = SentenceEncoder(str(folder))(texts)
    np.testing.assert_allclose(values, [a / np.linalg.norm(a), b / np.linalg.norm(b)], atol=1e-5)


def test_the_default_prompt_and_lower_case_of_a_sentence_encoder_by_hand(tmp_path: Path) -> None:
    """The prompt stands before each text; without `include_prompt` its tokens, [CLS] among them, are not pooled."""
    folder = write_bert(tmp_path / "encoder")
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling" / "config.json"
    prompts = {"prompts": {"q": "good dog ", "other": "bad "}, "default_prompt_name": "q"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    text, alone = "you are a fool", "good dog "
    whole = states(folder, alone + text)
    behind = whole[len(states(folder, alone)) - 1 :]
    for include, expected in ((True, whole.mean(0)), (False, behind.mean(0))):
        pooling.write_text(json.dumps({"pooling_mode": "mean", "include_prompt": include}))
        value = SentenceEncoder(str(folder))([text])[0]
        np.testing.assert_allclose(value, expected / np.linalg.norm(expected), atol=1e-5)
    (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    upper, lower = SentenceEncoder(str(folder))(["YOU are A fool", text])
    np.testing.assert_allclose(upper, lower, atol=1e-6)
    for file, content, message in (
        ("config_sentence_transformers.json", {"similarity_fn_name": "euclidean"}, "its similarity is 'euclidean'"),
        ("config_sentence_transformers.json", {"default_prompt_name": "x"}, "x is none of its prompts"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer_task = fill-mask is not"),
        ("sentence_bert_config.json", {"max_seq_length": "12"}, "max_seq_length '12' is not a number"),
        ("1_Pooling/config.json", {"pooling_mode": "mean", "depth": 2}, "depth = 2 is not supported"),
    ):
        kept = (folder / file).read_text()
        (folder / file).write_text(json.dumps(content))
        with pytest.raises(InputError, match=re.escape(message)):
            SentenceEncoder(str(folder))([text])
        (folder / file).write_text(kept)


@pytest.mark.parametrize(
    ("name", "function"), [("GELU", None), ("ReLU", lambda x: np.maximum(x, 0)), ("Sigmoid", None)]
)
def test_dense_layers_and_norms_by_hand(tmp_path: Path, name: str, function: Any) -> None:
    """A residual dense layer, then a layer norm, in the order of modules.json."""
    import torch
    from safetensors.torch import save_file

    folder = tmp_path / "labse"
    write_labse(folder)
    erf = np.vectorize(math.erf)
    hand = {"GELU": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2, "Sigmoid": lambda x: 1 / (1 + np.exp(-x))}
    rng = np.random.default_rng(4)
    weight, skip, scale, shift = (rng.normal(size=size) for size in ((12, 16), (12, 16), 12, 12))
    tensors = {"linear.weight": weight, "residual.weight": skip}
    save_file({k: torch.tensor(v).float() for k, v in tensors.items()}, folder / "2_Dense" / "model.safetensors")
    dense = {"in_features": 16, "out_features": 12, "bias": False, "use_residual": True}
    dense["activation_function"] = f"torch.nn.modules.activation.{name}"
    (folder / "2_Dense" / "config.json").write_text(json.dumps(dense))
    (folder / "3_LayerNorm").mkdir()
    (folder / "3_LayerNorm" / "config.json").write_text('{"dimension": 12}')
    norm = {"norm.weight": torch.tensor(scale).float(), "norm.bias": torch.tensor(shift).float()}
    save_file(norm, folder / "3_LayerNorm" / "model.safetensors")
    last = {"idx": 3, "name": "3", "path": "3_LayerNorm", "type": "sentence_transformers.models.LayerNorm"}
    (folder / "modules.json").write_text(json.dumps([*LABSE_MODULES[:3], last]))
    first = states(folder, "you are a fool")[0]
    vector = (function or hand[name])(weight @ first) + skip @ first
    vector = (vector - vector.mean()) / np.sqrt(vector.var() + 1e-5) * scale + shift
    value = SentenceEncoder(str(folder))(["you are a fool"])[0]
    np.testing.assert_allclose(value, vector / np.linalg.norm(vector), atol=1e-5)


def test_unsupported_sentence_encoders_are_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "labse"
    write_labse(folder)

    def refusal() -> str:
        with pytest.raises(InputError) as error:
            SentenceEncoder(str(folder)).cosine(["you"], ["a"])
        assert "\n" not in str(error.value)
        return str(error.value)

    pooling = folder / "1_Pooling" / "config.json"
    kept = pooling.read_text()
    pooling.write_text('{"pooling_mode": "median"}')
    assert "1_Pooling: pooling by median is not supported" in refusal()
    pooling.write_text("[]")
    assert "1_Pooling/config.json: not a JSON object" in refusal()
    pooling.write_text(kept)
    (folder / "modules.json").write_text(
        json.dumps([*LABSE_MODULES[:2], {"type": "sentence_transformers.models.WordWeights"}])
    )
    assert "modules.json: WordWeights is not supported" in refusal()
    (folder / "modules.json").unlink()
    dense = folder / "2_Dense"
    (dense / "config.json").write_text('{"activation_function": "torch.nn.modules.activation.Threshold"}')
    assert "2_Dense: activation torch.nn.modules.activation.Threshold is not supported" in refusal()
    (dense / "config.json").unlink()
    (dense / "model.safetensors").write_bytes(b"garbage")
    assert "2_Dense/model.safetensors: not a safetensors file" in refusal()
    (dense / "model.safetensors").rename(dense / "pytorch_model.bin")
    assert "2_Dense: no model.safetensors; pickled weights are not loaded" in refusal()


# -- anchors, J and empty outputs, with encoders and classifiers that a hand can follow ------------------------------
VECTORS = {  # unit vectors
    "in": (1.0, 0.0), "out": (0.6, 0.8), "same": (1.0, 0.0), "against": (-0.6, 0.8), "across": (0.0, 1.0),
    "back": (-1.0, 0.0), "ref": (0.8, 0.6),
}  # fmt: skip
LOGITS = {"in": (-2.0, 2.0), "same": (-2.0, 2.0)}


class HandEncoder:
    """Cosines from the table above."""

    revision = "hand"

    def __init__(self, model: str, revision: str | None = None, max_tokens: int = 512) -> None: ...

    def cosine(self, left: Sequence[str], right: Sequence[str]) -> np.ndarray:
        return np.array([np.dot(VECTORS[a], VECTORS[b]) for a, b in zip(left, right, strict=True)])


class HandClassifier:
    """Logits (2, −2), (−2, 2) for the input and its copy; each call finds all a bit more neutral, as rounding may."""

    revision = "hand"

    def __init__(self, model: str, revision: str | None = None, max_tokens: int = 512) -> None:
        self.calls = 0

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.calls += 1
        return np.array([LOGITS.get(text, (2.0, -2.0)) for text in texts]) + np.array([1e-7 * self.calls, 0.0])


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CLASSIFIERS, "sequence-classifier", HandClassifier)
    for name in ("wieting", "sentence-encoder"):
        monkeypatch.setitem(SIMILARITIES, name, HandEncoder)


@pytest.mark.parametrize(
    ("name", "output", "references", "expected"),
    [
        ("paradetox", "out", ("ref",), 0.6),
        ("emnlp2021", "out", ("ref",), 0.6),
        ("clef2024", "out", ("ref",), 0.6),
        ("paradetox", "against", ("ref",), -0.6),
        # The largest over the references, whatever the input and their order; all may be negative.
        ("sro-release", "out", ("ref",), 0.96),  # .8 · .6 + .6 · .8
        ("sro-release", "out", ("back", "ref", "across"), 0.96),
        ("sro-release", "out", ("across", "back"), 0.8),
        ("sro-release", "in", ("against", "back"), -0.6),
        # .4 · input + .6 · reference; a second reference is not looked at.
        ("clef2025", "out", ("ref",), 0.4 * 0.6 + 0.6 * 0.96),
        ("clef2025", "out", ("ref", "out"), 0.4 * 0.6 + 0.6 * 0.96),
        ("clef2025", "same", ("back",), 0.4 - 0.6),
    ],
)
def test_anchors_by_hand(by_hand: None, name: str, output: str, references: tuple[str, ...], expected: float) -> None:
    measure = Similarity(load_profile(name))
    # Beside another sentence, so that references of the two could be mixed up.
    values = measure([("in", "back", ("back",)), ("in", output, references), ("in", "same", ("same",))])
    assert values.shape == (3, 1)
    assert values[1, 0] == pytest.approx(expected)


def test_negative_terms_stay_in_j(by_hand: None) -> None:
    scores = Evaluator(load_profile("paradetox")).score(["in", "in", "in"], ["against", "same", "out"])
    assert scores.sta.tolist() == [1, 0, 1]
    assert scores.sim.tolist() == pytest.approx([-0.6, 1.0, 0.6])
    assert scores.fl.tolist() == [1, 0, 1]
    assert scores.j.tolist() == pytest.approx([-0.6, 0.0, 0.6])


@pytest.mark.parametrize("name", ["paradetox", "emnlp2021", "sro-release", "clef2024"])
def test_empty_outputs_score_zero_and_count(by_hand: None, name: str) -> None:
    """Empty texts never reach a model, which might like them: the tables above do not even know them."""
    outputs = ["", "out", "  ", "\u2028\t", "out", ""]
    scores = Evaluator(load_profile(name)).score(["in"] * 6, outputs, [["ref"]] * 6)
    for metric in ("sta", "sim", "fl", "j", "soft_sta", "soft_fl"):
        values = scores.metric(metric)
        assert values.shape == (6,)
        assert values[[0, 2, 3, 5]].tolist() == [0.0] * 4
    assert scores.sta[1] > 0.9 and scores.sim[1] > 0.5
    # Two good outputs of six.
    assert scores.j.mean() == pytest.approx(scores.j[1] / 3)


def test_a_copy_is_as_neutral_as_its_original(by_hand: None) -> None:
    """clef2025: ≤ holds for a copy of the input and of the reference, whatever rounding other batches bring."""
    profile = load_profile("clef2025")
    p = 1 / (1 + math.exp(4))  # logits (−2, 2)
    items = [("in", "in", ("ref",)), ("in", "same", ("ref",)), ("in", "ref", ("ref",)), ("in", "out", ("ref",))]
    values = Style(profile)(items)
    assert values[:, 0].tolist() == pytest.approx([(p + 1) / 2, (p + 1) / 2, 1.0, 1.0], abs=1e-6)
    assert values[:, 1].tolist() == pytest.approx([p, p, 1 - p, 1 - p], abs=1e-6)


def test_profiles_that_compare_with_references_need_them(by_hand: None) -> None:
    for name in ("sro-release", "clef2024"):
        with pytest.raises(InputError, match="each of the 2 sentences needs one"):
            Evaluator(load_profile(name)).score(["in", "in"], ["out", "out"], [["ref"], []])
    Evaluator(load_profile("paradetox")).score(["in"], ["out"])


@pytest.mark.parametrize(
    ("output", "reference", "expected"),
    [
        # Characters: a b of a b c: P = 1, R = 2/3. Pairs: ab of ab bc: P = 1, R = 1/2. No triple on both sides.
        # P = 1, R = 7/12; F2 = 5 P R / (4 P + R) = 7/11.
        ("ab", "abc", 7 / 11),
        # The other way round: P = 7/12, R = 1; F2 = 5 · 7/12 / (4 · 7/12 + 1) = 7/8.
        ("abc", "ab", 7 / 8),
        # 2/3, 1/2 and 0/1 on both sides: F = 7/18.
        ("abc", "abd", 7 / 18),
        # Blanks do not count.
        ("a b", "abc", 7 / 11),
        ("so it is", "so it is", 1.0),
        ("ab", "xy", 0.0),
    ],
)
def test_chrf_by_hand(output: str, reference: str, expected: float) -> None:
    fluency = Fluency(load_profile("clef2024"))
    assert fluency([("source", output, (reference, output))]).tolist() == [pytest.approx([expected, expected])]
    # The input plays no part, the version of sacrebleu does.
    assert fluency([("other", output, (reference,))])[0, 0] == pytest.approx(expected)
    assert re.match(r"chrf\(sacrebleu@\d+\.\d+", fluency.signature_field)


# -- the Hub --------------------------------------------------------------------------------------------------------
class FakeHub:
    """Answers `huggingface_hub` as the Hub would: a commit for every revision, one folder for all files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        import huggingface_hub

        self.folder = folder
        self.main = "1" * 40
        self.asked: dict[str, str | None] = {}
        self.fetched: dict[str, str] = {}
        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda _api, *a, **k: self.model_info(*a, **k))
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self.snapshot_download)

    def model_info(self, name: str, revision: str | None = None, timeout: float | None = None) -> Any:
        self.asked[name] = revision
        sha = revision if re.fullmatch("[0-9a-f]{40}", revision or "") else self.main
        return SimpleNamespace(sha=sha, siblings=[SimpleNamespace(rfilename=p.name) for p in self.folder.iterdir()])

    def snapshot_download(self, name: str, *, revision: str, allow_patterns: list[str]) -> str:
        assert not {"*", "*.bin", "*.pt", "*.py"} & set(allow_patterns)
        self.fetched[name] = revision
        return str(self.folder)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHub:
    """Every model on it is a RoBERTa with its config; XCOMET-lite's too, which is not loaded here."""
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    return FakeHub(monkeypatch, write_roberta(tmp_path / "hub"))


COMMITS = {
    "s-nlp/roberta_toxicity_classifier": "048c25bb1e199b98802784f96325f4840f22145d",
    "textdetox/xlmr-large-toxicity-classifier": "b9c7c563427c591fc318d91eb592381ae2fbde66",
    "sentence-transformers/LaBSE": "e34fab64a3011d2176c99545a93d5cbddc9a91b7",
}
ONE_SENTENCE = TestSet("t", "folder", "r", ("in",), (("ref",),))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_commits_of_fetched_models_enter_the_signature(
    name: str, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Pinned models at exactly their commit; of the others the commit that was found enters the signature."""
    monkeypatch.setitem(SIMILARITIES, "wieting", HandEncoder)
    profile = load_profile(name)
    signature = Evaluator(profile).signature(ONE_SENTENCE, {})
    models = [getattr(profile, f"{metric}_model") for metric in ("sta", "sim", "fl")]
    models = [model for model in models if "/" in model]
    assert models and set(models) <= hub.fetched.keys()
    for model in models:
        if model in COMMITS:
            assert hub.asked[model] == hub.fetched[model] == COMMITS[model]
            assert f"({model}@{COMMITS[model]};" in signature.long
        else:
            assert model in KNOWN_UNPINNED and hub.fetched[model] == hub.main
            # XCOMET-lite names its encoder's commit as well.
            assert re.search(rf"\({model}@{hub.main}[;+]", signature.long)
    # The branch moves: here the model stays where it was first found; elsewhere it is another signature.
    hub.main = "2" * 40
    assert Evaluator(profile).signature(ONE_SENTENCE, {}) == signature
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "elsewhere"))
    moved = Evaluator(profile).signature(ONE_SENTENCE, {})
    assert (moved == signature) == (not KNOWN_UNPINNED & set(models))


def test_a_damaged_list_of_pins_is_named(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    for content in ("{", "[]", '{"a@main": "not a commit"}'):
        (tmp_path / "home" / "pins.json").write_text(content)
        with pytest.raises(InputError, match=r"pins\.json: not a list of pinned commits; delete it"):
            Fluency(load_profile("paradetox"))


def test_a_changed_commit_is_fetched(hub: FakeHub) -> None:
    """A pinned copy of a profile asks for what it says, so that a run can be repeated."""
    pinned = replace(load_profile("paradetox"), fl_revision="3" * 40)
    assert f"krishna2020@{'3' * 40};" in Fluency(pinned).signature_field
    assert hub.fetched["cointegrated/roberta-large-cola-krishna2020"] == "3" * 40


# -- profile files --------------------------------------------------------------------------------------------------
TEXT = (PROFILES / "sro-release.yaml").read_text("utf-8")


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_profile(str(path))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("field", [line.partition(":")[0] for line in TEXT.split("\n") if re.match("[a-z]", line)])
def test_a_missing_field_is_named(field: str, tmp_path: Path) -> None:
    text = re.sub(rf"(?m)^{field}:.*\n", "", TEXT)
    assert refusal(tmp_path, text) == f"profile {tmp_path / 'own.yaml'}: missing field {field}"


STA_RULES = "one of argmax, logit, probability, soft, relative"
ONE_LINE = "it becomes part of the signature, so it must be one line of text without |"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sta_rule", "majority", f"sta_rule is 'majority'; it must be {STA_RULES}"),
        ("sim_anchor", "input", "sim_anchor is 'input'; it must be one of source, references, both"),
        ("fl_rule", "logit", "fl_rule is 'logit'; it must be one of argmax, probability, soft"),
        ("joint", "harmonic", "joint is 'harmonic'; it must be product"),
        ("sta_scorer", "gpt", "sta_scorer is 'gpt'; it must be one of sequence-classifier, "),
        ("sta_scorer", "chrf", "sta_scorer is 'chrf'; it must be one of sequence-classifier, "),
        ("sim_scorer", "bleu", "sim_scorer is 'bleu'; it must be one of sentence-encoder, wieting, "),
        ("fl_scorer", "ppl", "fl_scorer is 'ppl'; it must be one of sequence-classifier, "),
        ("fl_detokenise", "moses", "fl_detokenise is 'moses'; it must be one of strap, none"),
        # What a scorer would stumble over, or take for something else.
        ("sta_threshold", "null", "sta_threshold is null; sta_rule probability needs a number there"),
        ("sta_threshold", '"0.8"', "sta_threshold is '0.8'; it must be a finite number or null"),
        ("sta_threshold", "80", "sta_threshold is 80; a probability is a number from 0 to 1"),
        ("sta_threshold", ".nan", "sta_threshold is nan; it must be a finite number or null"),
        ("fl_threshold", "0.5", "fl_threshold is 0.5; fl_rule argmax needs null there"),
        ("sta_label", "neutral", "sta_label is 'neutral'; it must be a whole number of at least 0"),
        ("sta_label", "-1", "sta_label is -1; it must be a whole number of at least 0"),
        ("sta_label", "true", "sta_label is True; it must be a whole number of at least 0"),
        ("sta_revision", "1234567", "sta_revision is 1234567; it must be a string or null"),
        ("sim_source_weight", "1.5", "sim_source_weight is 1.5; it must be a number from 0 to 1"),
        ("max_tokens", "0", "max_tokens is 0; it must be a whole number of at least 8"),
        ("version", "1.0", "version is 1.0; it must be a whole number"),
        ("name", '"a|b"', f"name is 'a|b'; {ONE_LINE}"),
        ("sim_model", '"a\\nb"', f"sim_model is 'a\\nb'; {ONE_LINE}"),
        ("sim_model", "null", "sim_model is null; it must be a string"),
        ("fl_model", '""', f"fl_model is ''; {ONE_LINE}"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(field: str, value: str, message: str, tmp_path: Path) -> None:
    text = re.sub(rf"(?m)^{field}:.*$", lambda _: f"{field}: {value}", TEXT)
    assert refusal(tmp_path, text).startswith(f"profile {tmp_path / 'own.yaml'}: {message}")


def test_whole_numbers_stay_whole_in_the_signature(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(TEXT.replace("sim_source_weight: 0.0", "sim_source_weight: 1"), encoding="utf-8")
    assert repr(load_profile(path).choices("sim")["source_weight"]) == "1"


def test_files_that_are_not_profiles_are_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    assert refusal(tmp_path, TEXT + "sta_treshold: 0.9\n") == (
        f"profile {own}: unknown field sta_treshold; did you mean sta_threshold?"
    )
    assert refusal(tmp_path, TEXT + "zzz: 1\n") == f"profile {own}: unknown field zzz"
    assert refusal(tmp_path, "- a\n- b\n") == f"{own}: not a mapping of fields to values (key: value lines)"
    assert refusal(tmp_path, "a: [1\nb: }").startswith(f"{own}: not YAML (")
    own.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(InputError, match="not YAML"):
        load_profile(str(own))
    with pytest.raises(InputError, match=r"profile paradetx: unknown; did you mean paradetox\?"):
        load_profile("paradetx")
    with pytest.raises(InputError, match=r"profile nowhere/gone\.yaml: unknown"):
        load_profile("nowhere/gone.yaml")


def test_every_kind_of_scorer_can_be_named() -> None:
    base = load_profile("offline")
    for metric, kinds in (("sta", CLASSIFIERS), ("sim", SIMILARITIES), ("fl", {**CLASSIFIERS, **COMPARISONS})):
        for kind in kinds:
            replace(base, **{f"{metric}_scorer": kind})
