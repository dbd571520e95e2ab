"""The tests that SECURITY.md names exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_threat_model_names_tests_that_exist():
    rows = [line for line in (ROOT / "SECURITY.md").read_text().splitlines() if line.startswith("| ")]
    properties = "\n".join(path.read_text() for path in (ROOT / "Tests/Fuzz/Properties").rglob("*.swift"))
    named = 0
    for row in rows:
        shown = row.rstrip(" |").rpartition("|")[2]
        if shown.strip() == "shown by":
            continue
        # The row names a file, with functions of it in parentheses, or a property of the fuzzer by its name alone.
        for path, functions in re.findall(r"`([\w./-]+\.\w+)`(?: \(([^)]*)\))?", shown):
            where = ROOT / path if path.startswith("systemd/") else ROOT / "Tests" / path
            assert where.is_file(), f"{path}: {row}"
            for function in re.findall(r"`(\w+)`", functions):
                assert re.search(rf"\b(def|func) {function}\b", where.read_text()), f"{path}: no {function}: {row}"
            named += 1
        for words in re.findall(r"propert(?:y|ies) ((?:`[a-z]+`(?:, | and )?)+)", shown):
            for name in re.findall(r"`([a-z]+)`", words):
                assert f'Property("{name}")' in properties, f"no property {name}: {row}"
                named += 1
        assert "`" in shown, f"no test is named: {row}"
    assert named > 40
