"""Any text as LaTeX that compiles."""

from __future__ import annotations

import re
import unicodedata

# What TeX reads as a command, or shows as another character in its default encoding.
_ASCII = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': "''",
    "`": r"\`{}",
}
_SYMBOLS = {
    "µ": r"$\mu$",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "÷": r"$\div$",
    "·": r"$\cdot$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≠": r"$\ne$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "→": r"$\to$",
    "←": r"$\leftarrow$",
    "°": r"$^\circ$",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "§": r"\S{}",
    "©": r"\copyright{}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
    "\u00a0": "~",
    "\u2009": r"\,",
    "\u202f": r"\,",
    "\u2010": "-",
    "\u2011": "-",
}
_GREEK = re.compile("GREEK (?P<case>SMALL|CAPITAL) LETTER (?P<letter>FINAL SIGMA|[A-Z]+)")
_RAISED = re.compile("<(?P<side>super|sub)> (?P<code>003[0-9]|00[67][0-9A-F])")
_LATIN = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧ", "ABEZHIKMNOPTX", strict=True))
# Combining marks that every LaTeX font encoding can build.
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
}
# Two of these in a row would melt into one dash or quotation mark.
_LIGATURES = re.compile(r"(?<=([-,']))(?=\1)")

OTHER_CHARACTERS = (
    "% Characters outside pdfLaTeX's reach: XeLaTeX and LuaLaTeX show them, given a font.\n"
    r"\providecommand{\optikchar}[2]{\ifdefined\Umathchar#1\else[U+#2]\fi}"
)


def escape(text: str) -> str:
    r"""Spell any text so that LaTeX shows it as it is.

    Parameters
    ----------
    text : str
        Plain text. Line breaks become blanks, other control characters vanish.

    Returns
    -------
    str
        ASCII LaTeX for text mode. Accented Latin letters, Greek and common symbols are
        spelled as commands. Any other character becomes ``\optikchar{c}{hex}``, which needs
        the definition `OTHER_CHARACTERS` before it and compiles everywhere.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split("\n"))
    text = _LIGATURES.sub("\u200b", text)
    return "".join(_spell(character) for character in text)


def _spell(character: str) -> str:
    if character == "\u200b":
        return "{}"
    if character in _ASCII:
        return _ASCII[character]
    if " " <= character <= "~":
        return character
    if character in _SYMBOLS:
        return _SYMBOLS[character]
    category = unicodedata.category(character)
    if category.startswith("Z") or character == "\t":
        return " "
    if category.startswith("C"):
        return ""
    greek = _GREEK.fullmatch(unicodedata.name(character, ""))
    if greek and "Α" <= character <= "ω":
        return _greek(greek["case"], greek["letter"], character)
    raised = _RAISED.fullmatch(unicodedata.decomposition(character))
    if raised:
        mark = "^" if raised["side"] == "super" else "_"
        return f"${mark}{chr(int(raised['code'], 16))}$"
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[1] in _ACCENTS:
        base = rf"\{parts[0]}" if parts[0] in "ij" else parts[0]
        return rf"\{_ACCENTS[parts[1]]}{{{base}}}"
    return rf"\optikchar{{{character}}}{{{ord(character):04X}}}"


def _greek(case: str, letter: str, character: str) -> str:
    # Unicode writes LAMDA; capitals that look like Latin ones have no command of their own.
    name = {"lamda": "lambda", "final sigma": "varsigma"}.get(letter.lower(), letter.lower())
    if case == "SMALL":
        return "o" if name == "omicron" else rf"$\{name}$"
    return rf"$\{name.title()}$" if character in "ΓΔΘΛΞΠΣΥΦΨΩ" else f"{{{_LATIN[character]}}}"
