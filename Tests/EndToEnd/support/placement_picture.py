"""Draws which peer holds which shard as a plain SVG: one column a peer, one row a segment."""

import html

CELL = 14
LEFT = 150
HEAD = 74
GAP = 70
STYLE = """
text { font: 11px system-ui, sans-serif; fill: #1f2733; }
.title { font-size: 15px; font-weight: 600; }
.data { fill: #2f6fb3; } .parity { fill: #e0913a; } .none { fill: #eef1f5; }
.lost { fill: #c9ced6; } .dead { fill: #b3261e; }
.cell { fill: #ffffff; font-size: 8px; text-anchor: middle; }
@media (prefers-color-scheme: dark) {
  svg { background: #14181f; } text { fill: #d7dde6; } .none { fill: #232a35; }
}
"""


def _panel(title, rows, peers, dead, top):
    """One picture: `rows` is a list of (label, k, {peer: shard index})."""
    parts = [f'<text class="title" x="{LEFT}" y="{top}">{html.escape(title)}</text>']
    y = top + HEAD
    for column, peer in enumerate(peers):
        x = LEFT + column * CELL
        style = ' class="dead"' if peer in dead else ""
        parts.append(
            f'<text{style} transform="translate({x + 10} {y - 6}) rotate(-60)">{column}'
            f'{" killed" if peer in dead else ""}</text>'
        )
    for label, k, holders in rows:
        parts.append(
            f'<text x="{LEFT - 6}" y="{y + 11}" text-anchor="end">{html.escape(label)}</text>')
        for column, peer in enumerate(peers):
            x = LEFT + column * CELL
            index = holders.get(peer)
            if index is None:
                kind, tip = "none", ""
            else:
                kind = "lost" if peer in dead else ("data" if index < k else "parity")
                tip = f"<title>shard {index} on peer {column}</title>"
            parts.append(
                f'<rect class="{kind}" x="{x}" y="{y}" width="{CELL - 2}" height="{CELL - 2}" '
                f'rx="2">{tip}</rect>'
            )
            if index is not None:
                parts.append(f'<text class="cell" x="{x + 6}" y="{y + 9}">{index}</text>')
        y += CELL
    return parts, y


def draw(path, panels, peers):
    """Writes `panels`, a list of (title, rows, set of dead peers), below each other to `path`."""
    parts, top = [], 30
    for title, rows, dead in panels:
        panel, bottom = _panel(title, rows, peers, dead, top)
        parts += panel
        top = bottom + GAP
    width = LEFT + len(peers) * CELL + 40
    legend = (
        f'<g transform="translate({LEFT} {top - 40})">'
        '<rect class="data" width="12" height="12"/><text x="18" y="10">data shard</text>'
        '<rect class="parity" x="100" width="12" height="12"/><text x="118" y="10">parity</text>'
        '<rect class="lost" x="180" width="12" height="12"/>'
        '<text x="198" y="10">on a dead peer</text>'
        "</g>"
    )
    with open(path, "w") as file:
        file.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" role="img" '
            f'aria-label="which peer holds which shard"><style>{STYLE}</style>'
            + "".join(parts) + legend + "</svg>\n"
        )
