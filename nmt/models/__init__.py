"""The models. `config.model` selects one."""

from nmt.config import ModelConfig, RNNConfig, TransformerConfig
from nmt.errors import require
from nmt.models.seq2seq import Seq2Seq


def build_model(config: ModelConfig, source_vocabulary: int, target_vocabulary: int) -> Seq2Seq:
    """A freshly initialised model for vocabularies of these sizes (equal if joint)."""
    from nmt.models.rnn import build_rnn
    from nmt.models.transformer import build_transformer

    require(
        config.tied_embeddings != "all" or source_vocabulary == target_vocabulary,
        "model.tied_embeddings=all needs one vocabulary for both languages, but "
        f"data.tokenizer.joint=false made two, of {source_vocabulary} and {target_vocabulary}; "
        "set model.tied_embeddings=target",
    )
    match config:
        case TransformerConfig():
            return build_transformer(config, source_vocabulary, target_vocabulary)
        case RNNConfig():
            return build_rnn(config, source_vocabulary, target_vocabulary)
    raise TypeError(f"no model is built from a {type(config).__name__}")
