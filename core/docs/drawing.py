"""The drawing of a training's stages, made from the table in `onstage.hookspecs`."""

from __future__ import annotations

from html import escape

import onstage.hookspecs

ROW, INDENT, WIDTH = 30, 34, 640
COLORS = ("#5b5bd6", "#0d74ce", "#2b9a66", "#ab6400")


def stage_rows() -> list[tuple[int, str, str]]:
    """Return depth, stage and logs of each line of the table, in the order of a training."""
    text = onstage.hookspecs.__doc__ or ""
    table = text.split("numbers and logs shown::", 1)[1].split("``evaluate`` fires", 1)[0]
    rows = []
    for line in table.strip("\n").splitlines():
        if line.strip():
            stage, _, rest = line.strip().partition(" ")
            rows.append(((len(line) - len(line.lstrip()) - 4) // 2, stage, " ".join(rest.split())))
    return rows


def draw_stages() -> str:
    """Return the drawing as SVG: a line for each stage, indented as they enclose each other."""
    rows = stage_rows()
    height = ROW * len(rows) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'role="img" aria-label="The stages of a training, in order">',
        "<style>text{font:13px ui-monospace,monospace;fill:#1c2024}.logs{fill:#60646c;font-size:12px}"
        ".box{stroke-width:1.5}</style>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fcfcfd" stroke="#e0e1e6"/>',
    ]
    for n, (depth, stage, logs) in enumerate(rows):
        x, y = 12 + INDENT * depth, 10 + ROW * n
        color = COLORS[min(depth, len(COLORS) - 1)]
        parts.append(
            f'<rect class="box" x="{x}" y="{y}" width="{10 + 8 * len(stage)}" height="23" rx="5" '
            f'fill="{color}18" stroke="{color}"/><text x="{x + 6}" y="{y + 16}">{escape(stage)}</text>'
            f'<text class="logs" x="{x + 22 + 8 * len(stage)}" y="{y + 16}">{escape(logs)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])
