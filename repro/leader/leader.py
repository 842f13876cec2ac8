"""The leader: the policy π_θ that is trained, the reference π_ref it started from, and their log-probabilities.

Causal and seq2seq models behave alike here. The reference never costs a second full model: with LoRA it is the model
with its adapter off; otherwise it is the frozen weights, shared, plus a copy of the trained ones. When only the top
layers of a llama-like causal model are trained, the frozen layers below them run once for policy and reference, and a
prompt is read once for all the targets it has; an encoder reads each prompt once too, for both if it is frozen.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from metrics.generation.decoding import LLAMA_LIKE
from metrics.generation.packed_linear import PackedLinear, pack_linear_layers
from metrics.models.conversion import save_tokenizer
from metrics.models.loading import DTYPES, LoadedModel
from metrics.util.errors import InputError, name_option
from repro.distributed import full_tensor, shard_like
from repro.training.objective import head_logprobs, token_logprobs

_LORA_TARGETS = "all-linear"
# Of a GPU's memory, what vLLM may take that rolls out beside the training.
_VLLM_SHARE = 0.3


@dataclass(frozen=True)
class _Packed:
    """Targets that share a prompt in one row behind it, each of them blind to the others.

    ids, positions: [rows, length]; mask: [rows, 1, length, length], what each token sees, or None where no prompt has
    two targets and tokens see all before them. row, column: of each target token, in the order of the targets, where it
    is scored.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor | None
    row: torch.Tensor
    column: torch.Tensor

    def to(self, device: torch.device) -> _Packed:
        mask = None if self.mask is None else self.mask.to(device)
        ids, positions = self.ids.to(device), self.positions.to(device)
        return _Packed(ids, positions, mask, self.row.to(device), self.column.to(device))


def _pack(prompts: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], pad: int, shift_right: bool) -> _Packed:
    """One row for each different prompt, padded on the right. shift_right: see `Leader.logprobs`."""
    rows: dict[tuple[int, ...], int] = {}
    ids: list[list[int]] = []
    positions: list[list[int]] = []
    parts: list[list[int]] = []
    row: list[int] = []
    column: list[int] = []
    for prompt, target in zip(prompts, targets, strict=True):
        place = rows.setdefault(tuple(prompt), len(rows))
        start = len(prompt)
        if place == len(ids):
            ids.append(list(prompt))
            positions.append(list(range(start)))
            parts.append([0] * start)
        behind = len(ids[place])
        ids[place] += target
        positions[place] += range(start, start + len(target))
        parts[place] += [parts[place][-1] + 1] * len(target)
        row += [place] * len(target)
        read = range(behind, behind + len(target))
        # Shifted, a token is scored where the one before it stands; the first one at the prompt's end.
        column += [start - 1, *read][: len(target)] if shift_right else read
    filled = pad_sequence([torch.tensor(line) for line in ids], batch_first=True, padding_value=pad)
    part = pad_sequence([torch.tensor(line) for line in parts], batch_first=True, padding_value=-1)
    mask = None
    if len(ids) < len(targets):
        seen = (part[:, None, :] == 0) | (part[:, None, :] == part[:, :, None])
        mask = (seen & torch.ones(seen.shape[1:], dtype=torch.bool).tril())[:, None]
    return _Packed(
        filled,
        pad_sequence([torch.tensor(line) for line in positions], batch_first=True),
        mask,
        torch.tensor(row),
        torch.tensor(column),
    )


class _SplitDecoder:
    """A llama-like causal model cut below its trained top layers: frozen trunk, trained top, copied reference top."""

    def __init__(self, model: Any, top_layers: int) -> None:
        self.model = model
        self.cut = len(model.model.layers) - top_layers
        self.frozen_layers = model.model.layers[: self.cut]
        self.reference_layers = copy.deepcopy(model.model.layers[self.cut :]).requires_grad_(False).eval()
        self.reference_norm = copy.deepcopy(model.model.norm).requires_grad_(False)

    def narrow_trunk(self, dtype: torch.dtype) -> None:
        """From now on the trunk is a copy in `dtype`: weights that never change need not be rounded for every pass."""
        self.frozen_layers = copy.deepcopy(self.frozen_layers).to(dtype)
        pack_linear_layers(self.frozen_layers)

    def _run(self, layers: Any, hidden: torch.Tensor, packed: _Packed) -> torch.Tensor:
        rotary = self.model.model.rotary_emb(hidden, position_ids=packed.positions)
        for layer in layers:
            hidden = layer(
                hidden, attention_mask=packed.mask, position_ids=packed.positions, position_embeddings=rotary
            )
        return hidden

    def trunk(self, packed: _Packed) -> torch.Tensor:
        """[rows, length, width] hidden states at the cut, in float32, without gradient."""
        with torch.no_grad(), torch.autocast(packed.ids.device.type, enabled=False):
            embedded = self.model.model.embed_tokens(packed.ids)
            narrow = embedded.to(next(self.frozen_layers.parameters(), embedded).dtype)
            return self._run(self.frozen_layers, narrow, packed).float()

    def policy(self, hidden: torch.Tensor, packed: _Packed) -> torch.Tensor:
        return self.model.model.norm(self._run(self.model.model.layers[self.cut :], hidden, packed))

    def reference(self, hidden: torch.Tensor, packed: _Packed) -> torch.Tensor:
        with torch.no_grad():
            return self.reference_norm(self._run(self.reference_layers, hidden, packed))

    def agrees(self) -> bool:
        """Whether two targets behind one prompt get the logits that the whole model gives each alone."""
        training = self.model.training
        self.model.eval()
        ids = torch.arange(5, 29, device=self.model.device).remainder(self.model.config.vocab_size).view(2, 12)
        with torch.no_grad():
            ids[1, :6] = ids[0, :6]
            whole = self.model(input_ids=ids, use_cache=False).logits[:, 5:-1].flatten(0, 1)
            packed = _pack(ids[:, :6].tolist(), ids[:, 6:].tolist(), 0, shift_right=True).to(ids.device)
            hidden, scored = self.trunk(packed), (packed.row, packed.column)
            head = self.model.lm_head.weight
            cut = [read(hidden, packed)[scored] @ head.T for read in (self.policy, self.reference)]
        self.model.train(training)
        return all(torch.allclose(whole, logits, atol=1e-3, rtol=1e-3) for logits in cut)


@contextmanager
def dropout(model: Any, rate: float) -> Iterator[None]:
    """Within it the model drops out at `rate` wherever its family can: in dropout layers and in attention.

    0: nowhere. Llama-like models are released with a rate of 0, T5 with 0.1.
    """
    places = [(m, "p") for m in model.modules() if isinstance(m, nn.Dropout)]
    places += [(m, "attention_dropout") for m in model.modules() if hasattr(m, "attention_dropout")]
    before = [getattr(*place) for place in places]
    model.train(rate > 0)
    for place in places:
        setattr(*place, rate)
    try:
        yield
    finally:
        model.eval()
        for place, value in zip(places, before, strict=True):
            setattr(*place, value)


class Leader:
    """A causal or seq2seq model that rewrites, with its reference.

    train: "full", "lora", or the number of top layers to train (final norm included, embeddings and head frozen).
    max_length: prompts are truncated to this many tokens. dtype: of the products behind log-probabilities and their
    gradients (see `metrics.models.loading.DTYPES`); trained weights stay in float32, and so do logits where a few top
    layers of a llama-like model are trained.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        train: str | int,
        max_length: int = 128,
        lora_rank: int = 16,
        dtype: str = DTYPES[0],
    ) -> None:
        self.loaded = loaded
        self.tokenizer = loaded.tokenizer
        self.seq2seq = loaded.seq2seq
        self.prompt = loaded.prompt
        self.max_length = max_length
        self.dtype = getattr(torch, dtype)
        self.model = loaded.model
        self._split: _SplitDecoder | None = None
        self._reference: Any = None
        self._cast: Any = None
        self._laid: dict[str, list[PackedLinear]] = {}
        self._vllm: Any = None
        self._lora = train == "lora"
        if self._lora:
            self._add_adapter(lora_rank)
        else:
            self._freeze_below(train)
            # `agrees` still checks each model of these families before the shortcut is used.
            if isinstance(train, int) and self.model.config.model_type in LLAMA_LIKE:
                split = _SplitDecoder(self.model, train)
                self._split = split if split.agrees() else None
                if self._split is not None and self.dtype != torch.float32:
                    self._split.narrow_trunk(self.dtype)
            if self._split is None:
                # A model of its own, whose frozen weights are the policy's.
                frozen = {id(p): p for p in self.model.parameters() if not p.requires_grad}
                self._reference = copy.deepcopy(self.model, frozen).requires_grad_(False).eval()
        # A dropout layer makes policy and reference differ before the first update; training goes without it.
        self.model.eval()

    def _add_adapter(self, rank: int) -> None:
        from peft import LoraConfig, get_peft_model

        task = "SEQ_2_SEQ_LM" if self.seq2seq else "CAUSAL_LM"
        config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=_LORA_TARGETS, task_type=task)
        self.model = get_peft_model(self.model, config)

    def _freeze_below(self, train: str | int) -> None:
        if train == "full":
            self.model.requires_grad_(True)
            return
        if not isinstance(train, int):
            raise InputError(f'train: "{train}" is not "full", "lora" or a number of layers')
        # The first stack, since T5's layers are stacks of parts themselves; of an encoder-decoder model the decoder's.
        within = self.model.get_decoder() if self.seq2seq else self.model
        stacks = (m for m in within.modules() if isinstance(m, nn.ModuleList) and len(m) > 1)
        layers = next(stacks, None)
        if layers is None:
            raise InputError("train: this model has no stack of layers; use train=full")
        if not 0 < train <= len(layers):
            raise InputError(f"train: {train} layers asked for, the model has {len(layers)}; use 1 to {len(layers)}")
        self.model.requires_grad_(False)
        for layer in layers[-train:]:
            layer.requires_grad_(True)
        for name, parameter in self.model.named_parameters():
            if name.endswith(("model.norm.weight", "decoder.final_layer_norm.weight", "transformer.ln_f.weight")):
                parameter.requires_grad_(True)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def model_as(self, dtype: str) -> Any:
        """The policy's model as it is now, its weights in `dtype` (see `metrics.models.loading.DTYPES`), to roll out
        with.

        In another dtype than its own that is a copy, kept from call to call, whose trained weights are written anew.
        Its layers are laid out (`metrics.generation.packed_linear`); the model's own are not, so that draws stay as
        they were recorded.
        """
        kind = getattr(torch, dtype)
        if self.model.dtype == kind:
            return self.model
        if self._cast is None:
            self._cast = copy.deepcopy(self.model).requires_grad_(False)
            for parameter in self._cast.parameters():
                # `Module.to` would round the buffers too, and with them the angles of rotary positions.
                parameter.data = parameter.data.to(kind)
            self._laid = pack_linear_layers(self._cast)
        copies = dict(self._cast.named_parameters())
        for name, value in self.trainable_state().items():
            if name in copies:
                copies[name].copy_(value)
            for layer in self._laid.get(name, ()):
                layer.set_weight(value.to(kind))
        return self._cast

    def served_by_vllm(self, dtype: str, room: int) -> Any:
        """A `metrics.generation.engines.vllm.VLLM` with the policy's weights as they are now, in `dtype`, kept from
        call to call.

        room: the longest answer, in tokens. Errors: leaders that it does not serve.
        """
        if self._vllm is None:
            from metrics.generation.engines.vllm import VLLM

            longest = self.max_length + room
            with name_option("rollout_engine: vllm"):
                self._vllm = VLLM(self.loaded, dtype, max_model_len=longest, gpu_memory_utilization=_VLLM_SHARE)
        self._vllm.load_weights(self._plain_state().items())
        return self._vllm

    def _plain_state(self) -> dict[str, torch.Tensor]:
        """The trained weights by their names in a model without an adapter; of one with an adapter all, it merged."""
        if not self._lora:
            return self.trainable_state()
        from peft.tuners.lora import Linear

        plain = self.model.get_base_model()
        state = {n.replace(".base_layer.", "."): p.detach() for n, p in plain.named_parameters() if ".lora_" not in n}
        for name, module in plain.named_modules():
            if isinstance(module, Linear):
                (adapter,) = module.active_adapters
                state[f"{name}.weight"] = state[f"{name}.weight"] + module.get_delta_weight(adapter).detach()
        return state

    def trainable_state(self) -> dict[str, torch.Tensor]:
        """The trained weights by name, detached; where they are divided among processes, all ask together."""
        return {n: full_tensor(p.detach()) for n, p in self.model.named_parameters() if p.requires_grad}

    def load_trainable_state(self, state: dict[str, torch.Tensor]) -> None:
        parameters = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in state.items():
                parameters[name].copy_(shard_like(value, parameters[name]))

    # -- text to tokens ---------------------------------------------------------------------------------------------
    def prompt_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The prompt of each text, tokenised as the model reads it at inference, truncated to `max_length`."""
        from metrics.generation.prompts import prompt_ids

        return prompt_ids(self.tokenizer, self.prompt, texts, self.seq2seq, self.max_length)

    def target_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Each text as the model would write it: its tokens and the end of sequence."""
        eos = self.tokenizer.eos_token_id
        limit = self.max_length
        return [[*self.tokenizer(t, add_special_tokens=False)["input_ids"][: limit - 1], eos] for t in texts]

    # -- log-probabilities ------------------------------------------------------------------------------------------
    def logprobs(
        self,
        prompts: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        *,
        shift_right: bool = True,
        reference: bool = True,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(log π_θ, log π_ref) of each target given its prompt, summed over tokens, two [n] tensors.

        Only the first carries a gradient; the second is zeros when no reference is asked for.
        shift_right=False scores token t at the position that was just fed token t, as the released SRO code does
        (departure 1 of the released notebooks).
        """
        flat = torch.tensor([t for target in targets for t in target], device=self.device)
        lengths = [len(t) for t in targets]
        reference_values = torch.zeros(len(flat), device=self.device)
        if self._split is not None:
            packed = _pack(prompts, targets, self.tokenizer.pad_token_id, shift_right).to(self.device)
            scored = packed.row, packed.column
            head = self.model.lm_head.weight
            with self._products():
                hidden = self._split.trunk(packed)
                states = self._split.policy(hidden, packed)[scored]
                reference_states = self._split.reference(hidden, packed)[scored] if reference else None
            policy = head_logprobs(states, head, flat)
            if reference_states is not None:
                reference_values = head_logprobs(reference_states, head, flat)
        else:
            with self._products():
                encoded = self._encode(prompts, reference=False) if self.seq2seq else None
                logits = self._logits(prompts, targets, shift_right, encoded, reference=False)
            policy = token_logprobs(logits.float(), flat)
            if reference:
                with torch.no_grad():
                    with self._products():
                        if self.seq2seq and not self._encoder_frozen:
                            encoded = self._encode(prompts, reference=True)
                        logits = self._logits(prompts, targets, shift_right, encoded, reference=True)
                    reference_values = token_logprobs(logits.float(), flat)
        return self._sums(policy, lengths), self._sums(reference_values, lengths)

    def _products(self) -> torch.autocast:
        """Within it products are made in `dtype`."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    @staticmethod
    def _sums(values: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        return torch.stack([part.sum() for part in values.split(lengths)])

    def _causal_batch(
        self, prompts: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], shift_right: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Right-padded ids [n, length], and (row, column) of the position that scores each target token."""
        rows_of_ids = [torch.tensor([*p, *t]) for p, t in zip(prompts, targets, strict=True)]
        ids = pad_sequence(rows_of_ids, batch_first=True, padding_value=self.tokenizer.pad_token_id)
        step = 1 if shift_right else 0
        rows = [i for i, t in enumerate(targets) for _ in t]
        columns = [len(p) - step + j for p, t in zip(prompts, targets, strict=True) for j in range(len(t))]
        return ids.to(self.device), torch.tensor(rows, device=self.device), torch.tensor(columns, device=self.device)

    def _call(self, reference: bool, **inputs: Any) -> Any:
        """The model's decoder output (hidden states), as policy or as reference."""
        if self._lora:
            with self.model.disable_adapter() if reference else nullcontext():
                return self.model(**inputs)
        return (self._reference if reference else self.model)(**inputs)

    @property
    def _encoder_frozen(self) -> bool:
        """Whether the encoder is the same for policy and reference."""
        return not any(p.requires_grad for p in self.model.get_encoder().parameters())

    def _encode(self, prompts: Sequence[Sequence[int]], *, reference: bool) -> dict[str, Any]:
        """What the model is given in place of the prompts: each different one is read once by the encoder."""
        places = {p: i for i, p in enumerate(dict.fromkeys(map(tuple, prompts)))}
        read = list(places)
        pad = self.tokenizer.pad_token_id
        ids = pad_sequence([torch.tensor(p) for p in read], batch_first=True, padding_value=pad).to(self.device)
        mask = pad_sequence([torch.ones(len(p), dtype=torch.long) for p in read], batch_first=True).to(self.device)
        from transformers.modeling_outputs import BaseModelOutput

        model = self._reference if reference and not self._lora else self.model
        with self.model.disable_adapter() if reference and self._lora else nullcontext():
            states = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        row = torch.tensor([places[tuple(p)] for p in prompts], device=self.device)
        return {"encoder_outputs": BaseModelOutput(last_hidden_state=states[row]), "attention_mask": mask[row]}

    def _logits(
        self,
        prompts: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        shift_right: bool,
        encoded: dict[str, Any] | None,
        *,
        reference: bool,
    ) -> torch.Tensor:
        """Logits [tokens of all targets, vocabulary] by a plain forward pass; encoded: `_encode` of the prompts."""
        if encoded is None:
            ids, rows, columns = self._causal_batch(prompts, targets, shift_right)
            return self._call(reference, input_ids=ids, use_cache=False).logits[rows, columns]
        pad = self.tokenizer.pad_token_id
        start = self.model.config.decoder_start_token_id
        decoded = [torch.tensor([start, *t[:-1]] if shift_right else list(t)) for t in targets]
        decoder_ids = pad_sequence(decoded, batch_first=True, padding_value=pad)
        logits = self._call(reference, **encoded, decoder_input_ids=decoder_ids.to(self.device), use_cache=False).logits
        rows = torch.tensor([i for i, t in enumerate(targets) for _ in t], device=self.device)
        columns = torch.tensor([j for t in targets for j in range(len(t))], device=self.device)
        return logits[rows, columns]

    def export(self, folder: Path) -> None:
        """Writes the policy as a plain transformers folder (safetensors, tokenizer); an adapter is merged."""
        model = self.model
        if self._lora:
            model = copy.deepcopy(model).merge_and_unload()
        model.save_pretrained(folder, safe_serialization=True)
        save_tokenizer(self.tokenizer, folder)
