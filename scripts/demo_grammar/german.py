"""German clauses: the verbal bracket, the field between, and sentences."""

from . import german_forms as forms
from .german_phrases import adverb, any_phrase, indefinite, nominal, predicate
from .tree import (
    Clause,
    Nominal,
    NounPhrase,
    Pronoun,
    Sentence,
    Subordinate,
    person_of,
)
from .words import Link, Word, sentence


def verbs(node: Clause, final: bool) -> tuple[Word, list[Word]]:
    """The finite verb, and what closes the bracket: prefix, participle or infinitive."""
    main, aux, prefix_link = (node, "verb"), (node, "finite"), (node, "prefix")
    verb, who = node.verb, "3s" if node.existential else person_of(node.subject)
    prefix, base = forms.split(verb)
    lemma = forms.infinitive(verb)
    if node.modal:
        tense = "past" if node.tense == "past" else "present"
        form = forms.finite(node.modal.german, "-", tense, who)
        rest = Word(lemma, (main, prefix_link), lemma)
        return Word(form, (aux,), node.modal.german), [rest]
    if node.tense == "future":
        form = forms.finite("werden", "-", "present", who)
        return Word(form, (aux,), "werden"), [Word(lemma, (main, prefix_link), lemma)]
    base = "es-geben" if node.existential else base
    simple_past = node.tense == "past" and forms.irregular(base, "past") is not None
    if node.tense in ("past", "perfect", "pluperfect") and not simple_past:
        tense = "past" if node.tense == "pluperfect" else "present"
        form = forms.finite(verb.auxiliary, "-", tense, who)
        rest = Word(forms.participle(verb), (main, prefix_link), lemma)
        return Word(form, (aux,), verb.auxiliary), [rest]
    form = forms.finite(base, verb.stem, "past" if simple_past else "present", who)
    if prefix and not final:
        return Word(form, (aux, main), lemma), [Word(prefix, (prefix_link,))]
    return Word(prefix + form, (aux, main, prefix_link), lemma), []


def middle(node: Clause, skip: str) -> list[Word]:
    """Between the brackets: subject, pronouns, recipient, time, object, "nicht", manner, place."""
    negation = (node, "not") if node.negated else None
    kein = indefinite(node.object) and node.object_case == "accusative"
    direct = node.object if skip != "object" else None
    subject = node.subject if skip != "subject" and not node.silent_subject else None
    words: list[Word] = []
    if subject:
        words += nominal(subject, "nominative")
        words += subject_relative(subject)
    object_words = nominal(direct, node.object_case, negation if kein else None) if direct else []
    if isinstance(direct, Pronoun):
        words += object_words
    if node.recipient:
        first, *rest = nominal(node.recipient, "dative")
        links: tuple[Link, ...] = ((node, "to"),) if node.to_recipient else ()
        words += [first._replace(links=first.links + links), *rest]
    early = node.object_case == "dative"
    if early and not isinstance(direct, Pronoun):
        words += object_words
    if node.frequency:
        words += adverb(node.frequency)
    if node.time and skip != "time":
        words += adverb(node.time)
    if not early and not isinstance(direct, Pronoun):
        words += object_words
    if negation and not kein:
        words.append(Word("nicht", (negation,)))
    for part in (node.manner, node.company, node.place if skip != "place" else None):
        words += any_phrase(part)
    words += any_phrase(node.oblique if skip != "oblique" else None)
    words += any_phrase(node.direction)
    return words + (predicate(node.predicate) if node.predicate else [])


def subject_relative(node: Nominal | None) -> list[Word]:
    if isinstance(node, NounPhrase) and node.relative:
        return [Word(","), *clause(node.relative, "final"), Word(",")]
    return []


def afterwards(node: Clause) -> list[Word]:
    """What follows the closing bracket: the object's relative clause, a subordinate clause."""
    words = subject_relative(node.object)
    return words + subordinate(node.complement) if node.complement else words


def front(node: Clause) -> list[Word]:
    negation = (node, "not") if node.negated else None
    match node.front:
        case "subject" if node.subject:
            return nominal(node.subject, "nominative")
        case "object" if node.object:
            return nominal(node.object, node.object_case, negation)
        case "oblique":
            return any_phrase(node.oblique)
        case "time":
            return any_phrase(node.time)
        case "place":
            return any_phrase(node.place)
        case "question":
            return any_phrase(node.question)
    return []


def clause(node: Clause, order: str) -> list[Word]:
    """Order "second" (statement), "first" (question, behind a fronted clause) or "final"."""
    finite, bracket = verbs(node, final=order == "final")
    first, skip = front(node), node.front
    if order == "second" and not first and node.subject and not node.silent_subject:
        first = nominal(node.subject, "nominative") + subject_relative(node.subject)
        skip = "subject"
    rest = middle(node, skip)
    if node.existential:
        there = [Word("es", ((node, "there"),))]
        if order == "second" and not first:
            first = there
        else:
            rest = there + rest
    if order == "final":
        return [*first, *rest, *bracket, finite, *afterwards(node)]
    return [*first, finite, *rest, *bracket, *afterwards(node)]


def infinitive(node: Subordinate) -> list[Word]:
    """ "um Äpfel zu kaufen", or without "um"."""
    inner, link = node.clause, (node, "conjunction")
    links: tuple[Link, ...] = ((inner, "verb"), (inner, "prefix"))
    lemma = forms.infinitive(inner.verb)
    form = forms.infinitive(inner.verb, zu=True)
    verb = [Word(form, (link, *links), lemma)]
    if form == lemma:
        verb = [Word("zu", (link,)), Word(form, links, lemma)]
    opening = [Word(node.german, (link,))] if node.german else []
    return [*opening, *middle(inner, ""), *verb, *afterwards(inner)]


def subordinate(node: Subordinate) -> list[Word]:
    """With the commas German writes around it."""
    comma = Word(",", ((node, "comma"),))
    if node.clause.silent_subject:
        return [Word(","), *infinitive(node), comma]
    conjunction = [Word(node.german, ((node, "conjunction"),))] if node.german else []
    return [Word(","), *conjunction, *clause(node.clause, "final"), comma]


def command(node: Clause) -> list[Word]:
    """The imperative to one friend."""
    prefix, _ = forms.split(node.verb)
    link = (node, "prefix")
    links: tuple[Link, ...] = ((node, "finite"), (node, "verb"))
    verb = Word(
        forms.imperative(node.verb),
        links if prefix else (*links, link),
        forms.infinitive(node.verb),
    )
    end = [Word(prefix, (link,))] if prefix else []
    return [verb, *middle(node, ""), *end, *afterwards(node)]


def spell_sentence(node: Sentence) -> list[Word]:
    """The whole sentence, with its mark."""
    marks = {"statement": ".", "question": "?", "imperative": "." if node.please else "!"}
    words: list[Word] = []
    if node.before:
        words += subordinate(node.before)[1:]
    if node.please:
        words.append(Word("bitte", ((node, "please"),)))
    if node.kind == "imperative":
        words += command(node.clause)
    else:
        fronted = node.before or node.kind == "question"
        subject_first = node.kind == "question" and node.clause.front == "subject"
        words += clause(node.clause, "first" if fronted and not subject_first else "second")
    if node.conjunction and node.second:
        _, conjunction = node.conjunction
        if conjunction == "aber":
            words.append(Word(",", ((node, "comma"),)))
        words.append(Word(conjunction, ((node, "conjunction"),)))
        again = clause(node.second, "second")
        if node.second.silent_subject and again[0].text == verbs(node.clause, False)[0].text:
            again = again[1:]  # one auxiliary serves both: "hat ihn gebacken und gegessen"
        words += again
    return sentence(words, Word(marks[node.kind], ((node, "mark"),)))
