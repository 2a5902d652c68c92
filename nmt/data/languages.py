"""The languages that file names, headers and texts tell of: codes, names and scripts."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

# Codes of two and three letters; scripts as Unicode names them; names in English and in itself.
TABLE = """
af afr | LATIN | Afrikaans
am amh | ETHIOPIC | Amharic, አማርኛ
ar ara arb | ARABIC | Arabic, العربية
as asm | BENGALI | Assamese, অসমীয়া
az aze | LATIN CYRILLIC ARABIC | Azerbaijani, Azərbaycanca
be bel | CYRILLIC | Belarusian, Беларуская
bg bul | CYRILLIC | Bulgarian, Български
bn ben | BENGALI | Bengali, Bangla, বাংলা
bo bod tib | TIBETAN | Tibetan
br bre | LATIN | Breton, Brezhoneg
bs bos | LATIN CYRILLIC | Bosnian, Bosanski
ca cat | LATIN | Catalan, Català
cs ces cze | LATIN | Czech, Čeština, Česky
cy cym wel | LATIN | Welsh, Cymraeg
da dan | LATIN | Danish, Dansk
de deu ger | LATIN | German, Deutsch
dv div | THAANA | Divehi, Dhivehi
el ell gre | GREEK | Greek, Ελληνικά
en eng | LATIN | English
eo epo | LATIN | Esperanto
es spa | LATIN | Spanish, Español, Castellano
et est | LATIN | Estonian, Eesti
eu eus baq | LATIN | Basque, Euskara
fa fas per | ARABIC | Persian, Farsi, فارسی
fi fin | LATIN | Finnish, Suomi
fil fil | LATIN | Filipino
fo fao | LATIN | Faroese, Føroyskt
fr fra fre | LATIN | French, Français
fy fry | LATIN | Frisian, Frysk
ga gle | LATIN | Irish, Gaeilge
gd gla | LATIN | Gaelic, Gàidhlig
gl glg | LATIN | Galician, Galego
gu guj | GUJARATI | Gujarati, ગુજરાતી
ha hau | LATIN ARABIC | Hausa
he heb | HEBREW | Hebrew, עברית
hi hin | DEVANAGARI | Hindi, हिन्दी, हिंदी
hr hrv | LATIN | Croatian, Hrvatski
ht hat | LATIN | Haitian, Kreyòl
hu hun | LATIN | Hungarian, Magyar
hy hye arm | ARMENIAN | Armenian, Հայերեն
id ind | LATIN | Indonesian
ig ibo | LATIN | Igbo
is isl ice | LATIN | Icelandic, Íslenska
it ita | LATIN | Italian, Italiano
ja jpn | CJK HIRAGANA KATAKANA | Japanese, 日本語
jv jav | LATIN JAVANESE | Javanese
ka kat geo | GEORGIAN | Georgian, ქართული
kk kaz | CYRILLIC LATIN ARABIC | Kazakh, Қазақша
km khm | KHMER | Khmer, ខ្មែរ
kn kan | KANNADA | Kannada, ಕನ್ನಡ
ko kor | HANGUL CJK | Korean, 한국어
ku kur kmr ckb | LATIN ARABIC | Kurdish, Kurdî
ky kir | CYRILLIC | Kyrgyz, Кыргызча
la lat | LATIN | Latin, Latina
lb ltz | LATIN | Luxembourgish, Lëtzebuergesch
lo lao | LAO | Lao, ລາວ
lt lit | LATIN | Lithuanian, Lietuvių
lv lav lvs | LATIN | Latvian, Latviešu
mg mlg | LATIN | Malagasy
mi mri | LATIN | Maori
mk mkd mac | CYRILLIC | Macedonian, Македонски
ml mal | MALAYALAM | Malayalam, മലയാളം
mn mon khk | CYRILLIC MONGOLIAN | Mongolian, Монгол
mr mar | DEVANAGARI | Marathi, मराठी
ms msa may zsm | LATIN ARABIC | Malay, Melayu
mt mlt | LATIN | Maltese, Malti
my mya bur | MYANMAR | Burmese, မြန်မာ
nb nob | LATIN | Bokmål
ne nep npi | DEVANAGARI | Nepali, नेपाली
nl nld dut | LATIN | Dutch, Nederlands
nn nno | LATIN | Nynorsk
no nor | LATIN | Norwegian, Norsk
oc oci | LATIN | Occitan
or ori ory | ORIYA | Odia, Oriya
pa pan | GURMUKHI ARABIC | Punjabi, Panjabi, ਪੰਜਾਬੀ
pl pol | LATIN | Polish, Polski
ps pus pbt | ARABIC | Pashto, پښتو
pt por | LATIN | Portuguese, Português
qu que | LATIN | Quechua
ro ron rum | LATIN CYRILLIC | Romanian, Română
ru rus | CYRILLIC | Russian, Русский
rw kin | LATIN | Kinyarwanda
sa san | DEVANAGARI | Sanskrit
sd snd | ARABIC DEVANAGARI | Sindhi
si sin | SINHALA | Sinhala, සිංහල
sk slk slo | LATIN | Slovak, Slovenčina
sl slv | LATIN | Slovenian, Slovene, Slovenščina
so som | LATIN | Somali
sq sqi alb | LATIN | Albanian, Shqip
sr srp | CYRILLIC LATIN | Serbian, Srpski, Српски
sv swe | LATIN | Swedish, Svenska
sw swa swh | LATIN | Swahili, Kiswahili
ta tam | TAMIL | Tamil, தமிழ்
te tel | TELUGU | Telugu, తెలుగు
tg tgk | CYRILLIC | Tajik, Тоҷикӣ
th tha | THAI | Thai, ไทย
ti tir | ETHIOPIC | Tigrinya
tk tuk | LATIN CYRILLIC | Turkmen
tl tgl | LATIN | Tagalog
tr tur | LATIN | Turkish, Türkçe
tt tat | CYRILLIC LATIN | Tatar
ug uig | ARABIC LATIN CYRILLIC | Uyghur
uk ukr | CYRILLIC | Ukrainian, Українська
ur urd | ARABIC DEVANAGARI | Urdu, اردو
uz uzb | LATIN CYRILLIC | Uzbek
vi vie | LATIN | Vietnamese, Tiếng Việt
xh xho | LATIN | Xhosa
yi yid | HEBREW | Yiddish
yo yor | LATIN | Yoruba
yue yue | CJK | Cantonese
zh zho chi cmn | CJK BOPOMOFO | Chinese, Mandarin, 中文
zu zul | LATIN | Zulu
"""
REGION = re.compile(r"([a-z]{2,3})[-_]([a-z]{2}|[a-z]{4}|\d{3})([-_]\w{2,8})*")


class Language(NamedTuple):
    code: str
    scripts: frozenset[str]
    name: str  # in English


@cache
def known() -> dict[str, Language]:
    """The languages of the table by each of their codes and names, in small letters."""
    languages: dict[str, Language] = {}
    for line in TABLE.strip().splitlines():
        codes, scripts, names = (part.strip() for part in line.split("|"))
        each = [*codes.split(), *(name.strip() for name in names.split(","))]
        language = Language(each[0], frozenset(scripts.split()), names.split(",")[0])
        languages |= {key.casefold(): language for key in each}
    return languages


def find_language(name: str) -> Language | None:
    """The language of `de`, `DE-AT`, `deu`, `German` or `Deutsch`, if the table has it."""
    folded = name.strip().casefold()
    match = REGION.fullmatch(folded)
    return known().get(folded) or (known().get(match[1]) if match else None)


def same_language(one: str, other: str) -> bool:
    """Whether two names are of the same language, whatever its region; unknown ones as spelt."""
    languages = find_language(one), find_language(other)
    if None in languages:
        return one.strip().casefold() == other.strip().casefold()
    return languages[0] == languages[1]


# Languages that a guess may confuse, and codes of which one may stand for the other.
CLOSE = [
    set(group.split())
    for group in (
        "no nb nn da sv",
        "hr sr bs sl mk cnr sh",
        "id ms jv su",
        "cs sk",
        "gl pt es ca oc ast an ext",
        "ru uk be bg mk rue",
        "nl af fy li nds",
        "de lb nds gsw als bar",
        "hi mr ne sa bho mai",
        "tr az tk crh gag uz tt",
        "kk ky tt ba",
        "fa tg ps ur prs sdh ckb ku sd",
        "ar arz ary apc acm ajp",
        "tl fil ceb bcl",
        "zh yue wuu lzh",
        "zu xh ss nr",
        "it vec lmo scn co lij",
        "ga gd",
        "fo is",
        "fr wa oc gcf gcr ht pcd",
        "en pcm sco tpi",
        "el grc",
        "he hbo yi",
        "bn as",
        "am ti",
        "lv ltg",
        "rw rn",
        "ro mo",
    )
]


def are_close(one: str, other: str) -> bool:
    """Whether a guess may take one code for the other, `de` for `lb`."""
    return one == other or any({one, other} <= group for group in CLOSE)
