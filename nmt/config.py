"""The schema, the defaults and the documentation of every option.

One dataclass per section; `compose.py` fills them from YAML and overrides. Every mistake is a
`UserError` of one or two lines that names the key, the rule and the value. The comments of the
fields are the text of `train.py --help`: one beside a field, or some lines above it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nmt.errors import at_least, folder_name, one_of, require, share, within
from nmt.writing import TOKENIZERS

# Ids of the special pieces, the same in every vocabulary.
PAD, UNK, BOS, EOS = 0, 1, 2, 3
CANDIDATES = 64  # translations of each source piece in the lexicon of a run


@dataclass
class AttentionConfig:
    """Attention, wherever the model has it."""

    # score function: additive (Bahdanau et al. 2015), dot (Luong et al. 2015) or scaled_dot
    # (Vaswani et al. 2017)
    score: str = "scaled_dot"
    heads: int = 4  # number of attention heads
    dropout: float = 0.1  # dropout on the attention weights

    def __post_init__(self) -> None:
        one_of("model.attention.score", self.score, ("additive", "dot", "scaled_dot"))
        at_least("model.attention.heads", self.heads, 1)
        share("model.attention.dropout", self.dropout)


@dataclass
class ModelConfig:
    """The options of both models. `width` is N in the shapes: the width of a decoder state."""

    name: str = "transformer"  # the architecture
    width: int = 256  # width of the embeddings and of every layer
    encoder_layers: int = 3  # number of encoder layers
    decoder_layers: int = 3  # number of decoder layers
    dropout: float = 0.1  # dropout on embeddings and layers
    # shared weights: target (output layer = target embedding), all (source embedding too) or none
    tied_embeddings: str = "all"
    attention: AttentionConfig = field(default_factory=AttentionConfig)

    def __post_init__(self) -> None:
        for key in ("width", "encoder_layers", "decoder_layers"):
            at_least(f"model.{key}", getattr(self, key), 1)
        share("model.dropout", self.dropout)
        one_of("model.tied_embeddings", self.tied_embeddings, ("none", "target", "all"))
        self.check_heads("model.width", self.width)

    def check_heads(self, key: str, width: int) -> None:
        heads = self.attention.heads
        require(
            width % heads == 0,
            f"{key} must be a multiple of model.attention.heads ({heads}), but is {width}",
        )


@dataclass
class TransformerConfig(ModelConfig):
    """The Transformer of Vaswani et al. 2017."""

    feedforward: int = 1024  # width of the hidden layer of each feed-forward network
    norm: str = "pre"  # layer norm before (pre) or after (post, Vaswani et al.) each sublayer
    positions: str = "sinusoidal"  # sinusoidal, or rotary (Su et al. 2021) in self-attention
    activation: str = "relu"  # activation of the feed-forward networks: relu or gelu

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("model.name", self.name, ("transformer",))
        at_least("model.feedforward", self.feedforward, 1)
        one_of("model.norm", self.norm, ("pre", "post"))
        one_of("model.positions", self.positions, ("sinusoidal", "rotary"))
        one_of("model.activation", self.activation, ("relu", "gelu"))
        require(self.width % 2 == 0, f"model.width must be even, but is {self.width}")
        head_width = self.width // self.attention.heads
        require(
            self.positions != "rotary" or head_width % 2 == 0,
            "model.positions=rotary needs an even width per head, "
            f"but model.width / model.attention.heads is {head_width}",
        )


@dataclass
class RNNConfig(ModelConfig):
    """The RNN with attention of Bahdanau et al. 2015."""

    name: str = "rnn"
    width: int = 512  # width of the decoder's hidden state
    encoder_layers: int = 1
    decoder_layers: int = 1
    embedding: int = 256  # width of the embeddings
    encoder_width: int = 256  # width of the encoder's hidden state, in each direction
    cell: str = "gru"  # recurrent cell: gru or lstm
    tied_embeddings: str = "target"
    attention: AttentionConfig = field(
        default_factory=lambda: AttentionConfig(score="additive", heads=1, dropout=0.0)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("model.name", self.name, ("rnn",))
        at_least("model.embedding", self.embedding, 1)
        at_least("model.encoder_width", self.encoder_width, 1)
        one_of("model.cell", self.cell, ("gru", "lstm"))
        self.check_heads("2 * model.encoder_width", 2 * self.encoder_width)


@dataclass
class TokenizerConfig:
    """The SentencePiece tokenizer (Kudo and Richardson 2018)."""

    kind: str = "unigram"  # algorithm: unigram or bpe
    vocabulary: int = 8000  # vocabulary size in pieces (per language if not joint)
    joint: bool = True  # one vocabulary for both languages
    byte_fallback: bool = True  # spell unknown characters as bytes, so that nothing is unknown
    # share of the characters in the text that the vocabulary covers; rarer ones become bytes
    character_coverage: float = 0.9998
    # nfc: unify the encoding of accents; identity: leave the text unchanged; nfkc and nmt_nfkc:
    # also replace characters (² by 2, ½ by 1/2), which translations then cannot contain
    normalization: str = "nfc"
    sample: int = 100_000  # number of sentence pairs to train the tokenizer on

    def __post_init__(self) -> None:
        one_of("data.tokenizer.kind", self.kind, ("unigram", "bpe"))
        forms = ("nfc", "nfkc", "nmt_nfkc", "identity")
        one_of("data.tokenizer.normalization", self.normalization, forms)
        at_least("data.tokenizer.vocabulary", self.vocabulary, 8)
        at_least("data.tokenizer.sample", self.sample, 1)
        within("data.tokenizer.character_coverage", self.character_coverage, 0.9, 1.0)


@dataclass
class DataConfig:
    """The sentence pairs to learn from, and which of them to drop.

    `source` is `demo` (the corpus in the repository), `hub` (the dataset `hub` of the Hugging Face
    hub) or `files` (your own: `train`, `validation`, `test`). `path` is a local copy to read
    instead of downloading.
    """

    name: str = "demo"  # name of the corpus, for the names of runs
    source: str = "demo"  # demo, hub or files (your own)
    source_language: str = "en"  # language code of the source
    target_language: str = "de"  # language code of the target
    path: str | None = None  # folder with a local copy of the corpus
    hub: str | None = None  # name of the dataset on the Hugging Face hub
    hub_subset: str | None = None  # subset (configuration) of the dataset
    # your own training pairs: a.en,a.de or their common prefix a; or one .tsv, .csv, .txt (tabs or
    # Anki), .jsonl, .json, .parquet, .tmx or .zip; also compressed as .gz, .xz, .bz2 or .zst
    train: str | None = None
    validation: str | None = None  # the same for the validation set; null: held out from train
    test: str | None = None  # the same for the test set; null: held out from train
    # columns or JSON keys of source and target: names, or numbers such as [2,3]; null: automatic
    columns: str | None = None
    # if validation or test is missing, hold out this many pairs of train for each (at most 10%)
    hold_out: int = 1000
    hold_out_from: str = "random"  # hold out random clean pairs (random) or the last of train (end)
    limit: int | None = None  # use at most this many training pairs, drawn at random; null: all
    # random seed for drawing pairs: hold_out, limit and training.validation_limit
    draw: int = 1
    # drop training pairs with a side of fewer words; without spaces, 8 letters count as a word
    # (in Chinese and Japanese, 3 characters)
    min_length: int = 1
    max_length: int = 200  # drop training pairs with a side of more words
    # drop training pairs (of over 6 words) whose lengths differ by more than this factor from the
    # typical ratio of the corpus
    max_ratio: float = 4.0
    max_pieces: int = 250  # drop training pairs with a side of more pieces
    deduplicate: bool = True  # drop repeated training pairs
    # drop training pairs that are in validation or test, or share a side of over 6 words with them
    drop_leaks: bool = True
    rules: int = 2  # version of the rules for dropping and drawing pairs; 1: for old runs
    cache: str = "~/.cache/nmt"  # folder for encoded corpora
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)

    def __post_init__(self) -> None:
        folder_name("data.name", self.name)
        one_of("data.source", self.source, ("demo", "hub", "files"))
        at_least("data.min_length", self.min_length, 1)
        require(
            self.max_length >= self.min_length,
            f"data.max_length must be at least data.min_length ({self.min_length}), "
            f"but is {self.max_length}",
        )
        at_least("data.max_ratio", self.max_ratio, 1.0)
        at_least("data.max_pieces", self.max_pieces, 4)
        at_least("data.hold_out", self.hold_out, 1)
        at_least("data.limit", self.limit, 1)
        at_least("data.draw", self.draw, 0)
        one_of("data.hold_out_from", self.hold_out_from, ("random", "end"))
        within("data.rules", self.rules, 1, 2)


@dataclass
class TrainingConfig:
    """How the model is trained. Training stops at the first limit that it reaches."""

    seed: int = 1  # random seed for initial weights, dropout and the order of the batches
    device: str = "auto"  # auto, cpu, cuda or cuda:1
    threads: int | None = None  # number of CPU threads; null: one per core
    precision: str = "auto"  # fp32 or bf16; auto: bf16 where the hardware is fast at it
    batch_tokens: int = 4096  # batch size in tokens of the longer side, padding included
    accumulate: int = 1  # batches per update
    optimizer: str = "adam"  # adam or adamw
    learning_rate: float = 1e-3  # peak learning rate; a cosine stays slightly below it
    beta1: float = 0.9  # decay rate of Adam's first moment
    beta2: float = 0.98  # decay rate of Adam's second moment
    weight_decay: float = 0.0  # weight decay; 0: none
    # decay of the learning rate: cosine (to zero at the nearest limit), inverse_sqrt or constant;
    # auto: cosine if max_steps or max_minutes is set, otherwise inverse_sqrt
    schedule: str = "auto"
    # length of the warm-up as a share of the run; null: 0.1 of the run, but at most 1,000 steps
    warmup: float | None = None
    warmup_steps: int | None = None  # length of the warm-up in steps (instead of warmup)
    clip: float = 1.0  # clip the norm of the gradient to this value; 0: no clipping
    label_smoothing: float = 0.1  # probability moved to the other pieces; 0: none
    max_steps: int | None = None  # stop after this many updates; null: no limit
    max_epochs: int | None = 40  # stop after this many passes over the corpus; null: no limit
    # stop after this many minutes of training, validations included; null: no limit
    max_minutes: float | None = None
    # score on the validation set that selects the best checkpoint: chrf, bleu or nll (loss)
    metric: str = "chrf"
    # stop after this many validations without improvement in metric; null: never
    patience: int | None = 10
    # steps between two validations; null: at most 500, and about ten validations per run
    validate_every: int | None = None
    log_every: int = 20  # steps between two log lines
    # number of sentences to translate in a validation; null: all
    validation_limit: int | None = None
    keep: int = 3  # number of checkpoints to keep besides the best
    # if this many updates between two validations are skipped for a non-finite loss or gradient,
    # return once to the last checkpoint with half the learning rate
    max_skipped: int = 10
    average: int = 5  # average the weights of the last N validations at the end; 1: off
    samples: int = 5  # number of sentences whose translation and attention are logged

    def __post_init__(self) -> None:
        one_of("training.precision", self.precision, ("auto", "fp32", "bf16"))
        one_of("training.optimizer", self.optimizer, ("adam", "adamw"))
        one_of("training.schedule", self.schedule, ("auto", "cosine", "inverse_sqrt", "constant"))
        one_of("training.metric", self.metric, ("chrf", "bleu", "nll"))
        positive = ("batch_tokens", "accumulate", "validate_every", "log_every", "keep", "average")
        limits = ("max_steps", "max_epochs", "patience", "threads", "validation_limit")
        for key in (*positive, *limits, "max_skipped"):
            at_least(f"training.{key}", getattr(self, key), 1)
        for key in ("warmup_steps", "samples", "weight_decay", "clip", "seed"):
            at_least(f"training.{key}", getattr(self, key), 0)
        for key in ("label_smoothing", "beta1", "beta2"):
            share(f"training.{key}", getattr(self, key))
        within("training.warmup", self.warmup, 0, 0.9)
        require(
            self.warmup is None or self.warmup_steps is None,
            f"training.warmup={self.warmup} and training.warmup_steps={self.warmup_steps} "
            "exclude each other: set one of them to null",
        )
        for key in ("learning_rate", "max_minutes"):
            value = getattr(self, key)
            require(value is None or value > 0, f"training.{key} must be above 0, but is {value}")
        bounded = any((self.max_steps, self.max_epochs, self.max_minutes, self.patience))
        require(
            bounded,
            "training must end: set training.max_steps, max_epochs, max_minutes or patience",
        )
        timed = any((self.max_steps, self.max_epochs, self.max_minutes))
        require(
            self.schedule != "cosine" or timed,
            "training.schedule=cosine needs training.max_steps, max_epochs or max_minutes",
        )


@dataclass
class DecodingConfig:
    """How the trained model translates."""

    # beam search (beam), a random sample (sample), or the sample most similar to all others (mbr,
    # minimum Bayes risk)
    strategy: str = "beam"
    beam_size: int = 5  # number of hypotheses kept in beam search; 1: greedy search
    groups: int = 1  # number of diverse beam groups; 1: ordinary beam search
    diversity: float = 0.5  # penalty (nats) for a token each time an earlier group has chosen it
    length_penalty: float = 1.0  # exponent alpha of Wu et al. 2016, equation 14; 0: none
    # weight beta of the coverage penalty of Wu et al. 2016, equation 14; 0: none
    coverage_penalty: float = 0.0
    # stop once patience x beam_size hypotheses have finished (Kasai et al. 2022; 1 as in most
    # toolkits, faster); null: when no unfinished hypothesis can still win
    patience: float | None = None
    temperature: float = 1.0  # sampling temperature; below 1 favours likely tokens
    top_k: int = 0  # sample from the k most likely tokens; 0: all
    # sample from the smallest set of tokens with this total probability; 1: all
    top_p: float = 1.0
    samples: int = 32  # number of samples for mbr; a larger number extends the same samples
    utility: str = "chrf"  # similarity measure for mbr: chrf or bleu
    seed: int = 1  # random seed of sampling
    # longest translation, in pieces: max_ratio x source pieces + max_extra; null: from the lengths
    # of the training pairs
    max_ratio: float | None = None
    max_extra: int | None = None  # pieces added to the longest translation (see max_ratio)
    min_length: int = 0  # shortest translation, in pieces, even beyond the longest
    no_repeat_ngram: int = 0  # let no n-gram of this many pieces occur twice; 0: off
    # factor on the log-probability of pieces that occur already (Keskar et al. 2019): above 1,
    # repeat pieces less often; 1: off
    repetition_penalty: float = 1.0
    # translate the sentences of a line one by one; null: if training lines were single sentences
    split_sentences: bool | None = None
    # memory bound: padded source pieces x hypotheses over all parallel batches
    batch_tokens: int = 16384
    # batches translated in parallel on a CPU; null: two if there are threads for it
    workers: int | None = None
    precision: str = "auto"  # fp32, bf16 or int8 (CPU); auto: bf16 if faster, otherwise fp32
    # restrict the output vocabulary to this many translations per source piece plus the most
    # frequent pieces; 0: off. Ignored in validation and with --prefix, --require or --forbid
    shortlist: int = 0

    def __post_init__(self) -> None:
        one_of("decoding.strategy", self.strategy, ("beam", "sample", "mbr"))
        one_of("decoding.precision", self.precision, ("auto", "fp32", "bf16", "int8"))
        one_of("decoding.utility", self.utility, ("chrf", "bleu"))
        for key in ("beam_size", "groups", "samples", "workers"):
            at_least(f"decoding.{key}", getattr(self, key), 1)
        require(
            self.beam_size % self.groups == 0,
            f"decoding.beam_size must be a multiple of decoding.groups ({self.groups}), "
            f"but is {self.beam_size}",
        )
        for key in ("length_penalty", "coverage_penalty", "diversity"):
            within(f"decoding.{key}", getattr(self, key), 0, 10)
        within("decoding.patience", self.patience, 0.01, 100)
        within("decoding.temperature", self.temperature, 0.01, 100)
        within("decoding.top_p", self.top_p, 0.001, 1)
        for key in ("top_k", "seed", "no_repeat_ngram"):
            at_least(f"decoding.{key}", getattr(self, key), 0)
        within("decoding.shortlist", self.shortlist, 0, CANDIDATES)
        within("decoding.max_ratio", self.max_ratio, 0, 100)
        within("decoding.max_extra", self.max_extra, 1, 10_000)
        within("decoding.min_length", self.min_length, 0, 10_000)
        within("decoding.repetition_penalty", self.repetition_penalty, 1, 10)
        at_least("decoding.batch_tokens", self.batch_tokens, 1)


@dataclass
class EvaluationConfig:
    """How translations are compared with their references."""

    # tokenizer of BLEU: 13a or intl (words), zh, ja-mecab, ko-mecab, char (characters), none
    # (split at spaces), flores101 or flores200 (pieces); null: by the target language
    tokenize: str | None = None
    lowercase: bool = False  # ignore case in BLEU and chrF

    def __post_init__(self) -> None:
        if self.tokenize is not None:
            one_of("evaluation.tokenize", self.tokenize, TOKENIZERS)


@dataclass
class Config:
    """The config of a run; saved in the run directory as config.yaml."""

    name: str | None = None  # name of the run; null: CORPUS-MODEL, numbered if taken
    runs: str = "runs"  # folder of all run directories
    resume: str | None = None  # run directory to continue
    # run directory to start a new run from (fine-tuning): its weights, model and tokenizer;
    # RUN:last or RUN:STEP for a checkpoint other than the best
    init_from: str | None = None
    model: ModelConfig = field(default_factory=TransformerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        if self.name is not None:
            folder_name("name", self.name)
        require(
            self.model.tied_embeddings != "all" or self.data.tokenizer.joint,
            "model.tied_embeddings=all needs one vocabulary for both languages, but "
            "data.tokenizer.joint=false makes two; set model.tied_embeddings=target",
        )


MODELS: dict[str, type[ModelConfig]] = {"rnn": RNNConfig, "transformer": TransformerConfig}

# Values of keys that older saved configs lack, so that those configs keep their meaning.
BEFORE: dict[str, object] = {
    "data.hold_out_from": "end",
    "data.rules": 1,
    "data.tokenizer.normalization": "nmt_nfkc",
    "training.metric": "bleu",
}
