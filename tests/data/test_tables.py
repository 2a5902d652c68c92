"""Tables as people have them: headers, IDs, scores, other orders, spreadsheets and flash cards."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from nmt.data.readers import Languages, Pair, read_pairs
from nmt.errors import UserError

EN_DE = Languages("en", "de")
DOGS = [(f"The dog number {n}.", f"Der {n}. Hund.") for n in range(12)]


class Read:
    """Writes a file and reads it; keeps what is noted and counted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self.counts: Counter[str] = Counter()

    def __call__(
        self,
        name: str,
        content: str | bytes,
        languages: Languages = EN_DE,
        columns: tuple[str, ...] = (),
    ) -> list[Pair]:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        pairs = read_pairs((path,), languages, self.counts, columns, self.notes.append)
        return list(pairs)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    return Read(tmp_path)


def table(*rows: tuple[str, ...], separator: str = "\t") -> str:
    return "".join(separator.join(row) + "\n" for row in rows)


def swapped(pairs: list[Pair]) -> list[Pair]:
    return [(target, source) for source, target in pairs]


class TestHeaders:
    @pytest.mark.parametrize(
        "header",
        [
            ("en", "de"),
            ("source", "target"),
            ("English", "German"),
            ("eng", "deu"),
            ("EN-US", "de_AT"),
            ("sentence_en", "sentence_de"),
            ("src_text", "tgt_text"),
        ],
    )
    def test_are_no_pair_and_tell_the_columns(self, read, header):
        assert read("a.tsv", table(header, *DOGS)) == DOGS
        assert read("b.tsv", table(header[::-1], *swapped(DOGS))) == DOGS
        assert any("line 1 is a header" in note for note in read.notes)

    @pytest.mark.parametrize("languages", [("sw", "pt"), ("swahili", "por")])
    def test_with_other_columns_between(self, read, languages):
        header = ("id", "Portuguese", "score", "Swahili", "src_lang")
        rows = [(str(n), f"Olá {n} vezes", "0.9", f"Habari {n}", "sw") for n in range(3)]
        pairs = read("a.tsv", table(header, *rows), Languages(*languages))
        assert pairs == [(row[3], row[1]) for row in rows]

    @pytest.mark.parametrize(
        "first", [("German", "Deutsch"), ("Translation", "Übersetzung"), ("no", "nein"), ("1", "2")]
    )
    def test_a_pair_that_is_like_one(self, read, first):
        assert read("a.tsv", table(first, *DOGS)) == [first, *DOGS]

    def test_of_other_languages_is_an_error(self, read):
        with pytest.raises(UserError, match="columns 'pl', 'en', but data.source_language=en"):
            read("a.tsv", table(("pl", "en"), *DOGS))
        with pytest.raises(UserError, match="data.columns"):
            read("a.tsv", table(("id", "Czech", "Slovak"), ("1", "pes", "pes")))


class TestColumns:
    @pytest.mark.parametrize(
        "before, after",
        [
            (("{n}",), ()),
            (("1.0{n}",), ("http://example.org/{n}",)),
            (("https://a.org/{n}", "https://b.org/{n}", "-0.{n}"), ()),
            (
                ("doc-{n}", "2020-01-{n:02}"),
                ("CC-BY 2.0 (France) Attribution: tatoeba.org #{n} (CK)",),
            ),
            (("Europarl",), ()),
            (("eng", "deu"), ()),
        ],
    )
    def test_ids_scores_and_labels_are_passed_over(self, read, before, after):
        rows = [
            (*(c.format(n=n) for c in before), *pair, *(c.format(n=n) for c in after))
            for n, pair in enumerate(DOGS)
        ]
        assert read("a.tsv", table(*rows)) == DOGS
        assert "skipping column 1" in read.notes[0]

    def test_ids_between_as_tatoeba_has_them(self, read):
        rows = [(str(n), source, str(n * 7), target) for n, (source, target) in enumerate(DOGS)]
        assert read("a.tsv", table(*rows)) == DOGS

    def test_numbers_are_a_corpus_too(self, read):
        pairs = [(str(n), f"Nummer {n}") for n in range(20)]
        assert read("a.tsv", table(*pairs)) == pairs

    def test_only_one_of_text(self, read):
        with pytest.raises(UserError, match="a.tsv has 3 columns, but only 1 of them holds text"):
            read("a.tsv", table(*[(str(n), str(n), f"text {n}") for n in range(20)]))

    @pytest.mark.parametrize("columns", [("3", "2"), ("trans", "text")])
    def test_as_they_are_told(self, read, columns):
        header = ("key", "text", "trans")
        rows = [(f"a {n}", f"b {n}", f"c {n}") for n in range(3)]
        expected = [row[:0:-1] for row in rows]
        assert read("a.tsv", table(header, *rows), columns=columns)[-3:] == expected

    def test_one_that_is_not_there(self, read):
        with pytest.raises(UserError, match="names 'en', but .*a.tsv has no such column"):
            read("a.tsv", table(*DOGS), columns=("en", "fr"))
        with pytest.raises(UserError, match="a.tsv line 1 has 2 columns, but column 3 should"):
            read("a.tsv", table(*DOGS), columns=("1", "3"))

    def test_keys_of_json(self, read):
        rows = '{"English": "a", "german": "b", "x": "c"}\n{"de": "e", "en": "d", "x": "f"}\n'
        assert read("a.jsonl", rows) == [("a", "b"), ("d", "e")]
        assert read("b.jsonl", '{"src": "a", "tgt": "b"}') == [("a", "b")]
        assert read("c.jsonl", '{"p": "a", "q": "b"}', columns=("q", "p")) == [("b", "a")]

    def test_columns_of_parquet(self, read, tmp_path):
        import pyarrow as pa
        import pyarrow.parquet as parquet

        columns = pa.table({"id": ["1"], "target": ["b"], "source": ["a"]})
        parquet.write_table(columns, tmp_path / "x.parquet")
        content = (tmp_path / "x.parquet").read_bytes()
        assert read("a.parquet", content) == [("a", "b")]
        assert read("b.parquet", content, columns=("id", "source")) == [("1", "a")]
        parquet.write_table(pa.table({"translation": ["b"], "text_en": ["a"]}), tmp_path / "y")
        assert read("c.parquet", (tmp_path / "y").read_bytes()) == [("a", "b")]


def test_blank_lines_are_counted(read):
    assert read("a.tsv", "a\tb\n\n  \nc\td\n\n") == [("a", "b"), ("c", "d")]
    assert read.counts == {"read": 3, "empty": 3}


class TestCSV:
    @pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_quotes_and_line_breaks(self, read, separator, mark):
        rows = [('"One, two; three"', '"Eins ""zwei""\r\ndrei"'), ("a", "b c")]
        content = mark + table(("English", "German"), *rows, *DOGS, separator=separator)
        assert read("a.csv", content)[:2] == [("One, two; three", 'Eins "zwei" drei'), ("a", "b c")]

    def test_excel_says_its_separator(self, read):
        assert read("a.csv", "sep=;\na, b;c, d\n") == [("a, b", "c, d")]

    def test_a_quote_that_is_not_closed(self, read):
        with pytest.raises(UserError, match="a.csv line 2 has a cell that begins with a quote"):
            read("a.csv", 'a,b\n"c,d\ne,f\n')

    def test_one_column(self, read):
        with pytest.raises(UserError, match="a.csv line 1 has no ','"):
            read("a.csv", "a\nb\n")


class TestAnki:
    def test_html_tags_and_sounds(self, read):
        content = (
            "#separator:tab\n#html:true\n#guid column:1\n#tags column:4\n"
            "x1\tThe <b>dog</b><br>barks &amp; runs.\tDer Hund&nbsp;bellt. [sound:a.mp3]\tanimals\n"
            'x2\t"{{c1::Two::number}} lines<div>here</div>"\t"Zwei ""Zeilen"""\tanimals\n'
        )
        expected = [
            ("The dog barks & runs.", "Der Hund bellt."),
            ("Two lines here", 'Zwei "Zeilen"'),
        ]
        assert read("deck.txt", content) == expected

    def test_other_separators_and_no_html(self, read):
        assert read("deck.txt", "#separator:Semicolon\na <b>;c\n") == [("a <b>", "c")]

    def test_names_of_columns(self, read):
        head = "#separator:tab\n#html:false\n#columns:German\tEnglish\tTags\n"
        assert read("deck.txt", head + table(*[(b, a, "x") for a, b in DOGS])) == DOGS

    def test_a_text_file_with_tabs(self, read):
        assert read("deu.txt", table(*DOGS)) == DOGS
        with pytest.raises(UserError, match="a.txt line 1 has no tab between source and target"):
            read("a.txt", "only one language\n")


def test_quotes_of_excel(read):
    rows = '"One, two"\t"She said ""no"""\r\nthree\tfour\r\n"five\nsix, seven"\teight\r\n'
    expected = [("One, two", 'She said "no"'), ("three", "four"), ("five six, seven", "eight")]
    assert read("a.txt", rows.encode("utf-16")) == expected
    speech = '"No" he said\t"Nein" sagte er\n'
    assert read("b.txt", speech.encode("utf-16")) == [('"No" he said', '"Nein" sagte er')]
    assert read("c.tsv", rows.partition("\r\n")[0]) == [('"One, two"', '"She said ""no"""')]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_what_spreadsheets_write(read, encoding):
    text = table(("en", "de"), ("a ü", "b €"), ("c 😀", "d")).replace("\n", "\r\n")
    assert read("a.txt", text.encode(encoding)) == [("a ü", "b €"), ("c 😀", "d")]
    assert read("a.tsv", text.encode(encoding)) == [("a ü", "b €"), ("c 😀", "d")]
