"""The embedded corpus is what its grammar derives, and keeps what its README promises."""

import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import make_demo_corpus  # noqa: E402
from demo_grammar import corpus, english, english_forms, german, german_forms, german_phrases  # noqa: E402
from demo_grammar.lexicon import adjective as adjective_entry  # noqa: E402
from demo_grammar.lexicon import adverb, determiner, modal, noun, pronoun, verb  # noqa: E402
from demo_grammar.tree import (  # noqa: E402
    AdjectivePhrase,
    Adverb,
    Case,
    Clause,
    NounPhrase,
    Phrase,
    Pronoun,
    RelativePronoun,
    Sentence,
    Subordinate,
)
from demo_grammar.words import WORD, align, to_text  # noqa: E402

DEMO = ROOT / "data" / "demo"


def lines(name: str) -> list[str]:
    return (DEMO / name).read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def committed() -> dict[str, tuple[list[str], list[str], list[str]]]:
    return {s: (lines(f"{s}.en"), lines(f"{s}.de"), lines(f"{s}.align")) for s in corpus.SIZES}


def test_committed_files_are_what_the_grammar_derives() -> None:
    assert make_demo_corpus.main(["--check"]) == 0


def test_check_names_the_files_that_differ(tmp_path: Path) -> None:
    corpus.write({"val.en": "A dog runs.\n"}, tmp_path)
    contents = {"val.en": "A cat runs.\n", "val.de": "Eine Katze rennt.\n"}
    assert corpus.differences(contents, tmp_path) == ["val.en", "val.de"]
    corpus.write(contents, tmp_path)
    assert corpus.differences(contents, tmp_path) == []


def test_sizes_and_no_sentence_twice(
    committed: dict[str, tuple[list[str], list[str], list[str]]],
) -> None:
    for name, size in corpus.SIZES.items():
        assert [len(column) for column in committed[name]] == [size] * 3
    for side in (0, 1):
        counts = Counter(text for columns in committed.values() for text in columns[side])
        assert counts.most_common(1)[0][1] == 1


def test_lengths_and_alignments_count_words_by_the_documented_rule(
    committed: dict[str, tuple[list[str], list[str], list[str]]],
) -> None:
    for columns in committed.values():
        for source, target, links in zip(*columns, strict=True):
            sizes = len(WORD.findall(source)), len(WORD.findall(target))
            assert all(3 <= size <= 25 for size in sizes), source
            pairs = [tuple(map(int, link.split("-"))) for link in links.split()]
            assert pairs == sorted(set(pairs)), source
            assert all(i < sizes[0] and j < sizes[1] for i, j in pairs), source
            assert pairs[-1] == (sizes[0] - 1, sizes[1] - 1), source


def test_words_of_val_and_test_are_known_from_train(
    committed: dict[str, tuple[list[str], list[str], list[str]]],
) -> None:
    for side in (0, 1):
        known = Counter(word for text in committed["train"][side] for word in WORD.findall(text))
        for name in ("val", "test"):
            for text in committed[name][side]:
                assert all(known[word] >= 3 for word in WORD.findall(text)), text


def test_a_source_has_one_translation() -> None:
    """The grammar never derives one English sentence with two German ones."""
    dice = corpus.Dice(7)
    translations: dict[str, str] = {}
    for _ in range(2000):
        tree = corpus.derive(dice)
        source = to_text(english.spell_sentence(tree))
        target = to_text(german.spell_sentence(tree))
        assert translations.setdefault(source, target) == target


def test_tokens_are_words_by_the_rule() -> None:
    stream = corpus.pairs(seed=3)
    for _ in range(500):
        pair = next(stream)
        for words in (pair.source, pair.target):
            assert WORD.findall(to_text(words)) == [word.text for word in words]


@pytest.mark.parametrize(
    ("english_noun", "plural", "case", "expected"),
    [
        ("dog", False, "accusative", "einen kleinen Hund"),
        ("dog", False, "genitive", "eines kleinen Hundes"),
        ("child", False, "nominative", "ein kleines Kind"),
        ("child", True, "dative", "kleinen Kindern"),
        ("cat", False, "dative", "einer kleinen Katze"),
        ("boy", False, "accusative", "einen kleinen Jungen"),
        ("cat", True, "nominative", "kleine Katzen"),
        ("cat", True, "genitive", "kleiner Katzen"),
    ],
)
def test_noun_phrases(english_noun: str, plural: bool, case: Case, expected: str) -> None:
    article = None if plural else determiner("a")
    small = AdjectivePhrase(adjective_entry("small"))
    phrase = NounPhrase(noun(english_noun), plural, article, adjectives=[small])
    assert to_text(german_phrases.nominal(phrase, case)) == expected


def test_weak_endings_and_contraction() -> None:
    phrase = NounPhrase(noun("house"), determiner=determiner("the"))
    phrase.adjectives = [AdjectivePhrase(adjective_entry("old"))]
    words = german_phrases.phrase_words(Phrase("in", "in", "dative", phrase))
    assert to_text(words) == "im alten Haus"


@pytest.mark.parametrize(
    ("name", "person", "expected"),
    [
        ("read", "3s", "liest"),
        ("work", "2s", "arbeitest"),
        ("open", "3s", "öffnet"),
        ("draw", "3s", "zeichnet"),
        ("run", "3s", "rennt"),
        ("collect", "1s", "sammle"),
        ("hike", "1s", "wandere"),
        ("dance", "2s", "tanzt"),
        ("invite", "3s", "lädt"),
        ("like", "3s", "mag"),
        ("learn", "3s", "lernt"),
    ],
)
def test_german_present(name: str, person: str, expected: str) -> None:
    entry = verb(name)
    base = german_forms.split(entry)[1]
    assert german_forms.finite(base, entry.stem, "present", person) == expected


def test_german_infinitives_participles_and_commands() -> None:
    assert german_forms.infinitive(verb("tidy/up"), zu=True) == "aufzuräumen"
    assert german_forms.participle(verb("tidy/up")) == "aufgeräumt"
    assert german_forms.participle(verb("visit")) == "besucht"
    commands = [german_forms.imperative(verb(v)) for v in ("give", "go", "drive", "wait", "buy")]
    assert commands == ["gib", "geh", "fahr", "warte", "kaufe"]


def test_english_forms() -> None:
    assert [english_forms.article(w) for w in ("apple", "university", "hour")] == ["an", "a", "an"]
    assert [english_forms.third_person(w) for w in ("try", "play", "wash", "go", "have")] == [
        "tries",
        "plays",
        "washes",
        "goes",
        "has",
    ]


def spelled(tree: Sentence) -> tuple[str, str, set[tuple[str, str]]]:
    """Both texts, and the pairs of words that are linked."""
    source, target = english.spell_sentence(tree), german.spell_sentence(tree)
    links = {(source[i].text, target[j].text) for i, j in align(source, target)}
    return to_text(source), to_text(target), links


def opening(**features: object) -> Clause:
    """ "the woman", "close", "the door", with more of a clause."""
    woman = NounPhrase(noun("woman"), determiner=determiner("the"))
    door = NounPhrase(noun("door"), determiner=determiner("the"))
    return Clause(verb("close"), woman, object=door, **features)  # type: ignore[arg-type]


def test_verb_second_and_separable_prefix() -> None:
    today = Adverb(adverb("today"))
    source, target, links = spelled(
        Sentence(opening(tense="progressive", time=today, front="time"))
    )
    assert source == "Today the woman is closing the door."
    assert target == "Heute macht die Frau die Tür zu."
    assert {("is", "macht"), ("closing", "macht"), ("closing", "zu")} <= links


def test_negation_and_do_support() -> None:
    source, target, links = spelled(Sentence(opening(tense="past", negated=True)))
    assert source == "The woman did not close the door."
    assert target == "Die Frau hat die Tür nicht zugemacht."
    assert {("did", "hat"), ("not", "nicht"), ("close", "zugemacht")} <= links


def test_kein_links_to_not_and_a() -> None:
    node = opening(negated=True, modal=modal("can"))
    node.object = NounPhrase(noun("box"), determiner=determiner("a"))
    source, target, links = spelled(Sentence(node))
    assert source == "The woman cannot close a box."
    assert target == "Die Frau kann keine Kiste zumachen."
    assert {("cannot", "kann"), ("cannot", "keine"), ("a", "keine")} <= links


def test_verb_final_in_subordinate_clauses() -> None:
    main = Clause(verb("know"), Pronoun(pronoun("I")))
    main.complement = Subordinate("that", "dass", opening(tense="present"))
    source, target, _ = spelled(Sentence(main))
    assert source == "I know that the woman closes the door."
    assert target == "Ich weiß, dass die Frau die Tür zumacht."


def test_infinitive_with_um_zu() -> None:
    main = Clause(verb("go"), Pronoun(pronoun("she")), tense="past")
    inner = opening(silent_subject=True)
    main.complement = Subordinate("to", "um", inner)
    source, target, links = spelled(Sentence(main))
    assert source == "She went to close the door."
    assert target == "Sie ist gegangen, um die Tür zuzumachen."
    assert {("to", "um"), ("to", "zuzumachen"), ("close", "zuzumachen")} <= links


def test_relative_pronoun_takes_its_case_from_the_verb() -> None:
    head = NounPhrase(noun("man"), determiner=determiner("the"))
    gap = RelativePronoun(head)
    helping = Clause(verb("help"), Pronoun(pronoun("we")), tense="past", object=gap, front="object")
    helping.object_case = "dative"
    head.relative = helping
    tired = AdjectivePhrase(adjective_entry("tired"))
    source, target, _ = spelled(Sentence(Clause(verb("be"), head, predicate=tired)))
    assert source == "The man that we helped is tired."
    assert target == "Der Mann, dem wir geholfen haben, ist müde."


def test_compound_and_genitive_links() -> None:
    teacher = NounPhrase(noun("teacher"), determiner=determiner("the"))
    cup = NounPhrase(noun("coffee cup"), determiner=determiner("the"), possessor=teacher)
    dirty = AdjectivePhrase(adjective_entry("dirty"))
    source, target, links = spelled(Sentence(Clause(verb("be"), cup, predicate=dirty)))
    assert source == "The coffee cup of the teacher is dirty."
    assert target == "Die Kaffeetasse des Lehrers ist schmutzig."
    assert {("coffee", "Kaffeetasse"), ("cup", "Kaffeetasse"), ("of", "des")} <= links
