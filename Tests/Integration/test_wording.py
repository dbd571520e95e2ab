"""The wording of sentences is no contract: a new wording must not require a change of tests. So no test repeats a sentence of the
sources."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A run of so many words counts as a sentence. Names of log events are shorter, because tests find lines of the log by them.
WORDS = 9
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\'')
WORD = re.compile(r"(?![A-Z]{2})[A-Za-z(][A-Za-z'-]*[,.;:)]?")
INTERPOLATION = re.compile(r"\\\([^()]*(?:\([^()]*\)[^()]*)*\)")
# Texts of other programs, which both the sources and the tests quote.
QUOTED = ["Email address is not verified", "Successfully validated SNS topic"]


def runs(text):
    """Each run of WORDS words in a text. A word has letters only, so that SQL, commands and headers are no sentences."""
    words = text.split()
    for start in range(len(words) - WORDS + 1):
        run = words[start:start + WORDS]
        if all(WORD.fullmatch(word) for word in run):
            yield " ".join(run)


def sentences():
    found = set()
    for path in (ROOT / "Sources").rglob("*.swift"):
        for match in LITERAL.finditer(path.read_text()):
            for piece in INTERPOLATION.split(match[1] or ""):
                found.update(runs(piece))
    return found


def test_no_test_repeats_a_sentence_of_the_sources():
    known = sentences()
    assert len(known) > 1000
    repeated = []
    for path in (ROOT / "Tests").rglob("*"):
        if path.suffix not in (".swift", ".py", ".txt", ".expected") or path == Path(__file__) or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            texts = [line] if path.suffix in (".txt", ".expected") else [a or b for a, b in LITERAL.findall(line)]
            repeated += [f"{path.relative_to(ROOT)}:{number}: {run}" for text in texts for run in runs(text)
                         if run in known and not any(quote in text for quote in QUOTED)]
    assert repeated == [], "check the facts that the sentence names, not its wording (CONTRIBUTING.md, rules for tests)"
