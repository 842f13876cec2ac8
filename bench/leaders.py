"""Leaders of the benches: by name, and a T5 whose rewrites are as long as a rewriter's.

With random weights it would write nothing, or as much as there is room for: what a plain loop loses to rows that end
sooner than others could not be seen. The weights of this one are set so that it writes back the line it has read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

PROMPT = "Rude: {text}\nPolite:\n"
# The strength of a bias that leaves nothing for other places, and of what is copied beside what was written last.
_SURE, _LOUD = 30.0, 10.0
# What it counts for a place that the token before it is the last one written, and those before that the ones before.
_LAST, _EARLIER = 104.0, 69.0


def named(name: str) -> str:
    """What `metrics.models.resolve` knows a leader by: itself, or for t5 the folder of the one that copies."""
    return str(_copying_t5()) if name == "t5" else name


def load(name: str) -> Any:
    """The leader as a `metrics.models.loading.LoadedModel`."""
    from metrics.models.loading import load_model
    from metrics.models.resolve import resolve_model

    return load_model(resolve_model(named(name)), prompt=PROMPT)


def _copying_t5() -> Path:
    """The folder of a T5 of 133 million weights, as wide as SmolLM2-135M, with its tokenizer."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    from metrics.models.conversion import save_tokenizer
    from metrics.models.loading import load_model
    from metrics.models.resolve import resolve_model
    from metrics.util.files import atomic_folder, cache_dir, content_hash, sha256_file

    tokenizer = load_model(resolve_model("smollm2-135m-q4")).tokenizer
    before = tokenizer(PROMPT.partition(":")[0])["input_ids"][-1]
    (end,) = tokenizer("\n")["input_ids"]
    settings = {"vocab_size": len(tokenizer), "d_model": 576, "d_kv": 64, "num_heads": 9, "d_ff": 2048}
    settings |= {"num_layers": 12, "decoder_start_token_id": before, "eos_token_id": end}
    settings |= {"pad_token_id": tokenizer.pad_token_id}
    folder = cache_dir() / "bench" / f"t5-{content_hash([settings, sha256_file(Path(__file__))])[:16]}"
    if not folder.is_dir():
        torch.manual_seed(0)
        model = T5ForConditionalGeneration(T5Config(**settings))
        with torch.no_grad():
            let_copy(model)
        with atomic_folder(folder) as target:
            model.save_pretrained(target)
            save_tokenizer(tokenizer, target)
    return folder


def let_copy(model: Any) -> None:
    """Sets the weights of a T5 whose width is that of its heads, their number a multiple of three.

    A state has three parts: of its own token, of the one before, of the two before that (one of them turned). The heads
    of the encoder's first layer, by their biases, look one, two and three places back. Those of the decoder's first
    layer look one and two places back, and its cross-attention finds the place before which stands what was written
    last, and fetches its token. Nothing that other heads, layers and feed-forward parts come to is heard.
    """
    import torch

    width, size = model.config.d_model, model.config.d_kv
    part = width // 3
    tokens = torch.zeros(model.config.vocab_size, width)
    tokens[:, :part] = torch.nn.functional.normalize(torch.randn(model.config.vocab_size, part), dim=1) * width**0.5
    model.shared.weight.copy_(tokens)
    for stack in (model.encoder, model.decoder):
        for block in stack.block:
            for name, weights in block.named_parameters():
                if name.endswith(("o.weight", "wo.weight")):
                    weights.zero_()
    one, turned = torch.eye(part), torch.linalg.qr(torch.randn(part, part)).Q
    heads = part // size
    first, second, third = (slice(k * part, (k + 1) * part) for k in range(3))

    def look_back(attention: Any, heads_of: slice, distance: int, at: slice, as_: Any) -> None:
        bucket = attention._relative_position_bucket(
            torch.tensor(-distance), bidirectional=not attention.is_decoder,
            num_buckets=attention.relative_attention_num_buckets,
        )  # fmt: skip
        own = slice(heads_of.start // size, heads_of.start // size + heads)
        attention.relative_attention_bias.weight[:, own] = 0
        attention.relative_attention_bias.weight[bucket, own] = _SURE
        attention.q.weight[heads_of], attention.v.weight[heads_of] = 0, 0
        attention.v.weight[heads_of, first] = one
        attention.o.weight[at, heads_of] = as_

    reading, writing = (stack.block[0].layer[0].SelfAttention for stack in (model.encoder, model.decoder))
    look_back(reading, first, 1, second, one)
    look_back(reading, second, 2, third, one)
    look_back(reading, third, 3, third, turned)
    look_back(writing, first, 1, third, one)
    look_back(writing, second, 2, third, turned)
    fetching = model.decoder.block[0].layer[1].EncDecAttention
    fetching.q.weight[first], fetching.k.weight[first] = 0, 0
    half = size // 2
    # Each head compares what half of its numbers say of the last token, and half of those before.
    for k, (weight, asked, found) in enumerate(((_LAST, first, second), (_EARLIER, third, third))):
        view = torch.nn.functional.normalize(torch.randn(half, part), dim=1)
        # Of a token, a view keeps half / part of its square; a state of the decoder holds three, of the encoder four.
        view *= (weight * 12**0.5 / width * part / half) ** 0.5
        for head in range(heads):
            rows = slice(head * size + k * half, head * size + (k + 1) * half)
            fetching.q.weight[rows, asked], fetching.k.weight[rows, found] = view, view
    fetching.v.weight[first] = 0
    fetching.v.weight[first, first] = one
    fetching.o.weight[first, first] = _LOUD * one
