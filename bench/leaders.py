"""The models that the benchmarks train and decode, among them a T5 that copies its input.

A T5 with random weights would end at once or never, and so hide what a plain loop loses to rows that end earlier than
others. The weights of this one are set so that it copies the input line.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import T5Config, T5ForConditionalGeneration

from metrics.models.conversion import save_tokenizer
from metrics.models.loading import LoadedModel, load_model
from metrics.models.resolve import resolve_model
from metrics.util.files import atomic_folder, cache_dir, content_hash, sha256_file

PROMPT = "Rude: {text}\nPolite:\n"
# An attention bias that leaves no weight for other positions, and the scale of the copied token's embedding, which
# outweighs that of the decoder's input token.
_ATTENTION_BIAS, _COPY_SCALE = 30.0, 10.0
# The scores of cross-attention for an input position whose preceding token is the last output token, and whose two
# tokens before that are those before the last output token.
_LAST_SCORE, _EARLIER_SCORE = 104.0, 69.0


def model_name(name: str) -> str:
    """Return the name that `resolve_model` takes: of `t5` the folder of the copying T5, else `name` itself."""
    return str(_copying_t5()) if name == "t5" else name


def load_leader(name: str) -> LoadedModel:
    """Load a model by a name that `model_name` takes."""
    return load_model(resolve_model(model_name(name)), prompt=PROMPT)


def _copying_t5() -> Path:
    """Return the folder of a T5 with 133 million parameters and the width and tokenizer of SmolLM2-135M."""
    tokenizer = load_model(resolve_model("smollm2-135m-q4")).tokenizer
    start = tokenizer(PROMPT.partition(":")[0])["input_ids"][-1]
    (end,), pad = tokenizer("\n")["input_ids"], tokenizer.pad_token_id
    settings = {"vocab_size": len(tokenizer), "d_model": 576, "d_kv": 64, "num_heads": 9, "d_ff": 2048}
    settings |= {"num_layers": 12, "decoder_start_token_id": start, "eos_token_id": end, "pad_token_id": pad}
    folder = cache_dir() / "bench" / f"t5-{content_hash([settings, sha256_file(Path(__file__))])[:16]}"
    if not folder.is_dir():
        torch.manual_seed(0)
        model = T5ForConditionalGeneration(T5Config(**settings))
        with torch.no_grad():
            set_copying_weights(model)
        with atomic_folder(folder) as target:
            model.save_pretrained(target)
            save_tokenizer(tokenizer, target)
    return folder


def set_copying_weights(model: Any) -> None:
    """Set the weights of a T5 so that it copies its input.

    A hidden state has three parts: its own token, the previous one, and the two before that (one of them rotated). The
    heads of the encoder's first layer attend one, two and three positions back, by their biases; those of the decoder's
    first layer one and two positions back. Its cross-attention finds the input position that follows the last output
    tokens and copies its token. All other layers contribute nothing.

    Args:
        model: A T5 with d_model = heads * d_kv and a number of heads divisible by three.
    """
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
    identity, rotation = torch.eye(part), torch.linalg.qr(torch.randn(part, part)).Q
    heads = part // size
    first, second, third = (slice(k * part, (k + 1) * part) for k in range(3))

    def attend_back(attention: Any, head_rows: slice, distance: int, target: slice, transform: Any) -> None:
        bucket = attention._relative_position_bucket(
            torch.tensor(-distance), bidirectional=not attention.is_decoder,
            num_buckets=attention.relative_attention_num_buckets,
        )  # fmt: skip
        selected = slice(head_rows.start // size, head_rows.start // size + heads)
        attention.relative_attention_bias.weight[:, selected] = 0
        attention.relative_attention_bias.weight[bucket, selected] = _ATTENTION_BIAS
        attention.q.weight[head_rows], attention.v.weight[head_rows] = 0, 0
        attention.v.weight[head_rows, first] = identity
        attention.o.weight[target, head_rows] = transform

    encoder, decoder = (stack.block[0].layer[0].SelfAttention for stack in (model.encoder, model.decoder))
    attend_back(encoder, first, 1, second, identity)
    attend_back(encoder, second, 2, third, identity)
    attend_back(encoder, third, 3, third, rotation)
    attend_back(decoder, first, 1, third, identity)
    attend_back(decoder, second, 2, third, rotation)
    cross = model.decoder.block[0].layer[1].EncDecAttention
    cross.q.weight[first], cross.k.weight[first] = 0, 0
    half = size // 2
    # Half of each head compares the last output token, the other half the tokens before it.
    for k, (score, query, key) in enumerate(((_LAST_SCORE, first, second), (_EARLIER_SCORE, third, third))):
        projection = torch.nn.functional.normalize(torch.randn(half, part), dim=1)
        # A projection keeps half / part of a squared norm; a decoder state holds three tokens, an encoder state four.
        projection *= (score * 12**0.5 / width * part / half) ** 0.5
        for head in range(heads):
            rows = slice(head * size + k * half, head * size + (k + 1) * half)
            cross.q.weight[rows, query], cross.k.weight[rows, key] = projection, projection
    cross.v.weight[first] = 0
    cross.v.weight[first, first] = identity
    cross.o.weight[first, first] = _COPY_SCALE * identity
