"""Drawings: numbers for the template, x from 0 to WIDE and y from 0 down to a height in pixels."""

WIDE = 1000  # width of every drawing in its own units; it stretches to the page, heights are pixels

FAMILIES = {  # stages of one colour; the labels tell them apart
    "prospect": ("lead", "engaged", "evaluating"),
    "buying": ("new", "one_time", "repeat", "loyal", "reactivated"),
    "leaving": ("at_risk", "lapsed"),
}
FAMILY = {stage: family for family, stages in FAMILIES.items() for stage in stages}


def line(values, height, low, high, xs=None):
    """Points (x, y) of a line through the values; None leaves a point out."""
    xs = xs or spread(len(values))
    span = (high - low) or 1
    return [(x, height * (high - value) / span) for x, value in zip(xs, values, strict=True) if value is not None]


def spread(count):
    """So many x, evenly from edge to edge."""
    return [WIDE * index / max(count - 1, 1) for index in range(count)]


def ceiling(value):
    """The next round number, as the end of an axis."""
    power = 1
    while power * 10 <= value:
        power *= 10
    return next((step * power for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8) if step * power >= value), 10 * power)


def some(items, count=5):
    """About `count` of the items, with their index, evenly spaced and with the last one."""
    step = max(1, -(-(len(items) - 1) // (count - 1)))
    return [(index, items[index]) for index in range(len(items) - 1, -1, -step)][::-1]


def apart(middles, height, room=32):
    """The middles of labels, from above, moved so that none covers another or leaves the drawing by much."""
    moved = []
    for middle in middles:
        moved.append(max(middle, moved[-1] + room) if moved else middle)
    limit = height - 8
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - room
    return moved


def columns(rows, up, down=(), height=220):
    """Stacked columns, one a month: the parts `up`, from the zero line, and `down`, each as {part: colour}.

    The axis ends at round numbers on both sides; what is negative or unknown is drawn as nothing.
    """

    def size(row, part):
        return max(float(row[part] or 0), 0)

    def highest(parts):
        most = max(sum(size(row, part) for part in parts) for row in rows)
        return ceiling(most) if most else 0

    top, bottom = highest(up), highest(down)
    scale = height / ((top + bottom) or 1)
    zero = top * scale
    slot = WIDE / max(len(rows), 6)
    bars = []
    for index, row in enumerate(rows):
        parts, y = [], zero
        for part in reversed(list(up)):
            y -= size(row, part) * scale
            parts.append((part, up[part], y, size(row, part) * scale))
        y = zero
        for part in down:
            parts.append((part, down[part], y, size(row, part) * scale))
            y += size(row, part) * scale
        numbers = [(part, row[part]) for part in (*up, *down)]
        bars.append({"x": slot * (index + 0.14), "wide": slot * 0.72, "parts": parts, "numbers": numbers,
                     "month": row["month"], "is_complete": row.get("is_complete", True)})  # fmt: skip
    last = sorted((part for part in bars[-1]["parts"] if part[3]), key=lambda part: part[2])
    middles = apart([y + tall / 2 for _, _, y, tall in last], height)
    return {
        "height": height,
        "zero": zero,
        "bars": bars,
        "last": rows[-1],
        "labels": list(zip([part for part, *_ in last], middles, strict=True)),
        "y": [(zero, 0), *((y, value) for y, value in ((0, top), (height, bottom)) if abs(y - zero) > 14)],
        "ticks": [
            (bar["x"] + bar["wide"] / 2, f"{bar['month']:%b %Y}" if bar["is_complete"] else f"{bar['month']:%b} so far")
            for _, bar in some(bars)
        ],
    }


def curves(series, ticks, height=220):
    """Lines from 0 up on one axis, of [(name, colour, [(x, value)])] with x from 0 to WIDE."""
    top = ceiling(max((value for _, _, points in series for _, value in points), default=0) or 1)
    lines = [
        {"name": name, "colour": colour, "last": points[-1][1],
         "points": line([value for _, value in points], height, 0, top, [x for x, _ in points])}
        for name, colour, points in series
    ]  # fmt: skip
    for x in {drawn["points"][-1][0] for drawn in lines}:  # labels stand at the ends of their lines, or below where others go on
        ending = sorted((drawn for drawn in lines if drawn["points"][-1][0] == x), key=lambda drawn: drawn["points"][-1][1])
        for drawn, at in zip(ending, apart([drawn["points"][-1][1] for drawn in ending], height), strict=True):
            drawn["x"], drawn["at"] = x, at if x == WIDE else min(at + 26, height - 8)
    return {"height": height, "lines": lines, "y": [(0, top), (height / 2, top / 2), (height, 0)], "ticks": ticks}


def sankey(flows, stages, height=300, slot=22, gap=6):
    """The moves of a month as ribbons: {height, left, right: nodes, ribbons}; whoever stayed is not drawn.

    A node or ribbon is as many pixels high as people × height / all who moved; a node takes at least `slot`, for its label.
    """
    moves = [flow for flow in flows if flow["from_stage"] != flow["to_stage"] and flow["people"]]
    moved = sum(flow["people"] for flow in moves)
    if not moved:
        return None
    scale = height / moved
    order = {stage["stage"]: stage["position"] for stage in stages} | {"first_seen": 0}
    sides = {}
    for side in ("from", "to"):
        names = {flow[f"{side}_stage"]: flow[f"{side}_label"] for flow in moves}
        nodes = []
        for stage in sorted(names, key=lambda name: order.get(name, 99)):
            people = sum(flow["people"] for flow in moves if flow[f"{side}_stage"] == stage)
            nodes.append({"stage": stage, "label": names[stage], "people": people, "height": people * scale})
        sides[side] = nodes
    total = max(sum(max(node["height"] + gap, slot) for node in nodes) for nodes in sides.values())
    for nodes in sides.values():
        room = total - sum(max(node["height"] + gap, slot) for node in nodes)
        top = room / 2 if len(nodes) == 1 else 0
        for node in nodes:
            place = max(node["height"] + gap, slot)
            node["middle"] = top + place / 2
            node["top"] = node["filled"] = node["middle"] - node["height"] / 2
            top += place + room / max(len(nodes) - 1, 1)
    left, right = ({node["stage"]: node for node in sides[side]} for side in ("from", "to"))
    ribbons = []
    for flow in sorted(moves, key=lambda flow: (order.get(flow["from_stage"], 99), order.get(flow["to_stage"], 99))):
        source, target = left[flow["from_stage"]], right[flow["to_stage"]]
        thick = flow["people"] * scale
        ribbons.append(flow | {"y0": source["filled"], "y1": target["filled"], "thick": thick})
        source["filled"] += thick
        target["filled"] += thick
    return {"height": total, "left": sides["from"], "right": sides["to"], "ribbons": ribbons, "moved": moved}


def step_of(value, top, steps=7):
    """Which of the equal steps of a colour ramp from 0 to `top` a value has, from 0."""
    return min(int(steps * value / top), steps - 1) if top else 0
