"""English prose that ships with Python (the topics of ``help()``), and a byte-pair vocabulary trained on it.

Byte pair encoding (Sennrich et al., arXiv:1508.07909): start from characters, join the most frequent pair
of neighbours, repeat. Pairs never cross a word, so only the counts of words matter, and a merge touches
only the words that contain the pair.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import pairwise
from pydoc_data import topics

WORDS = re.compile(r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+")


def text() -> str:
    """About 700 000 characters: the language reference as ``help("topics")`` prints it."""
    return "\n\n".join(topics.topics[name] for name in sorted(topics.topics))


class Vocabulary:
    """Tokens by number; ``encode`` turns text into numbers."""

    def __init__(self, sample: str, size: int) -> None:
        counts = Counter(WORDS.findall(sample))
        self.tokens = sorted({character for word in counts for character in word})
        self._merges: dict[str, list[str]] = {word: list(word) for word in counts}
        pairs: Counter[tuple[str, str]] = Counter()
        places: dict[tuple[str, str], set[str]] = defaultdict(set)
        for word in counts:
            self._count(word, counts[word], pairs, places)
        while len(self.tokens) < size and pairs:
            pair = max(pairs, key=lambda known: (pairs[known], known))
            self.tokens.append("".join(pair))
            for word in list(places[pair]):
                self._count(word, -counts[word], pairs, places)
                self._merges[word] = _joined(self._merges[word], pair)
                self._count(word, counts[word], pairs, places)
            pairs.pop(pair, None)
        self._numbers = {token: number for number, token in enumerate(self.tokens)}

    def _count(
        self, word: str, times: int, pairs: Counter[tuple[str, str]], places: dict[tuple[str, str], set[str]]
    ) -> None:
        parts = self._merges[word]
        for pair in pairwise(parts):
            pairs[pair] += times
            places[pair].add(word)
            if pairs[pair] <= 0:
                del pairs[pair]

    def encode(self, prose: str) -> list[int]:
        """Numbers of the tokens of ``prose``, whose words must be known."""
        return [self._numbers[token] for word in WORDS.findall(prose) for token in self._merges[word]]

    def __len__(self) -> int:
        return len(self.tokens)


def _joined(parts: list[str], pair: tuple[str, str]) -> list[str]:
    done: list[str] = []
    for part in parts:
        if done and (done[-1], part) == pair:
            done[-1] += part
        else:
            done.append(part)
    return done
