"""Makes list.txt of the words that attackers try first. See README.md.

    pip install Django==5.2.19 zxcvbn==4.5.0 && python make.py
"""

import gzip
import unicodedata
from pathlib import Path

import django.contrib.auth
from zxcvbn.frequency_lists import FREQUENCY_LISTS

HERE = Path(__file__).parent
django_list = Path(django.contrib.auth.__file__).parent / "common-passwords.txt.gz"

words = set(HERE.joinpath("own.txt").read_text("utf-8").split("\n"))
words |= set(gzip.open(django_list, "rt", encoding="utf-8").read().split("\n"))
words |= set(FREQUENCY_LISTS["passwords"])


def fold(word):
    """As passwords are compared: NFC, lower case."""
    return unicodedata.normalize("NFC", word.strip()).lower()


def counts(word):
    """Shorter ones are refused for being short; what was read in a wrong encoding is nobody's password."""
    return len(word) >= 8 and word.isprintable() and "п" not in word


kept = sorted({word for word in map(fold, words) if counts(word)}, key=lambda word: word.encode())
HERE.joinpath("list.txt").write_text("\n".join(kept) + "\n", "utf-8")
print(len(kept), "words")
