"""Checks the Markdown files: wrapping, headings, code blocks, spaces, links. Reads their names from stdin."""

import pathlib
import re
import sys
import unicodedata

WIDTH = 100
LINK = re.compile(r"\]\(([^)\s]+)\)")


def strip_code(lines):
    """The lines with their numbers, without fenced and indented code blocks."""
    fence, is_blank, is_code, in_list = None, True, False, False
    for number, line in enumerate(lines, 1):
        opening = re.match(r" *(```+|~~~+)", line)
        if fence:
            if opening and opening[1].startswith(fence):
                fence = None
            continue
        if opening:
            fence = opening[1]
            continue
        if line.strip():
            # An indented line after a blank one is code, except within a list.
            is_indented = line.startswith("    ")
            is_code = is_indented and (is_code or (is_blank and not in_list))
            if not is_indented:
                in_list = bool(re.match(r" *([-*+]|\d+\.) ", line)) or (in_list and line.startswith(" "))
        is_blank = not line.strip()
        if not is_code:
            yield number, line


def anchor(heading):
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    kept = (c for c in text if c in " -_" or unicodedata.category(c)[0] in "LNM")
    return "".join(kept).replace(" ", "-")


def headings(path):
    lines = strip_code(path.read_text().splitlines())
    return [(number, line) for number, line in lines if re.match(r"#{1,6} ", line)]


def anchors(path):
    return {anchor(line.lstrip("#")) for _, line in headings(path)}


def check_lines(lines):
    fence = None
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            yield number, "trailing spaces"
        if "\t" in line:
            yield number, "a tab"
        mark = re.match(r" *(```+)(.*)", line)
        if mark and fence:
            fence = None
        elif mark:
            fence = mark[1]
            if not mark[2].strip():
                yield number, "a fenced block without a language"
    for number, line in strip_code(lines):
        can_be_wrapped = " " in line.strip() and not line.startswith(("|", "#"))
        if len(line) > WIDTH and can_be_wrapped:
            yield number, f"{len(line)} characters: wrap prose at {WIDTH}"


def check_headings(path, lines):
    first = [number for number, line in headings(path) if line.startswith("# ")]
    if first != [1]:
        yield (first or [1])[-1], "a file has exactly one first-level heading, in its first line"


def check_links(path, lines):
    for number, line in strip_code(lines):
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, part = target.partition("#")
            file = (path.parent / name).resolve() if name else path
            if not file.exists():
                yield number, f"the link {target} leads nowhere"
            elif part and file.suffix == ".md" and part not in anchors(file):
                yield number, f"{file.name} has no heading for #{part}"


def main():
    paths = [pathlib.Path(name) for name in sys.stdin.read().split()]
    count = 0
    for path in paths:
        lines = path.read_text().splitlines()
        for check in (check_lines(lines), check_headings(path, lines), check_links(path, lines)):
            for number, problem in check:
                print(f"{path}:{number}: {problem}", file=sys.stderr)
                count += 1
    print(f"markdown: {len(paths)} files, {count} problems", file=sys.stderr)
    return bool(count)


sys.exit(main())
