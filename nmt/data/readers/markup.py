"""What stands in a translation for the markup of its document: a space, or nothing.

`First<ph>&lt;br/></ph>second` is two words, `un<bpt>&lt;b></bpt>seen<ept>&lt;/b></ept>` is one.
"""

from __future__ import annotations

import html
import re

# Inside these a segment holds the markup of the document it came from, which is no text.
MARKUP = {"bpt", "ept", "it", "ph", "ut", "sub", "x", "bx", "ex"}
STANDALONE = {"ph", "x"}  # for a line break, a picture, a variable and the like
ELEMENTS_OF_BREAKS = {"br", "lb", "p"}

BREAK = re.compile(
    r"<\s*/?\s*(?:[a-z]+:)?(?:br|lb|cr|tab|p|div|li|ul|ol|dl|dt|dd|tr|td|th|table|h[1-6]|hr|para"
    r"|line-?break)\b"
    r"|<\s*text:s\b|\\[nrt](?![a-z])|\\(?:line|par|tab|sect|page)\b|[\n\r\t\u2028\u2029\u21b5\u00b6]"
    r"|&#(?:10|13|9|xa|xd|x9);|&nbsp;|\u00a0"
    r"|[\[{<]\s*/?(?:br|lb|nl|newline|linebreak|tab)\s*/?[\]}>]",
    re.IGNORECASE,
)
BREAK_TYPE = re.compile(
    r"(?:x-)?(?:html-)?(?:br|lb|pb|cr|lf|nl|tab|par|para|paragraph|new-?line|line-?(?:break|feed))",
    re.IGNORECASE,
)
# Formatting within a word, and characters that only say where a word may be divided.
WITHIN_WORDS = re.compile(
    r"\s*(?:<\s*/?\s*(?:b|i|u|s|em|strong|span|a|font|sub|sup|small|big|code|tt|cf|mark|strike|abbr"
    r"|wbr|bdo|g|ins|del|kbd|q|cite|var|samp|label|csf|rpr)\b[^>]*>\s*)+"
    r"|(?:&shy;|&zwn?j;|[\u00ad\u200b-\u200d])+",
    re.IGNORECASE,
)
# XML cannot hold it: a space if it stands between two letters of a script with spaces.
MAYBE = "\0"
LETTER = r"[^\W_\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
BETWEEN_LETTERS = re.compile(rf"(?<={LETTER}){MAYBE}+(?={LETTER})")


def gap(element: str, attributes: dict[str, str], content: str) -> str:
    """What stands for an element with such a content: a space, nothing or `MAYBE` a space."""
    content = html.unescape(content)
    if BREAK.search(content) or any(map(BREAK_TYPE.fullmatch, attributes.values())):
        return " "
    if any(BREAK.fullmatch(value.strip() or value) for value in attributes.values()):
        return " "
    if element not in STANDALONE or WITHIN_WORDS.fullmatch(content):
        return ""
    return MAYBE


def filled(text: str) -> str:
    """The text with a space, or nothing, for each `MAYBE`."""
    return BETWEEN_LETTERS.sub(" ", text).replace(MAYBE, "") if MAYBE in text else text
