"""Rewrites of a chat model behind an endpoint. Each answer is cached as it comes, so that a run resumes."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from metrics.data.text import well_formed
from metrics.generation.decoding import DEFAULT_MAX_NEW_TOKENS
from metrics.generation.endpoint import (
    Completion,
    Endpoint,
    RefusedRequestError,
    cost_of,
    cost_text,
    read_number,
    read_price,
)  # fmt: skip
from metrics.generation.prompts import MAX_PROMPT_TOKENS, chat_messages
from metrics.generation.reasoning import MARKERS, cut_reasoning
from metrics.models.prompts import CHAT_PROMPT, Preamble
from metrics.systems.preamble import describe_preamble
from metrics.systems.resolve import Rewrites, System, describe_endpoint, without_folders
from metrics.util.characters import printable
from metrics.util.errors import InputError
from metrics.util.files import append_json_lines, cache_dir, content_hash, read_json_lines, sha256_bytes
from metrics.util.progress import ProgressBar

PRICE_VARIABLE = "SRO_ENDPOINT_PRICE"
# A sentence without an answer counts as empty. With a larger share of them, scores would measure the endpoint.
MAX_FAILED = 0.02
# As many as a row of a leaderboard takes.
_MAX_CHARACTERS = 10_000
# About as many characters as a token of English has: an endpoint does not say how it tokenizes.
_CHARACTERS_PER_TOKEN = 4
# What providers call their refusal to pass a text to the model: it is the system's answer, and an empty one.
_FILTERED = ("content_filter", "content_policy_violation")
_NOTE = "behind an endpoint: its weights cannot be pinned, so that a verification scores the stored outputs again"


def rewrite_at_endpoint(system: System, sources: Sequence[str], seed: int) -> Rewrites:
    """Rewrite texts by a system of kind "endpoint", several at a time.

    Args:
        system: The system, with its `endpoint`.
        seed: The seed that each request has, if the system samples.

    Raises:
        InputError: The endpoint cannot be used, or fails at more than `MAX_FAILED` of the texts and at more than one.
    """
    if system.endpoint is None:
        raise ValueError(f"{system.name} is not behind an endpoint")
    prompt = system.prompt or CHAT_PROMPT
    settings = {"do_sample": False, "max_new_tokens": DEFAULT_MAX_NEW_TOKENS, **system.decoding}
    decoding = {**settings, "prompt": prompt, **describe_preamble(system.preamble)}
    if settings["do_sample"]:
        decoding["seed"] = seed
    label, model = f"openai:{system.endpoint.model}", system.endpoint
    price = read_price(PRICE_VARIABLE)
    endpoint = Endpoint(
        label, model.model, model.url, key_variable=model.key_variable,
        timeout=read_number("SRO_ENDPOINT_TIMEOUT", 120, 86_400), workers=read_number("SRO_ENDPOINT_CONCURRENCY", 16),
    )  # fmt: skip
    key = content_hash(["endpoint", endpoint.url, model.model, decoding])
    path = cache_dir() / "rewrites" / f"{key[:32]}.jsonl"
    answers = {answer["source"]: answer for answer in read_json_lines(path, _is_answer)}
    distinct = list(dict.fromkeys(map(well_formed, sources)))
    pending = [source for source in distinct if source not in answers]
    cached = len(distinct) - len(pending)
    failed: list[str] = []
    with (
        append_json_lines(path) as append,
        ProgressBar(f"rewriting, {label}", len(distinct), completed=cached, unit="sentences") as bar,
    ):
        last = time.monotonic()
        for i, completion in endpoint.map(_asker(endpoint, system.preamble, decoding), pending):
            bar.update()
            seconds, last = round(time.monotonic() - last, 3), time.monotonic()
            if completion.problem:
                failed.append(completion.problem)
                _require_answers(label, failed, len(distinct))
                continue
            answers[pending[i]] = {"source": pending[i], **_stored(completion), "seconds": seconds}
            append(answers[pending[i]])
    used = [answers[source] for source in distinct if source in answers]
    tokens = sum(a["tokens"][0] for a in used), sum(a["tokens"][1] for a in used)
    _report(label, used, failed, cached, decoding["max_new_tokens"], cost_text(tokens, price, PRICE_VARIABLE))
    decoding["endpoint"] = _describe(endpoint.url, model.model, used)
    texts = _without_reasoning(used)
    if any(texts[answer["source"]] != answer["text"] for answer in used):
        decoding["reasoning"] = "cut"
    outputs = tuple(texts.get(well_formed(source), "") for source in sources)
    file = "".join(f"{output}\n" for output in outputs).encode()
    return Rewrites(
        system.name, "outputs", f"sha256:{sha256_bytes(file)}", decoding, outputs,
        round(sum(a["seconds"] for a in used), 1), f"endpoint {endpoint.host}", {"note": _NOTE}, usage(tokens, price),
    )  # fmt: skip


def _without_reasoning(used: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the text of each answer without reasoning, by its source.

    The server's template is unknown. It opens the reasoning if an answer only closes it; an answer that the limit cut
    off before it did so is then reasoning alone.
    """
    opened = any(close in one["text"] and begin not in one["text"] for begin, close in MARKERS for one in used)
    texts = {}
    for one in used:
        cut_off = one["finish_reason"] == "length" and not any(close in one["text"] for _, close in MARKERS)
        texts[one["source"]] = "" if opened and cut_off else " ".join(cut_reasoning(one["text"]).split())
    return texts


def usage(tokens: tuple[int, int], price: tuple[float, float] | None) -> dict[str, Any]:
    """Return what (prompt, completion) tokens were used and, with a price per million of each, their cost."""
    counts: dict[str, Any] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    return counts if price is None else {**counts, "price": list(price), "cost": round(cost_of(tokens, price), 6)}


def _asker(endpoint: Endpoint, preamble: Preamble, decoding: dict[str, Any]) -> Callable[[str], Completion]:
    fields: dict[str, Any] = {"temperature": 0}
    if decoding["do_sample"]:
        fields = {name: decoding[name] for name in ("temperature", "top_p", "seed") if name in decoding}

    def ask(source: str) -> Completion:
        text = source[: MAX_PROMPT_TOKENS * _CHARACTERS_PER_TOKEN]
        messages = chat_messages(decoding["prompt"], text, preamble)
        try:
            completion = endpoint.complete(messages, max_tokens=decoding["max_new_tokens"], **fields)
        except RefusedRequestError as error:
            if error.code in _FILTERED:
                return Completion(finish_reason="content_filter")
            raise
        length = len(cut_reasoning(completion.text))
        if length > _MAX_CHARACTERS:
            return Completion(problem=f"an answer of {length:,} characters")
        return completion

    return ask


def _stored(completion: Completion) -> dict[str, Any]:
    return {
        "text": " ".join(completion.text.split()),
        "finish_reason": completion.finish_reason,
        "served": [completion.model, completion.fingerprint],
        "tokens": [completion.prompt_tokens, completion.completion_tokens],
    }


def _is_answer(line: Any) -> bool:
    """Whether a line of the cache is one that `rewrite_at_endpoint` wrote."""
    kinds = {"source": str, "text": str, "finish_reason": str, "served": list, "tokens": list, "seconds": float}
    if not isinstance(line, dict) or {name: type(value) for name, value in line.items()} != kinds:
        return False
    served, tokens = [type(part) for part in line["served"]], [type(part) for part in line["tokens"]]
    return served == [str, str] and tokens == [int, int]


def _require_answers(label: str, failed: list[str], total: int) -> None:
    if len(failed) > max(1, MAX_FAILED * total):
        problem = f"no answer to {len(failed)} of {total} sentences, the first: {printable(failed[0])}"
        raise InputError(f"{label}: {problem}; the other answers are kept, run the same command again to resume")


def _report(label: str, used: list[dict[str, Any]], failed: list[str], cached: int, limit: int, cost: str) -> None:
    """Print on standard error what the answers cost, and which of them are no complete rewrites."""
    reasons = [answer["finish_reason"] for answer in used]
    tokens = [sum(answer["tokens"][kind] for answer in used) for kind in (0, 1)]
    lines = [f"{len(used) - cached} new answers, {cached} from the cache; {tokens[0]:,} prompt and {tokens[1]:,} "]
    lines[0] += f"completion tokens{cost}"
    if cut_off := reasons.count("length"):
        lines.append(f"{cut_off} of {len(used)} answers were cut off; give --decoding max_new_tokens={2 * limit}")
    if filtered := reasons.count("content_filter"):
        lines.append(f"{filtered} of {len(used)} sentences were refused by the provider's filter; they count as empty")
    if failed:
        counts = f"{len(failed)} of {len(used) + len(failed)} sentences have no answer ({printable(failed[0])})"
        lines.append(f"{counts}; they count as empty, run the same command again to ask for them")
    print(*(f"{label}: {line}" for line in lines), sep="\n", file=sys.stderr)


def _describe(url: str, model: str, used: list[dict[str, Any]]) -> str:
    """What a row can say in place of a commit: the URL, and the names and fingerprints of the models that answered."""
    served = _names(without_folders(answer["served"][0]) for answer in used) or model
    return describe_endpoint(url, served, _names(answer["served"][1] for answer in used))


def _names(names: Iterable[str]) -> str:
    """The distinct names joined by "+"; of more than three, how many more there are."""
    distinct = sorted({printable(name.strip(), 100) for name in names} - {""})
    return "+".join([*distinct[:3], *([f"{len(distinct) - 3} more"] if len(distinct) > 3 else [])])
