"""The files and tests that ARCHITECTURE.md and CONTRIBUTING.md name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["ARCHITECTURE.md", "CONTRIBUTING.md"]
FOLDERS = [ROOT, ROOT / "Sources", ROOT / "Tests"]
ENDINGS = "swift|py|txt|md|yaml|json|dict|install|conf"


def spans(page):
    """The texts in backquotes, even if they contain a line break. Fenced blocks are left out."""
    text = re.sub(r"(?ms)^```.*?^```$", "", (ROOT / page).read_text())
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def names():
    """The names of all files of the sources and tests."""
    return {path.name for folder in FOLDERS[1:] for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("page", PAGES)
def test_files_named_in_the_documents_exist(page):
    known = names()
    found = 0
    for span in spans(page):
        # A name with an ellipsis stands for several files. NewFace is only an example.
        if "…" in span or "NewFace" in span or not re.fullmatch(rf"[\w+./-]+(\.({ENDINGS})|/)", span):
            continue
        if "/" in span:
            exists = any((folder / span).exists() for folder in FOLDERS)
        else:
            exists = span in known or (ROOT / span).exists()
        assert exists or span.startswith((".build", "feedback")), f"{page}: no file {span}"
        found += 1
    assert found > 40


def test_tests_named_in_contributing_exist():
    """Each test that CONTRIBUTING.md names exists."""
    functions = "\n".join(
        path.read_text() for pattern in ("*.swift", "*.py") for path in (ROOT / "Tests").rglob(pattern))
    found = 0
    for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines():
        for name in re.findall(r"`(test_\w+)`", line):
            assert re.search(rf"\bdef {name}\b", functions), f"no test {name}: {line}"
            found += 1
        for inside in re.findall(r"`\w+Tests` \(([^)]*)\)", line):
            for name in re.findall(r"`(\w+)`", inside):
                assert re.search(rf"\bfunc {name}\b", functions), f"no test {name}: {line}"
                found += 1
            for title in re.findall(r'"([^"]+)"', inside):
                assert f'@Test("{title}")' in functions, f"no test {title}: {line}"
                found += 1
        for name in re.findall(r"`(\w+Tests)`", line):
            exists = (ROOT / "Tests" / name).is_dir() or re.search(rf"\bstruct {name}\b", functions)
            assert exists, f"no tests {name}: {line}"
            found += 1
    assert found > 30
