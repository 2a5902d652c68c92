"""Neural machine translation with attention: `from nmt import Translator` translates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nmt.translator import Translator

__version__ = "0.1.0"
__all__ = ["Translator", "__version__"]


def __getattr__(name: str) -> Any:
    # Lazy (PEP 562): `import nmt` stays light, so that `--help` does not wait for torch.
    if name == "Translator":
        from nmt.translator import Translator

        return Translator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
