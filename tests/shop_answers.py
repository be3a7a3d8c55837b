"""What people ask of a shop, answered in plain Python from its raw files (shop_oracle.Shop)."""

from collections import Counter, defaultdict
from datetime import datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import pairwise
from statistics import median

import duckdb

import oracle
import shop_oracle
from oracle import ten_thousandths

AMOUNTS = ("gross_amount", "discount_amount", "refunded_amount", "net_amount")
OUTCOMES = ("sent", "delivered", "opened", "clicked", "bounced", "unsubscribed", "complained")


def share(part, whole):
    return part / whole if whole else None


# --- the demo's files ----------------------------------------------------------------------------------------------


def read(raw):
    """The tables of a folder of Parquet files as text, each row once."""
    tables = {}
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for path in raw.glob("*/*.parquet"):
            rows = connection.execute(f"select distinct cast(columns(*) as varchar) from '{path}'")
            names = [column[0] for column in rows.description]
            tables[f"{path.parent.name}/{path.stem}"] = [
                dict(zip(names, (value or "" for value in row), strict=True)) for row in rows.fetchall()
            ]
    return tables


def is_readable(order):
    try:
        datetime.fromisoformat(order["ordered_at"])
        Decimal(order["gross_amount"])
    except (ValueError, InvalidOperation):
        return False
    return bool(order["order_id"]) and order["currency"] != "XXX"


def demo_shop(raw, project, as_of, zone, **thresholds):
    """The demo's shop, without the rows that cannot be read; an address on more than 10 records is nobody's."""
    tables = read(raw)
    for table, key in {"shop/customers": "customer_id", "app/events": "user_id"}.items():
        tables[table] = [row for row in tables[table] if row[key]]
    tables["shop/orders"] = [row for row in tables["shop/orders"] if is_readable(row)]
    named = [row for table in ("shop/customers", "app/users", "esp/contacts") for row in tables[table]]
    named += [row for row in tables["shop/orders"] if not row["customer_id"]]
    crowded = {email for email, records in Counter(row["email"].strip().lower() for row in named).items() if records > 10}
    for row in (*named, *tables["shop/orders"]):
        if row["email"].strip().lower() in crowded:
            row["email"] = ""
    return shop_oracle.Shop(tables, project, as_of, zone, **thresholds)


# --- products ------------------------------------------------------------------------------------------------------


def allocated(amount, values):
    """An amount by these values, or equally if they are all 0, so that running sums are right to a ten-thousandth."""
    if not sum(values):
        values = [1] * len(values)
    so_far = [Fraction(sum(values[: n + 1])) for n in range(len(values))]
    sums = [ten_thousandths(Fraction(amount) * part / so_far[-1]) for part in so_far]
    return [after - before for before, after in zip([Decimal(0), *sums], sums, strict=False)]


def order_lines(shop):
    """(order id, product id) -> its part of the order: units, amounts, the order"""
    bought = defaultdict(dict)
    for row in shop.raw["shop/order_items"]:
        if row["product_id"]:
            units, price = int(row["quantity"] or 0), Decimal(row["unit_price"] or 0)
            line = bought[row["order_id"]].setdefault(row["product_id"], [0, Decimal(0)])
            line[0] += max(units, 0)
            line[1] += max(units * price, Decimal(0))
    lines = {}
    for order in shop.orders:
        own = sorted(bought[order["order_id"]].items())
        # a bill of that is gross, then what was sold, then what was kept: discount and refund lie between them
        steps = [order["gross_amount"], order["gross_amount"] - order["discount_amount"], order["net_amount"]]
        parts = [allocated(step, [value for _, (_, value) in own]) for step in steps]
        for (product, (units, _)), gross, sold, net in zip(own, *parts, strict=True):
            lines[order["order_id"], product] = {
                "units": units, "order": order, "gross_amount": gross, "discount_amount": gross - sold,
                "refunded_amount": sold - net, "net_amount": net,
            }  # fmt: skip
    return lines


def products(shop, days=90):
    """product id -> its row of products but for what comes next"""
    lines, seconds = order_lines(shop), {}
    for person, basket in shop.baskets.items():
        seconds[person] = (basket[1]["order_date"] - basket[0]["order_date"]).days if len(basket) > 1 else None
    rows = {}
    for product in {row["product_id"] for row in shop.raw["shop/products"]} | {product for _, product in lines}:
        own = [line for (_, of), line in lines.items() if of == product]
        buyers = Counter(line["order"]["person_id"] for line in own if line["order"]["person_id"])
        first = {line["order"]["person_id"] for line in own if line["order"]["order_number"] == 1}
        waits = [seconds[person] for person in first if seconds[person] is not None]
        old = [person for person in first if shop.baskets[person][0]["order_date"] + timedelta(days) <= shop.as_of]
        again = sum(seconds[person] is not None and seconds[person] <= days for person in old)
        repeat = sum(orders > 1 for orders in buyers.values())
        rows[product] = (
            len(buyers), len(own), sum(line["units"] for line in own),
            *(sum((line[amount] for line in own), Decimal(0)) for amount in ("gross_amount", "net_amount")),
            len(first), share(len(first), len(buyers)), len(waits), share(len(waits), len(first)),
            float(median(waits)) if waits else None, len(old), share(again, len(old)), repeat, share(repeat, len(buyers)),
        )  # fmt: skip
    return rows


def next_products(shop, least, most):
    """product id -> (product most often in the next order, how often, of how many)"""
    baskets = defaultdict(set)
    for order, product in order_lines(shop):
        baskets[order].add(product)
    pairs, before, after, steps = Counter(), Counter(), Counter(), 0
    for basket in shop.baskets.values():
        for one, other in pairwise(basket):
            these, those = baskets[one["order_id"]], baskets[other["order_id"]]
            if these and those and max(len(these), len(those)) <= most:
                steps += 1
                before.update(these)
                after.update(those)
                pairs.update((product, following) for product in these for following in those if product != following)
    rows = {}
    for (product, following), count in sorted(pairs.items(), key=lambda pair: (-pair[1], after[pair[0][1]], pair[0])):
        if count >= least and Fraction(count, before[product]) > Fraction(after[following], steps):
            rows.setdefault(product, (following, count, count / before[product]))
    return rows


# --- campaigns -----------------------------------------------------------------------------------------------------


def messages(shop):
    """What was sent by the end of as_of, and what had become of it then."""
    sent = []
    for row in shop.raw["esp/messages"]:
        at = {name: shop.wall(row.get(f"{name}_at")) for name in OUTCOMES}
        at = {name: moment for name, moment in at.items() if moment and (moment < shop.end or name == "delivered")}
        if "sent" in at:
            reacted = at.keys() & {"opened", "clicked", "unsubscribed", "complained"}
            if "bounced" in at and not reacted:
                at.pop("delivered", None)
            else:
                at.setdefault("delivered", at["sent"])
            people = shop.owners["email", shop_oracle.email_of(row["email"])]
            sent.append({"id": row["message_id"], "campaign": row["campaign_id"], "people": people, "at": at})
    return sent


def attributed(shop, touch, days=30):
    """message id -> the orders within so many days of it whose last such touch it was"""
    touches, found = defaultdict(list), defaultdict(list)
    for message in messages(shop):
        for person in message["people"] if touch in message["at"] else ():
            touches[person].append((message["at"][touch], f"esp:{message['id']}", message["id"]))
    for order in shop.orders:
        before = [one for one in touches[order["person_id"]] if one[0] <= order["ordered_at"]] if order["person_id"] else []
        if before:
            at, _, message = max(before)
            if order["order_date"] <= at.date() + timedelta(days):
                found[message].append(order)
    return found


def campaign_engagement(shop, period):
    """(campaign id, period of sending) -> counts, and orders and revenue by the last click and by the last delivery"""
    cells = defaultdict(lambda: [0] * 7 + [0, Decimal(0)] * 2)
    by_touch = [attributed(shop, touch) for touch in ("clicked", "delivered")]
    for message in messages(shop):
        cell = cells[message["campaign"], period(message["at"]["sent"].date())]
        for position, name in enumerate(OUTCOMES):
            cell[position] += name in message["at"]
        for position, orders in zip((7, 9), by_touch, strict=True):
            cell[position] += len(orders[message["id"]])
            cell[position + 1] += sum((order["net_amount"] for order in orders[message["id"]]), Decimal(0))
    return {key: tuple(cell) for key, cell in cells.items()}


# --- list growth ---------------------------------------------------------------------------------------------------

FLOWS = ("opt_ins", "opt_outs", "unsubscribed", "complaints", "hard_bounces", "erased")


def consents(shop):
    """((channel, address), (time in UTC, strength, source, flow, time)) of what people said, up to as_of; a no always"""
    for row in shop.raw["esp/consents"]:
        is_yes, at = (row["status"] or "").lower() == "opted_in", shop.wall(row["changed_at"])
        channel, about = (row["channel"] or "").lower(), dict(shop.about(row))
        flow, strength = ("opt_ins", 0) if is_yes else ("opt_outs", 9)
        if is_yes and (channel not in shop_oracle.CHANNELS or (at and at >= shop.end)):
            continue
        for meant in [channel] if channel in shop_oracle.CHANNELS else shop_oracle.CHANNELS:
            address = about.get(shop_oracle.CHANNELS[meant])
            if address:
                said = shop.utc(row["changed_at"]) or datetime.min, strength, row.get("source") or "", flow, at
                yield (meant, address), said
    for row in shop.raw["esp/messages"]:
        if row["unsubscribed_at"]:
            said = shop.utc(row["unsubscribed_at"]), 9, "", "opt_outs", shop.wall(row["unsubscribed_at"])
            yield ("email", shop_oracle.email_of(row["email"])), said


def blocks(shop):
    """The same of suppressions, the first of each reason, and of every address of who was erased."""
    reports = defaultdict(list)
    for (address, channel), found in shop.reports.items():
        reports[channel, address] += found
    for person, at in shop.erased.items():
        for address in shop.addresses[person]:
            for channel in shop_oracle.CHANNELS:
                reports[channel, address].append((0, at))
    for (channel, (kind, address)), found in reports.items():
        for severity, flow in enumerate(("erased", "complaints", "hard_bounces", "unsubscribed")):
            times = [at for of, at in found if of == severity]
            if times and kind == shop_oracle.CHANNELS[channel]:
                at = None if min(times) == shop_oracle.ALWAYS else min(times)
                in_utc = shop.utc(at.isoformat()) if at else datetime.min
                yield (channel, address), (in_utc, severity + 1, "", flow, at)


def list_changes(shop):
    """(channel, source of the yes, flow, day or None) of every time that an address came or went"""
    said = defaultdict(list)
    for address, one in (*consents(shop), *blocks(shop)):
        said[address].append(one)
    for (channel, _), statements in said.items():
        if any(flow != "opt_ins" and at is None for *_, flow, at in statements):
            continue  # a no without a time was always
        source, is_over = None, False
        for _, _, origin, flow, at in sorted(statements):
            day = at and min(at.date(), shop.as_of)
            is_over |= flow not in ("opt_ins", "opt_outs")
            if flow == "opt_ins" and source is None and not is_over:
                source = origin or "unknown"
                yield channel, source, flow, day
            elif flow != "opt_ins" and source is not None:
                yield channel, source, flow, day
                source = None


def consent_changes(shop):
    """(month, channel, source) -> flows, net growth, and what is contactable at its end, from the source's first month on"""
    changes = [*list_changes(shop)]
    begin = min(day for *_, day in changes if day)
    changes = [(*of, day or begin) for *of, day in changes]
    rows = {}
    for channel, source in {change[:2] for change in changes}:
        own = [(day, flow) for *of, flow, day in changes if of == [channel, source]]
        for month, end in oracle.month_ends(min(own)[0], shop.as_of).items():
            counts = Counter(flow for day, flow in own if month <= day <= end)
            before = Counter(flow for day, flow in own if day <= end)
            net, stock = (2 * counted["opt_ins"] - counted.total() for counted in (counts, before))
            rows[month, channel, source] = (*(counts[flow] for flow in FLOWS), net, stock)
    return rows


# --- comebacks -----------------------------------------------------------------------------------------------------


def comebacks(shop, days=14):
    """order id -> who came back with it, from which stage, after how many days, and the last message before it"""
    got = defaultdict(list)
    for message in messages(shop):
        for person in message["people"] if "delivered" in message["at"] else ():
            got[person].append((message["at"]["delivered"], f"esp:{message['id']}", message))
    rows = {}
    for person, basket in shop.baskets.items():
        for before, order in pairwise(basket):
            since, at = before["order_date"], order["ordered_at"]
            begins = {"at_risk": since + timedelta(shop.at_risk + 1), "lapsed": since + timedelta(shop.lapsed + 1)}
            left = [stage for stage, day in begins.items() if datetime.combine(day, time()) < at]
            if not left or shop.erased.get(person, shop_oracle.NEVER_ENDS) <= at:
                continue
            last = max((one for one in got[person] if one[0] <= at), default=None)
            told = (None, None, False)
            if last and (order["order_date"] - last[0].date()).days <= days:
                clicked = last[2]["at"].get("clicked", shop_oracle.NEVER_ENDS)
                told = last[2]["campaign"], (order["order_date"] - last[0].date()).days, clicked <= at
            rows[order["order_id"]] = (person, left[-1], (order["order_date"] - since).days, order["net_amount"], *told)
    return rows
