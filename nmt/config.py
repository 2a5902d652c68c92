"""The schema, the defaults and the documentation of every knob.

One dataclass per section; `compose.py` fills them from YAML and overrides. Every mistake is a
`UserError` of one or two lines that names the key, the rule and the value.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nmt.errors import at_least, folder_name, one_of, require, share, within
from nmt.writing import TOKENIZERS

# Ids of the special pieces, the same in every vocabulary.
PAD, UNK, BOS, EOS = 0, 1, 2, 3
CANDIDATES = 64  # of each source piece, that the lexicon of a run keeps


@dataclass
class AttentionConfig:
    """The one attention module, wherever a model attends."""

    # additive (Bahdanau et al. 2015), dot (Luong et al. 2015) or scaled_dot (Vaswani et al. 2017)
    score: str = "scaled_dot"
    heads: int = 4
    dropout: float = 0.1  # on the attention weights

    def __post_init__(self) -> None:
        one_of("model.attention.score", self.score, ("additive", "dot", "scaled_dot"))
        at_least("model.attention.heads", self.heads, 1)
        share("model.attention.dropout", self.dropout)


@dataclass
class ModelConfig:
    """What both models share. `width` is N in the shapes: what a decoder state is wide."""

    name: str = "transformer"
    width: int = 256
    encoder_layers: int = 3
    decoder_layers: int = 3
    dropout: float = 0.1
    tied_embeddings: str = "all"  # none, target (output = target embedding), all (source too)
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
    """Vaswani et al. 2017."""

    feedforward: int = 1024
    norm: str = "pre"  # pre (Xiong et al. 2020) or post (the paper's)
    positions: str = "sinusoidal"  # or rotary (Su et al. 2021), in self-attention
    activation: str = "relu"  # or gelu

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
    """Bahdanau et al. 2015."""

    name: str = "rnn"
    width: int = 512  # of the decoder's hidden state
    encoder_layers: int = 1
    decoder_layers: int = 1
    embedding: int = 256
    encoder_width: int = 256  # of each direction
    cell: str = "gru"  # or lstm
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
    """SentencePiece (Kudo and Richardson 2018)."""

    kind: str = "unigram"  # or bpe
    vocabulary: int = 8000  # pieces, of each side where not joint
    joint: bool = True  # one vocabulary for both languages
    byte_fallback: bool = True  # an unknown character becomes its bytes: nothing is unknown
    character_coverage: float = 0.9998  # the rarest characters are left to the bytes
    # nfc: one spelling of each accent, no character is lost; identity: the text as it is; nfkc and
    # nmt_nfkc: also 2 for ², 1/2 for ½ and , for ，, which no translation can contain then
    normalization: str = "nfc"
    sample: int = 100_000  # sentence pairs it learns from, drawn evenly from the corpus

    def __post_init__(self) -> None:
        one_of("data.tokenizer.kind", self.kind, ("unigram", "bpe"))
        forms = ("nfc", "nfkc", "nmt_nfkc", "identity")
        one_of("data.tokenizer.normalization", self.normalization, forms)
        at_least("data.tokenizer.vocabulary", self.vocabulary, 8)
        at_least("data.tokenizer.sample", self.sample, 1)
        within("data.tokenizer.character_coverage", self.character_coverage, 0.9, 1.0)


@dataclass
class DataConfig:
    """Where the sentence pairs come from and what is dropped.

    `source` says how they are read: `demo` (embedded in the repository), `hub` (a dataset of the
    Hugging Face hub, `hub` its name) or `files` (your own: `train`, `validation`, `test`). `path`
    names a local copy to read in place of the hub.
    """

    name: str = "demo"
    source: str = "demo"
    source_language: str = "en"
    target_language: str = "de"
    path: str | None = None  # a local copy of the corpus: a folder
    hub: str | None = None  # the dataset's name on the Hugging Face hub
    hub_subset: str | None = None
    # your own files: a.en,a.de or the prefix a of both; or one .tsv, .csv, .txt (tabs or Anki),
    # .jsonl, .json, .parquet, .tmx or .zip; also packed as .gz, .xz, .bz2 or .zst
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    # source and target in a table or in JSON: names or numbers such as [2,3]; null: recognised
    columns: str | None = None
    # without validation or test: hold out this many pairs of train for each, at most a tenth of it
    hold_out: int = 1000
    hold_out_from: str = "random"  # random: drawn from clean pairs; end: the last pairs of train
    limit: int | None = None  # use at most this many training pairs, drawn at random
    # another number draws other pairs for hold_out, limit and training.validation_limit
    draw: int = 1
    # words are counted by spaces, or as 8 letters where a script has none (3 for a Chinese one)
    min_length: int = 1  # words of a side in training; shorter pairs are dropped
    max_length: int = 200  # words of a side in training; longer pairs are dropped
    # of the two lengths in words, relative to the corpus' typical ratio; not for short pairs
    max_ratio: float = 4.0
    max_pieces: int = 250  # after tokenization; longer pairs are dropped
    deduplicate: bool = True  # keep one of equal training pairs
    # drop training pairs that are in validation or test, or share a side of over 6 words with them
    drop_leaks: bool = True
    rules: int = 2  # version of the rules for dropping and drawing pairs; 1: of runs that lack it
    cache: str = "~/.cache/nmt"  # the encoded corpora, by the hash of their contents
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
    """How a model is trained, and when it stops: at the first of the limits that are set."""

    seed: int = 1
    device: str = "auto"  # auto, cpu, cuda, cuda:1
    threads: int | None = None  # of the CPU; null: all cores
    precision: str = "auto"  # fp32, bf16; auto: bf16 where the hardware multiplies it fast
    batch_tokens: int = 4096  # padded tokens of the longer side in a batch
    accumulate: int = 1  # batches per update
    optimizer: str = "adam"  # or adamw
    learning_rate: float = 1e-3  # the peak, at the end of the warm-up; a cosine begins before it
    beta1: float = 0.9
    beta2: float = 0.98
    weight_decay: float = 0.0
    # cosine (to zero at the nearest limit), inverse_sqrt or constant; auto: cosine if max_steps or
    # max_minutes is set, else inverse_sqrt
    schedule: str = "auto"
    warmup: float | None = None  # share of the run; null: 0.1 (at most 1,000 steps)
    warmup_steps: int | None = None  # length of the warm-up in steps, instead of warmup
    clip: float = 1.0  # the largest norm of the gradient; 0: no clipping
    label_smoothing: float = 0.1
    max_steps: int | None = None
    max_epochs: int | None = 40
    max_minutes: float | None = None  # of the training loop, validations included
    # score on the validation set that selects the best checkpoint: chrf, bleu or nll (loss)
    metric: str = "chrf"
    # stop after this many validations without improvement in training.metric
    patience: int | None = 10
    validate_every: int | None = None  # steps; null: ten times in a run, and every 500 steps
    log_every: int = 20  # steps
    validation_limit: int | None = None  # sentences translated at a validation; null: all
    keep: int = 3  # checkpoints beside the best
    # Updates between two validations that are skipped because loss or gradient is not finite; with
    # so many the run goes back to its last checkpoint and on with half the learning rate, once.
    max_skipped: int = 10
    average: int = 5  # weights of the last so many validations, averaged at the end; 1: none
    samples: int = 5  # fixed sentences whose translation and attention each validation shows

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
            "training must end: set one of training.max_steps, max_epochs, max_minutes, patience",
        )
        timed = any((self.max_steps, self.max_epochs, self.max_minutes))
        require(
            self.schedule != "cosine" or timed,
            "training.schedule=cosine needs training.max_steps, max_epochs or max_minutes",
        )


@dataclass
class DecodingConfig:
    """How a trained model translates."""

    strategy: str = "beam"  # beam; sample; mbr: of samples the one most like the others
    beam_size: int = 5  # 1: greedy
    groups: int = 1  # of the beam, kept different from each other; 1: no such groups
    diversity: float = 0.5  # nats that a token costs a group for each use in groups before it
    length_penalty: float = 1.0  # alpha of Wu et al. 2016, equation 14; 0: none
    coverage_penalty: float = 0.0  # beta of the same equation
    # A beam ends after so many times its size of finished hypotheses (Kasai et al. 2022; 1: as in
    # most toolkits, sooner done); null: when no open hypothesis can win any more.
    patience: float | None = None
    temperature: float = 1.0  # of samples: below 1 nearer to the likeliest
    top_k: int = 0  # samples come from so many of the likeliest tokens; 0: from all
    top_p: float = 1.0  # and from the fewest that have this share of the probability
    samples: int = 32  # that mbr compares; more begin with the same ones
    utility: str = "chrf"  # by which mbr compares them: chrf or bleu
    seed: int = 1  # of samples
    # A translation has at most max_ratio * source pieces + max_extra pieces. null: learnt from the
    # lengths of the training pairs
    max_ratio: float | None = None
    max_extra: int | None = None
    min_length: int = 0  # pieces a translation has at least, even if that is above the limit
    no_repeat_ngram: int = 0  # no n-gram of so many pieces occurs twice in a translation; 0: off
    # Multiplies the log-probability of pieces that the translation already has (Keskar et al.
    # 2019): above 1 they come less often; 1: off
    repetition_penalty: float = 1.0
    # Translate the sentences of a line one by one; null: if training lines held single sentences
    split_sentences: bool | None = None
    batch_tokens: int = 16384  # padded source pieces times hypotheses, of all batches side by side
    workers: int | None = None  # batches side by side on a CPU; null: two, where it has the threads
    precision: str = "auto"  # fp32, bf16, int8 (CPU); auto: bf16 where it is faster, else fp32
    # Of each source piece so many translations are weighed, beside the commonest pieces; 0: the
    # whole vocabulary. For finished runs: validations weigh it whole, as do demands on words.
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

    # what BLEU counts: 13a or intl (words), zh, ja-mecab, ko-mecab, char (characters), none (words
    # between spaces), flores101 or flores200 (pieces); null: by the target language
    tokenize: str | None = None
    lowercase: bool = False  # ignore case

    def __post_init__(self) -> None:
        if self.tokenize is not None:
            one_of("evaluation.tokenize", self.tokenize, TOKENIZERS)


@dataclass
class Config:
    """Everything a run is made from; saved in the run as config.yaml."""

    name: str | None = None  # of the run; null: from corpus, model and time
    runs: str = "runs"  # the folder where runs are kept
    resume: str | None = None  # a run directory to continue
    # a run whose weights, model and tokenizer a new run starts from (fine-tuning); RUN:last or
    # RUN:STEP for another checkpoint than its best
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

# Values that keep the meaning of a config saved before one of these keys existed.
BEFORE: dict[str, object] = {
    "data.hold_out_from": "end",
    "data.rules": 1,
    "data.tokenizer.normalization": "nmt_nfkc",
    "training.metric": "bleu",
}
