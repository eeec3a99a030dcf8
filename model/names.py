"""How names are compared: as Windows and IIS compare them, which is not how Python folds case. Nothing about which names there are."""

from __future__ import annotations


def fold(text: str) -> str:
    """
    A name in the form in which two names that IIS holds for one are equal: OrdinalIgnoreCase, each character's upper case of one character.

    `str.casefold` is wider: it makes `straße` and `strasse` one, which are two sites. Names of the directory are compared by the
    directory's own rules (linguistic, and it is the directory that decides), so plans/ldap.py does not use this.
    """
    return "".join(map(_upper, text))


def _upper(character: str) -> str:
    upper = character.upper()
    # Dotless i and long s have an upper case among ASCII letters; OrdinalIgnoreCase leaves them alone.
    return upper if len(upper) == 1 and upper.isascii() == character.isascii() else character
