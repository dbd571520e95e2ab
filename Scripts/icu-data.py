#!/usr/bin/env python3
"""Makes an object file with less of ICU's data than the toolchain's own, for a smaller program.

    icu-data.py SWIFT OBJECT

Foundation brings ICU, and a program that links it in statically gets all of its data: 34 MB, most of them the names of languages,
regions, currencies, units and time zones in some hundred languages, old character sets, and dictionaries for breaking lines. The
relay uses none of it. Data that holds for every language stays, and so do the formats of all languages. For data that is left out, ICU
falls back to English or to a neutral form, as it does for a language that it does not know.

Prints the linker options that use the object in place of the toolchain's data. If that data is not as expected, the script ends
with status 1 and says so.
"""

import json
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

# Trees with names in each language: of these only the neutral form and English stay.
NAMES = ("coll", "curr", "lang", "rbnf", "region", "unit", "zone")
NEUTRAL = re.compile(r"(root|pool|res_index|supplementalData|ucadata|tzdbNames|und(_\w+)?|en(_(001|US|US_POSIX|Latn))?)\.(res|icu)")


def is_kept(name):
    """Whether an item stays, decided by its name without the package's: `zone/de.res`, `ibm-437_P100-1995.cnv`."""
    tree, _, item = name.rpartition("/")
    if tree in NAMES:
        return NEUTRAL.fullmatch(item) is not None
    if tree == "brkitr":
        return not item.endswith((".dict", ".res")) or NEUTRAL.fullmatch(item) is not None
    return tree != "translit" and not item.endswith(".cnv")


def items(data):
    """The names and contents of a package of ICU's data, in its order, which is that of the names."""
    size, magic, form = struct.unpack_from("<H2s", data)[0], data[2:4], data[12:16]
    if magic != b"\xda\x27" or form != b"CmnD" or data[8] != 0:
        raise ValueError("not a package of ICU's data, little-endian")
    (count,) = struct.unpack_from("<I", data, size)
    table = [struct.unpack_from("<II", data, size + 4 + 8 * n) for n in range(count)]
    ends = [start for _, start in table[1:]] + [len(data) - size]
    for (name, start), end in zip(table, ends):
        at = size + name
        yield data[at:data.index(b"\0", at)].decode(), data[size + start:size + end]


def package(header, kept):
    """A package of these items, behind the header of the one that they come from."""
    table, names, contents = [], b"", b""
    names_at = 4 + 8 * len(kept)
    contents_at = -(-(names_at + sum(len(name) + 1 for name, _ in kept)) // 16) * 16
    for name, content in kept:
        table.append(struct.pack("<II", names_at + len(names), contents_at + len(contents)))
        names += name.encode() + b"\0"
        contents += content + bytes(-len(content) % 16)
    head = struct.pack("<I", len(kept)) + b"".join(table) + names
    return header + head + bytes(contents_at - len(head)) + contents


def main(swift, target):
    told = subprocess.run([swift, "-print-target-info"], check=True, capture_output=True, text=True).stdout
    resources = Path(json.loads(told)["paths"]["runtimeResourcePath"])
    library = resources.with_name(resources.name + "_static") / "linux/lib_FoundationICU.a"
    tools = resources.parents[1] / "bin"
    with tempfile.TemporaryDirectory() as directory:
        member, raw = "icu_packaged_data.cpp.o", Path(directory) / "data"
        subprocess.run([tools / "llvm-ar", "x", library, member], cwd=directory, check=True)
        symbols = subprocess.run(
            [tools / "llvm-nm", "--defined-only", "--format=posix", member], cwd=directory, check=True, capture_output=True,
            text=True).stdout.splitlines()
        if len(symbols) != 1 or not re.match(r"icudt\d+_dat R 0 ", symbols[0]):
            raise ValueError(f"unexpected symbols: {symbols}")
        symbol = symbols[0].split()[0]
        # What refers to the one gets the other, wherever the linker comes upon them.
        ours = "__wrap_" + symbol
        subprocess.run(
            [tools / "llvm-objcopy", "-O", "binary", "--only-section=.rodata", member, raw], cwd=directory, check=True)
        data = raw.read_bytes()
        header = data[:struct.unpack_from("<H", data)[0]]
        all_items = list(items(data))
        kept = [(name, content) for name, content in all_items if is_kept(name.partition("/")[2])]
        raw.write_bytes(package(header, kept))
        source = Path(directory) / "data.s"
        source.write_text(
            f'.section .rodata,"a"\n.global {ours}\n.type {ours}, %object\n.balign 16\n{ours}:\n.incbin "data"\n'
            f'.size {ours}, . - {ours}\n.section .note.GNU-stack,"",%progbits\n')
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([tools / "clang", "-c", "-o", target.resolve(), source], cwd=directory, check=True)
        print(
            f"ICU's data: {len(kept)} of {len(all_items)} items, {raw.stat().st_size / 1e6:.1f} of {len(data) / 1e6:.1f} MB",
            file=sys.stderr)
    print(f"-Xlinker --wrap={symbol} -Xlinker {target.resolve()}")


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except (ValueError, subprocess.CalledProcessError, OSError) as error:
        sys.exit(f"the toolchain's ICU is not as expected: {error}")
