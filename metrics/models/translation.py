"""Translation models of several languages: which token of their vocabulary stands for a language."""

import re
from typing import Any

# NLLB writes languages as ISO 639-3 and script: those of the shared tasks, and French. Hinglish is Hindi there.
_NLLB = {
    "am": "amh_Ethi", "ar": "arb_Arab", "de": "deu_Latn", "en": "eng_Latn", "es": "spa_Latn", "fr": "fra_Latn",
    "he": "heb_Hebr", "hi": "hin_Deva", "hin": "hin_Deva", "it": "ita_Latn", "ja": "jpn_Jpan", "ru": "rus_Cyrl",
    "tt": "tat_Cyrl", "uk": "ukr_Cyrl", "zh": "zho_Hans",
}  # fmt: skip


def language_token(tokenizer: Any, lang: str) -> str | None:
    """Return the token of a language, as M2M100 (__de__), NLLB (deu_Latn) or mBART-50 (de_DE) has it; None for none."""
    if not hasattr(tokenizer, "src_lang"):
        return None
    vocabulary = tokenizer.get_vocab()
    mbart = sorted(token for token in vocabulary if re.fullmatch(rf"{re.escape(lang)}_[A-Z]{{2}}", token))
    candidates = [f"__{lang}__", _NLLB.get(lang, ""), lang, *mbart]
    return next((token for token in candidates if token in vocabulary), None)


def set_source_language(tokenizer: Any, token: str) -> None:
    """Let a tokenizer mark its texts as being in the language of `token`."""
    tokenizer.src_lang = token.strip("_") if token.startswith("__") else token
