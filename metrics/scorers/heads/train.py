"""Training of the heads: logistic regressions on features of frozen models, with the same bytes on every run.

The toxicity head is trained on Jigsaw, the acceptability head on CoLA (Warstadt et al. 2019) and on corruptions of its
acceptable sentences. Both are evaluated on held-out Jigsaw folds, CoLA's development files and 500 ParaDetox pairs.
"""

import json
import lzma
import random
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from metrics.data.formats import read_paradetox
from metrics.scorers.batching import Array
from metrics.scorers.heads import features
from metrics.scorers.heads.features import HiddenStates, SmolLM2
from metrics.scorers.heads.offline import HEADS, TEMPERATURE, smooth_maximum
from metrics.util.errors import InputError
from metrics.util.files import atomic_file, cache_dir, content_hash, read_lines, sha256_file
from metrics.util.progress import progress

JIGSAW = ("jigsaw/dev_toxic.txt", "jigsaw/dev_normal.txt")
COLA = "cola/in_domain_train.tsv"
COLA_DEV = ("cola/in_domain_dev.tsv", "cola/out_of_domain_dev.tsv")
PARADETOX = "paradetox/paradetox.tsv"
_CORRUPTIONS = 4000
_FOLDS = 5
# Texts per file of cached features.
_CHUNK = 1024
# Errors of automatic rewriters, as often as they are drawn.
_ERRORS = ("replace", "replace", "replace", "insert", "drop", "swap", "repeat", "cut")
# Weights of the token, n-gram and profanity-check members, chosen by the AUC on ParaDetox pairs outside its tests.
_MIX = (1.0, 0.25, 0.25)
_EPOCHS, _BATCH_SIZE, _LEARNING_RATE = 3, 128, 2e-3
# Surprisal statistics predict more than single units of a hidden state; a larger scale is regularised less.
_SURPRISAL_SCALE = 3.0
_SURPRISAL_START = 3 * SmolLM2.width * len(SmolLM2.acceptable_layers)


def train_heads(folder: Path, names: Sequence[str], target: Path = HEADS) -> None:
    """Train heads and write them, with the hashes of their data and their evaluation in the header.

    Args:
        folder: The data folder, with jigsaw/, cola/ and paradetox/.
        names: "toxicity", "acceptability" or both.
        target: Folder for the files `NAME.safetensors`.

    Raises:
        InputError: A data file is missing or has another format.
    """
    # threadpool_limits reaches only loaded BLAS libraries, so this module imports scikit-learn at its top.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    train = {"toxicity": _train_toxicity, "acceptability": _train_acceptability}
    with threadpool_limits(1):
        for name in names:
            tensors, figures, files = train[name](folder)
            figures = {label: _rounded(value) for label, value in figures.items()}
            trained_on = {file: sha256_file(folder / file) for file in files}
            # One entry: safetensors writes several entries in an order that changes from run to run.
            training = json.dumps({"trained_on": trained_on, "figures": figures}, sort_keys=True)
            path = target / f"{name}.safetensors"
            with atomic_file(path) as temporary:
                contiguous = {label: np.ascontiguousarray(tensor) for label, tensor in tensors.items()}
                save_file(contiguous, temporary, metadata={"training": training})
            print(f"{path.name}: {path.stat().st_size} bytes, {json.dumps(figures)}", flush=True)


def _train_toxicity(folder: Path) -> tuple[dict[str, Any], dict[str, Any], Sequence[str]]:
    """(tensors, figures, training files) of an ensemble: token states, character n-grams and alt-profanity-check.

    Each member's log-odds are divided by their held-out standard deviation and weighted by `_MIX`. Platt scaling of the
    sum is fitted on the held-out log-odds, too.
    """
    toxic, neutral = ([line for line in map(str.strip, read_lines(folder / file)) if line] for file in JIGSAW)
    texts = [features.canonical(text) for text in (*toxic, *neutral)]
    y = np.array([1] * len(toxic) + [0] * len(neutral))
    pairs = _paradetox(folder)
    tests = [features.canonical(text) for pair in pairs for text in pair]
    grams, states = features.character_ngrams(texts), _token_states(texts)
    held_out = np.column_stack([np.zeros((len(y), 2)), features.profanity_log_odds(texts)])
    for fold, (train, test) in enumerate(StratifiedKFold(_FOLDS, shuffle=True, random_state=0).split(texts, y)):
        w, b = _fit_tokens([states[i] for i in train], y[train], f"toxicity, fold {fold + 1} of {_FOLDS}")
        held_out[test, 0] = [smooth_maximum(states[i] @ w + b) for i in test]
        w, b = _fit_grams(grams[train], y[train])
        held_out[test, 1] = grams[test] @ w + b
    mix = np.array(_MIX) / held_out.std(0)
    (slope,), offset = _fit_logistic((held_out @ mix)[:, None], y, C=1e6)
    token_weights, token_bias = _fit_tokens(states, y, "toxicity, all")
    gram_weights, gram_bias = _fit_grams(grams, y)
    tokens = [smooth_maximum(state @ token_weights + token_bias) for state in _token_states(tests)]
    members = [tokens, features.character_ngrams(tests) @ gram_weights + gram_bias, features.profanity_log_odds(tests)]
    judged = slope * (np.column_stack(members) @ mix) + offset
    before, after = judged[0::2], judged[1::2]
    figures = {
        "jigsaw held-out AUC": roc_auc_score(y, held_out @ mix),
        "jigsaw held-out AUC of the members": [roc_auc_score(y, column) for column in held_out.T],
        "jigsaw held-out accuracy": float(np.mean((slope * (held_out @ mix) + offset > 0) == y)),
        "paradetox AUC": roc_auc_score(np.array([1, 0] * len(pairs)), judged),
        "paradetox toxic inputs called toxic": float(np.mean(before > 0)),
        "paradetox rewrites called neutral": float(np.mean(after < 0)),
        "paradetox pairs told apart": float(np.mean(before > after)),
    }
    weights = {"tokens.weight": token_weights.astype(np.float32), "grams.weight": gram_weights.astype(np.float16)}
    tensors = {**weights, "bias": np.array([token_bias, gram_bias]), "mix": mix, "platt": np.array([slope, offset])}
    return tensors, figures, JIGSAW


def _train_acceptability(folder: Path) -> tuple[dict[str, Any], dict[str, Any], Sequence[str]]:
    """(tensors, figures, training files) of a logistic regression on `pooled_states`, over CoLA and its corruptions.

    Half of the sentences are respelled, because comments and their rewrites are often in lower case.
    """
    rng = random.Random(0)
    sentences, labels = _cola(folder / COLA)
    good = [text for text, label in zip(sentences, labels, strict=True) if label]
    vocabulary = _words_of(sentences)
    broken = [corrupt(text, vocabulary, rng) for text in rng.sample(good, min(_CORRUPTIONS, len(good)))]
    texts = [features.canonical(respell(text, rng)) for text in (*sentences, *broken)]
    y = np.array([*labels, *[0] * len(broken)])
    states = _acceptable_states(texts)
    w, b = _fit_dense(states, y)
    # The corruptions lower the share of acceptable sentences; the bias is shifted back to CoLA's prior.
    share, prior = y.mean(), np.mean(labels)
    b += float(np.log(prior / (1 - prior)) - np.log(share / (1 - share)))
    figures: dict[str, Any] = {}
    for file in COLA_DEV:
        name, (sentences, labels) = Path(file).stem, _cola(folder / file)
        judged = np.array(labels)
        z = _acceptable_states([features.canonical(text) for text in sentences]) @ w + b
        low = _acceptable_states([features.canonical(text.lower()) for text in sentences]) @ w + b
        figures[f"{name} AUC"] = roc_auc_score(judged, z)
        figures[f"{name} lower-cased AUC"] = roc_auc_score(judged, low)
        figures[f"{name} P, mean of acceptable, lower-cased acceptable, unacceptable"] = [
            float(np.mean(1 / (1 + np.exp(-v)))) for v in (z[judged == 1], low[judged == 1], z[judged == 0])
        ]
    references = [reference for _, reference in _paradetox(folder)]
    vocabulary = _words_of(references)
    pairs = [(text, wrong) for text in references if (wrong := corrupt(text, vocabulary, rng)) != text]
    z = _acceptable_states([features.canonical(text) for pair in pairs for text in pair]) @ w + b
    figures["paradetox rewrites against corruptions AUC"] = roc_auc_score(np.array([1, 0] * len(pairs)), z)
    figures["paradetox rewrites above their corruptions"] = float(np.mean(z[0::2] > z[1::2]))
    return {"weight": w.astype(np.float32), "bias": np.array([b])}, figures, (COLA,)


def _words_of(texts: Sequence[str]) -> list[str]:
    """All words of `texts` in lower case, as often as they occur."""
    words = (word.strip(".,!?\"'").lower() for text in texts for word in text.split())
    return [word for word in words if word.isalpha()]


def corrupt(text: str, vocabulary: Sequence[str], rng: random.Random) -> str:
    """Return `text` with one or two errors: a word replaced, inserted, dropped, swapped or repeated, or the end cut.

    Inserted words are from `vocabulary`; a text of fewer than three words stays as it is.
    """
    words = text.split()
    for _ in range(rng.choice((1, 1, 2))):
        if len(words) < 3:
            break
        error, i = rng.choice(_ERRORS), rng.randrange(len(words) - 1)
        if error == "replace":
            words[i] = rng.choice(vocabulary)
        elif error == "insert":
            words.insert(i + 1, rng.choice(vocabulary))
        elif error == "drop":
            del words[i]
        elif error == "swap":
            words[i], words[i + 1] = words[i + 1], words[i]
        elif error == "repeat":
            words[i:i] = words[i : i + rng.choice((1, 1, 2, 3))]
        else:
            words = words[: max(2, int(len(words) * rng.uniform(0.4, 0.85)))]
    return " ".join(words)


def respell(text: str, rng: random.Random) -> str:
    """Return `text` as it is, in lower case, or in lower case without apostrophes, at random."""
    return rng.choice((text, text, text.lower(), text.lower().replace("'", "")))


def _token_states(texts: list[str]) -> list[Any]:
    """The states of each text's tokens [tokens, 2304] in float16: a gigabyte for Jigsaw, cached on disk."""
    layers = SmolLM2.toxic_layers
    backbone = SmolLM2(num_layers=max(layers))
    kind = f"tokens {layers}"
    return _cached_rows(backbone, texts, kind, lambda h: features.token_states(h, layers).astype(np.float16))


def _acceptable_states(texts: list[str]) -> Array:
    rows = _cached_rows(SmolLM2(), texts, "pooled", lambda hidden: features.pooled_states(hidden)[None])
    return np.concatenate(rows).astype(np.float64)


def _cached_rows(backbone: SmolLM2, texts: list[str], kind: str, feature: Callable[[HiddenStates], Any]) -> list[Any]:
    """The feature of each text, cached on disk in chunks of `_CHUNK` texts, as arrays that need no pickle."""
    unique = sorted(set(texts))
    rows: dict[str, Any] = {}
    for start in range(0, len(unique), _CHUNK):
        part = unique[start : start + _CHUNK]
        key = content_hash([backbone.ref.revision, sha256_file(HEADS / "features.py"), kind, part])
        path = cache_dir() / "features" / f"{key[:32]}.npz"
        arrays = _stored_rows(path, len(part))
        if arrays is None:
            arrays = backbone.extract(part, f"{kind}, {start:,} of {len(unique):,} texts", feature)
            with atomic_file(path) as temporary, temporary.open("wb") as file:
                np.savez(file, rows=np.concatenate(arrays), ends=np.cumsum([len(a) for a in arrays]))
        rows.update(zip(part, arrays, strict=True))
    return [rows[text] for text in texts]


# MemoryError: a header that claims terabytes; RuntimeError: an encrypted archive.
_DAMAGE = (
    OSError, ValueError, KeyError, EOFError, OverflowError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error,
    lzma.LZMAError,
)  # fmt: skip


def _stored_rows(path: Path, n: int) -> list[Any] | None:
    """The features of `n` texts in a file of the cache; None if it is missing or damaged."""
    try:
        # Of an archive only: `np.load` would also take a single array.
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as stored:
            # `np.savez` does not compress: an array takes no more memory than the file.
            entries = stored.zip.infolist() if stored.zip else []
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ValueError("compressed")
            rows, ends = stored["rows"], stored["ends"]
    except FileNotFoundError:
        return None
    except _DAMAGE:
        rows, ends = np.empty(0), np.empty(0)
    # What is no array in the archive is read as bytes.
    arrays = isinstance(rows, np.ndarray) and isinstance(ends, np.ndarray)
    fits = arrays and rows.ndim == 2 and rows.dtype.kind == "f" and ends.shape == (n,) and ends.dtype.kind == "i"
    if not fits or ends[-1] != len(rows) or (np.diff(ends, prepend=0) < 0).any() or not np.isfinite(rows).all():
        print(f"{path}: damaged; its features are computed again", file=sys.stderr)
        return None
    return list(np.split(rows, ends[:-1]))


def _fit_tokens(states: list[Any], y: Any, description: str) -> tuple[Array, float]:
    """Weights and bias of token log-odds whose smooth maximum classifies sentences (multiple-instance learning).

    AdamW minimises the cross-entropy over batches of similar length, in an order drawn with a fixed seed.
    """
    some = np.concatenate(states[::10]).astype(np.float64)
    mean, spread = some.mean(0), some.std(0) + 1e-6
    w = torch.zeros(states[0].shape[1], requires_grad=True)
    b = torch.tensor(-3.0, requires_grad=True)
    optimiser = torch.optim.AdamW([w, b], lr=_LEARNING_RATE, weight_decay=1e-2)
    rng = np.random.default_rng(0)
    order = sorted(range(len(y)), key=lambda i: (len(states[i]), i))
    batches = [order[i : i + _BATCH_SIZE] for i in range(0, len(order), _BATCH_SIZE)]
    plan = [batches[i] for _ in range(_EPOCHS) for i in rng.permutation(len(batches))]
    for step, indices in enumerate(progress(plan, description)):
        x = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(states[i]) for i in indices], batch_first=True)
        x = (x.float() - torch.from_numpy(mean).float()) / torch.from_numpy(spread).float()
        real = torch.arange(x.shape[1])[None] < torch.tensor([len(states[i]) for i in indices])[:, None]
        log_odds = ((x @ w + b) / TEMPERATURE).masked_fill(~real, -torch.inf)
        maxima, toxic = TEMPERATURE * log_odds.logsumexp(1), torch.from_numpy(y[indices]).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(maxima, toxic)
        optimiser.param_groups[0]["lr"] = _LEARNING_RATE * (1 - step / len(plan))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    weights = w.detach().double().numpy() / spread
    return weights, float(b.detach()) - float(weights @ mean)


def _fit_grams(x: Any, y: Any) -> tuple[Array, float]:
    w, b = _fit_logistic(x.astype(np.float64), y, C=10.0, solver="liblinear", max_iter=1000, random_state=0)
    # The file stores float16, so the evaluation uses it as well.
    return w.astype(np.float16).astype(np.float64), b


def _fit_dense(x: Array, y: Any) -> tuple[Array, float]:
    """L2-regularised logistic regression on standardised columns; weights and bias are for the original columns."""
    mean, spread = x.mean(0), x.std(0) + 1e-6
    size = np.ones(x.shape[1])
    size[_SURPRISAL_START:] = _SURPRISAL_SCALE
    w, b = _fit_logistic((x - mean) / spread * size, y, C=3e-4, max_iter=1000)
    weights = w * size / spread
    return weights, b - float(weights @ mean)


def _fit_logistic(x: Any, y: Any, **settings: Any) -> tuple[Array, float]:
    model = LogisticRegression(**settings).fit(x, y)
    return model.coef_[0], float(model.intercept_[0])


def _rounded(value: Any) -> Any:
    return [round(v, 4) for v in value] if isinstance(value, list) else round(value, 4)


def _cola(path: Path) -> tuple[list[str], list[int]]:
    """(sentences, labels with 1 = acceptable) of a CoLA TSV."""
    rows = [line.split("\t") for line in read_lines(path)]
    for number, row in enumerate(rows, start=1):
        if len(row) != 4 or row[1] not in ("0", "1"):
            raise InputError(f"{path}: line {number} is not source, label, mark, sentence")
    return [row[3] for row in rows], [int(row[1]) for row in rows]


def _paradetox(folder: Path) -> list[tuple[str, str]]:
    """The first 500 toxic sentences with their first human rewrite; for evaluation, no head is trained on them."""
    return [(source, references[0]) for source, references in read_paradetox(folder / PARADETOX)[:500]]
