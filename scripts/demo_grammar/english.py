"""English from the tree: noun phrases, then clauses with auxiliaries and do-support."""

from . import english_forms as forms
from .tree import (
    AdjectivePhrase,
    Adverb,
    Clause,
    Name,
    Nominal,
    NounPhrase,
    Phrase,
    Pronoun,
    RelativePronoun,
    Sentence,
    Subordinate,
    person_of,
)
from .words import Link, Word, sentence, spell


def nominal(node: Nominal, role: str = "object") -> list[Word]:
    """A noun phrase without its relative clause; ``role`` is subject, object or oblique."""
    match node:
        case Name(entry):
            return spell(entry.english, (node, "noun"))
        case Pronoun(entry):
            form = entry.english if role == "subject" else entry.object
            return [Word(form, ((node, "noun"),), entry.english)]
        case RelativePronoun(head):
            human = "person" in head.noun.tags.split()
            forms_by_role = {"subject": "who", "oblique": "whom"} if human else {"oblique": "which"}
            return [Word(forms_by_role.get(role, "that"), ((node, "noun"),))]
    return noun_phrase(node)


def noun_phrase(node: NounPhrase) -> list[Word]:
    words: list[Word] = []
    if node.how_many:
        words += [Word("how", ((node, "how"),)), Word("many", ((node, "many"),))]
    if node.numeral:
        words += spell(node.numeral.english, (node.numeral, "numeral"))
    for phrase in node.adjectives:
        words += attributive(phrase)
    words += spell(forms.noun(node.noun, node.plural), (node, "noun"), lemma=node.noun.english)
    words = determiner(node, words[0].text) + words
    if node.possessor:
        words += [Word("of", ((node.possessor, "of"),)), *noun_phrase(node.possessor)]
    if node.attribute:
        words += phrase_words(node.attribute)
    return words


def determiner(node: NounPhrase, following: str) -> list[Word]:
    link = (node, "determiner")
    if isinstance(node.owner, Name):
        return [Word(f"{node.owner.entry.english}'s", (link,), node.owner.entry.english)]
    if node.owner:
        return [Word("whose", (link,))]
    if not node.determiner:
        return []
    if node.determiner.name == "a":
        return [Word(forms.article(following), (link,), "a")]
    form = node.determiner.plural if node.plural else node.determiner.name
    return [Word(form, (link,), node.determiner.name)]


def attributive(phrase: AdjectivePhrase) -> list[Word]:
    entry = phrase.adjective
    form = entry.superlative if phrase.degree == "superlative" else entry.english
    words = spell(form, (phrase, "adjective"), lemma=entry.english)
    if phrase.intensifier:
        words = [Word(phrase.intensifier, ((phrase, "intensifier"),)), *words]
    return words


def predicate(node: AdjectivePhrase | NounPhrase) -> list[Word]:
    if isinstance(node, NounPhrase):
        return noun_phrase(node)
    entry, link = node.adjective, (node, "adjective")
    than = nominal(node.than) if node.than else []
    match node.degree:
        case "comparative":
            words = spell(entry.comparative, link, lemma=entry.english)
            return [*words, Word("than", ((node, "than"),)), *than]
        case "equative":
            words = [Word("as", ((node, "as"),)), Word(entry.english, (link,))]
            return [*words, Word("as", ((node, "than"),)), *than]
    words = attributive(node)
    if node.age:
        years = Word("years", ((node, "years"),), "year")
        words = [*spell(node.age.english, (node.age, "numeral")), years, *words]
    return words


def phrase_words(node: Phrase) -> list[Word]:
    preposition = spell(node.english, (node, "preposition"))
    return preposition + nominal(node.nominal, "oblique")


def any_phrase(node: Phrase | Adverb | None) -> list[Word]:
    if node is None:
        return []
    if isinstance(node, Phrase):
        return phrase_words(node)
    parts = node.entry.english.split()
    return [Word(part, ((node, str(i)),)) for i, part in enumerate(parts)]


def verbs(node: Clause, inverted: bool) -> tuple[list[Word], list[Word]]:
    """The auxiliary, if any, and the rest with the main verb, without its particle."""
    finite, main = (node, "finite"), verb_links(node)
    base, _, _ = forms.split(node.verb)
    who = person_of(node.object if node.existential else node.subject)
    past = node.tense == "past"
    if node.modal:
        return modal(node, inverted)
    if node.tense == "future":
        return [Word("will", (finite,))], [Word(base, main, node.verb.english)]
    if node.tense == "progressive":
        return [Word(forms.present("be", who), (finite,), "be")], [
            Word(node.verb.ing, main, node.verb.english)
        ]
    if node.tense in ("perfect", "pluperfect"):
        has = "had" if node.tense == "pluperfect" else forms.present("have", who)
        return [Word(has, (finite,), "have")], [Word(node.verb.participle, main, node.verb.english)]
    form = forms.past(node.verb.past, who) if past else forms.present(base, who)
    if base == "be":
        return [Word(form, (finite, *main), "be")], []
    if node.negated or inverted:
        return [do(past, who, finite)], [Word(base, main, node.verb.english)]
    return [], [Word(form, (finite, *main), node.verb.english)]


def do(past: bool, who: str, link: Link) -> Word:
    return Word("did" if past else forms.present("do", who), (link,), "do")


def modal(node: Clause, inverted: bool) -> tuple[list[Word], list[Word]]:
    """ "can sleep", "is allowed to sleep", "does not have to sleep"."""
    assert node.modal
    link, who, past = (node, "finite"), person_of(node.subject), node.tense == "past"
    parts = (node.modal.past if past else node.modal.english).split()
    base, _, _ = forms.split(node.verb)
    main = Word(base, verb_links(node), node.verb.english)
    rest = [Word(part, (link,), node.modal.name) for part in parts[1:]]
    if node.modal.auxiliary == "yes":
        first = forms.past(parts[0], who) if past else parts[0]
        first = forms.present("be", who) if first == "be" else first
        return [Word(first, (link,), node.modal.name)], [*rest, main]
    if node.negated or inverted:
        plain = Word(node.modal.english.split()[0], (link,), node.modal.name)
        return [do(past, who, link)], [plain, *rest, main]
    first = parts[0] if past else forms.present(parts[0], who)
    return [], [Word(first, (link,), node.modal.name), *rest, main]


def verb_links(node: Clause) -> tuple[Link, ...]:
    """The main verb answers for the German prefix too, unless a particle does."""
    _, particle, _ = forms.split(node.verb)
    return ((node, "verb"),) if particle else ((node, "verb"), (node, "prefix"))


def relative(node: Nominal | None) -> list[Word]:
    if isinstance(node, NounPhrase) and node.relative:
        return clause(node.relative)
    return []


def after_verb(node: Clause) -> list[Word]:
    """Objects, then manner, company, place and time."""
    _, particle, moves = forms.split(node.verb)
    particles = [Word(particle, ((node, "prefix"),), node.verb.english)] if particle else []
    direct = node.object if node.front != "object" else None
    objects = nominal(direct) if direct else []
    if isinstance(direct, Pronoun) and moves:
        objects += particles
    else:
        objects = particles + objects
    recipient = nominal(node.recipient) if node.recipient else []
    if node.to_recipient:
        words = [*objects, Word("to", ((node, "to"),)), *recipient]
    else:
        words = recipient + objects
    words += any_phrase(node.oblique if node.front != "oblique" else None)
    words += predicate(node.predicate) if node.predicate else []
    for part in (node.direction, node.manner, node.company):
        words += any_phrase(part)
    words += any_phrase(node.place if node.front != "place" else None)
    words += any_phrase(node.time if node.front != "time" else None)
    return words + relative(direct) + (subordinate(node.complement) if node.complement else [])


def front(node: Clause) -> list[Word]:
    match node.front:
        case "object" if node.object:
            return nominal(node.object)
        case "oblique":
            return any_phrase(node.oblique)
        case "time":
            return any_phrase(node.time)
        case "place":
            return any_phrase(node.place)
        case "question":
            return any_phrase(node.question)
    return []


def clause(node: Clause, question: bool = False) -> list[Word]:
    """A statement, a subordinate or relative clause, or a question with its inversion."""
    subject_question = question and node.front == "subject"
    inverted = question and not subject_question
    aux, rest = verbs(node, inverted)
    subject = [Word("there", ((node, "there"),))] if node.existential else []
    if node.subject and not node.silent_subject:
        subject = nominal(node.subject, "subject") + relative(node.subject)
    negation = [Word("not", ((node, "not"),))] if node.negated else []
    if node.negated and aux and aux[0].text == "can":
        aux, negation = [aux[0]._replace(text="cannot", links=aux[0].links + negation[0].links)], []
    adverb = any_phrase(node.frequency)
    start = [*aux, *subject] if inverted else [*subject, *aux]
    return [*front(node), *start, *negation, *adverb, *rest, *after_verb(node)]


def subordinate(node: Subordinate) -> list[Word]:
    if node.clause.silent_subject:
        link, inner = (node, "conjunction"), node.clause
        base, _, _ = forms.split(inner.verb)
        verb = [Word("to", (link,)), Word(base, verb_links(inner), inner.verb.english)]
        return verb + after_verb(inner)
    conjunction = spell(node.english, (node, "conjunction")) if node.english else []
    return [*conjunction, *clause(node.clause)]


def command(node: Clause) -> list[Word]:
    base, _, _ = forms.split(node.verb)
    words = [Word(base, ((node, "finite"), *verb_links(node)), node.verb.english)]
    if node.negated:
        words = [Word("do", ((node, "finite"),)), Word("not", ((node, "not"),))]
        words.append(Word(base, verb_links(node), node.verb.english))
    return words + after_verb(node)


def spell_sentence(node: Sentence) -> list[Word]:
    """The whole sentence, with its mark."""
    marks = {"statement": ".", "question": "?", "imperative": "." if node.please else "!"}
    words: list[Word] = []
    if node.before:
        words += [*subordinate(node.before), Word(",", ((node.before, "comma"),))]
    if node.please:
        words.append(Word("please", ((node, "please"),)))
    if node.kind == "imperative":
        words += command(node.clause)
    else:
        words += clause(node.clause, node.kind == "question")
    if node.conjunction and node.second:
        conjunction, _ = node.conjunction
        # English writes the comma where the second clause has its own subject.
        if not node.second.silent_subject:
            words.append(Word(",", ((node, "comma"),)))
        words.append(Word(conjunction, ((node, "conjunction"),)))
        words += clause(node.second)
    return sentence(words, Word(marks[node.kind], ((node, "mark"),)))
