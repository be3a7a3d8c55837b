"""scripts/raw_reader on small files of every kind, directly in DuckDB: what is read, and what is said of the rest."""

import csv
import gzip
import io
import json
import os
import random
import stat
import tempfile

import duckdb
import pytest

from raw_reader import formats, read_raw
from support import SHARED

CASES = SHARED.parent / "cases"


def table(source, path, columns, identifier=None, **meta):
    """A declared table as dbt's graph has it; `columns` are names, 'name!' is required, or {name: meta}."""
    declared = {}
    for column in columns:
        name, own = (column.rstrip("!"), {"required": column.endswith("!")}) if isinstance(column, str) else column
        declared[name] = {"name": name, "data_type": own.pop("type", "string"), "config": {"meta": own}}
    name = path.split("/")[-1]
    return {
        "source_name": source,
        "name": name,
        "identifier": identifier or f"{source}_{name}",
        "columns": declared,
        "config": {"meta": {"path": path} | meta},
    }


ORDERS = table("file", "orders", ["order_id", "customer_id!", "ordered_at!", "amount!", "city"], required=True)
SHOP = [
    table("shop", "shop/orders", ["order_id!", "customer_id", ("amount", {"type": "double"})], required=True),
    table("shop", "shop/customers", ["customer_id!", "email"]),
    table("shop", "shop/order_lines", ["order_id!", "sku"]),
]


class Read:
    """One run of the reader on files of the test's own, in a database in memory."""

    def __init__(self, folder, tables, connection=None, **options):
        self.connection = connection or duckdb.connect()
        tables = [tables] if isinstance(tables, dict) else tables
        wanted = {declared["source_name"] for declared in tables}
        self.result = read_raw(self.query, tables, folder, wanted, **options)
        self.said = [fault.text for fault in self.result.faults]
        self.warned = [fault.text for fault in self.result.warnings]

    def query(self, sql, parameters=None):
        self.connection.execute(sql, parameters)
        return self.connection.fetchall() if self.connection.description else []

    def rows(self, columns="customer_id, ordered_at, amount", relation="file_orders", order="rowid"):
        assert not self.said
        return self.query(f"select {columns} from raw_import.{relation} order by {order}")

    def lines(self):
        return self.query("select line_number, reason, raw_line from raw_import.unreadable_lines order by all")


@pytest.fixture
def read(tmp_path):
    """Write files below a raw folder and read them."""

    def run(files, tables=ORDERS, folder=tmp_path / "raw", **options):
        write(folder, files)
        return Read(folder, tables, **options)

    return run


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and path.name.lower().endswith("parquet"):
            duckdb.execute(f"copy ({content}) to {formats.literal(path)} (format parquet)")
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


HEADER = "customer_id,ordered_at,amount,city\n"
ROWS = [("a", "2026-11-20", "10.00"), ("b", "2026-11-25", "20.00")]
TEXT = HEADER + "a,2026-11-20,10.00,Gießen\nb,2026-11-25,20.00,Öhringen\n"


@pytest.mark.parametrize(
    ("name", "content"),
    {
        "umlauts": ("orders.csv", TEXT),
        "sharp s as the only letter": ("orders.csv", TEXT.replace("Ö", "O")),
        "euro, emoji, Chinese, accents": ("orders.csv", TEXT.replace("Gießen", "€ 🎉 日本 ł \u2019 É Ñ")),
        "a zero-width space": ("orders.csv", TEXT.replace("Gießen", "\u200bx")),
        "byte order mark": ("orders.csv", "\ufeff" + TEXT),
        "UTF-16 with a mark": ("orders.csv", TEXT.encode("utf-16")),
        "UTF-16, big end first": ("orders.csv", b"\xfe\xff" + TEXT.encode("utf-16-be")),
        "UTF-16 without a mark": ("orders.csv", TEXT.encode("utf-16-le")),
        "UTF-16 without a mark, big end first": ("orders.csv", TEXT.encode("utf-16-be")),
        "Windows-1252": ("orders.csv", TEXT.replace("Gießen", "Gießen “€”").encode("cp1252")),
        "Windows-1252 with bytes it does not use": ("orders.csv", TEXT.encode("cp1252").replace(b"ringen", b"ringen\x81\x9d")),
        "Windows line ends": ("orders.csv", TEXT.replace("\n", "\r\n")),
        "old Mac line ends": ("orders.csv", TEXT.replace("\n", "\r")),
        "both line ends": ("orders.csv", TEXT.replace("Gießen\n", "Gießen\r\n")),
        "the other way round": ("orders.csv", TEXT.replace("city\n", "city\r\n")),
        "all three": ("orders.csv", TEXT.replace("city\n", "city\r").replace("Gießen\n", "Gießen\r\n")),
        "both line ends in UTF-16": ("orders.csv", TEXT.replace("Gießen\n", "Gießen\r\n").encode("utf-16")),
        "no last line end": ("orders.csv", TEXT.rstrip()),
        "blank lines": ("orders.csv", "\n\n" + TEXT.replace("\n", "\n\n") + "\n \n"),
        "blank lines of Windows": ("orders.csv", (TEXT.replace("\n", "\n\n") + "\n").replace("\n", "\r\n")),
        "sep=": ("orders.csv", "sep=;\n" + TEXT.replace(",", ";")),
        "sep= with Windows line ends and a mark": ("orders.csv", "\ufeff" + ("SEP=|\n" + TEXT.replace(",", "|")).replace("\n", "\r\n")),
        "semicolons": ("orders.csv", TEXT.replace(",", ";")),
        "semicolons, and commas in names": ("orders.csv", TEXT.replace(",", ";").replace("city", "a,b,c,d,e,f")),
        "tabs": ("orders.csv", TEXT.replace(",", "\t")),
        "any case of names": ("Orders.CSV", TEXT.replace("customer_id", "Customer_ID")),
        "upper case, compressed": ("ORDERS.CSV.GZ", gzip.compress(TEXT.encode())),
        "quotes in the header": ("orders.csv", TEXT.replace("customer_id", '"customer_id"').replace("city", '"note, ""internal"""')),
        "a line end in the header": ("orders.csv", TEXT.replace("city", '"ci\nty"')),
        "blanks around names": ("orders.csv", TEXT.replace(",amount,", ",\u00a0amount\u00a0 ,")),
        "an index without a name": ("orders.csv", "," + HEADER + "0,a,2026-11-20,10.00,x\n1,b,2026-11-25,20.00,y\n"),
        "a comma too many everywhere": ("orders.csv", TEXT.replace("\n", ",,\n")),
        "a name twice": ("orders.csv", "name,Name," + HEADER + "x,y,a,2026-11-20,10.00,x\nx,y,b,2026-11-25,20.00,\n"),
        "a name like the one made up": ("orders.csv", "column_2,," + HEADER + "x,y,a,2026-11-20,10.00,x\nx,y,b,2026-11-25,20.00,\n"),
        "values in quotes": ("orders.csv", TEXT.replace("Gießen", '"a ""b"", c\nd\r\ne\n\n"')),
        "blanks around quotes": ("orders.csv", TEXT.replace("10.00", ' "10.00" ')),
        "one quote within a value": ("orders.csv", TEXT.replace("Gießen", '5" screen')),
        "two of them, far apart": ("orders.csv", TEXT.replace("Gießen", '5" screen').replace("Öhringen", '6" screen')),
        "a null byte": ("orders.csv", TEXT.replace("Gießen", "x\x00y")),
    }.values(),
    ids=lambda value: "bytes" if isinstance(value, bytes) else value[:24],
)
def test_a_csv_file_is_read_however_it_is_written(read, name, content):
    got = read({name: content})
    assert got.rows() == ROWS
    assert (got.lines(), got.warned) == ([], [])
    assert got.query("select records, unreadable_lines from raw_import.files") == [(2, 0)]


@pytest.mark.parametrize(("name", "content", "loaded_at"), [
    ("orders.csv", TEXT, "2026-11-20 05:00:00"),
    ("orders.csv", TEXT.replace("customer_id", "_airbyte_extracted_at,customer_id").replace("\na,", "\n2026-11-21T06:00:00+01:00,a,").replace(
        "\nb,", "\n2026-11-19T06:00:00Z,b,"), "2026-11-21 05:00:00"),
], ids=["the time of the file", "what the loader says"])
def test_when_rows_were_loaded(read, tmp_path, name, content, loaded_at):
    folder = tmp_path / "timed"
    folder.mkdir()
    read({name: content}, folder=folder)
    for path in folder.rglob("orders.csv"):
        os.utime(path, (1795150800, 1795150800))
    got = read({}, folder=folder)
    assert got.query("select loaded_at::varchar from raw_import.files") == [(loaded_at,)]


def test_letters_are_what_they_were(read):
    got = read({"orders.csv": TEXT.replace("Gießen", '"€ 🎉 日本 \u2019\r\nÉ"').replace("Öhringen\n", "“ł”\r\n")})
    assert got.rows("city") == [("€ 🎉 日本 \u2019\nÉ",), ("“ł”",)]  # a copy with one line end was read
    assert read({"orders.csv": TEXT.replace("Gießen", "“€” ü").encode("cp1252")}).rows("city") == [("“€” ü",), ("Öhringen",)]
    assert read({"orders.csv": TEXT.replace("Gießen", "  ").encode("utf-16")}).rows("city") == [(None,), ("Öhringen",)]


@pytest.mark.parametrize(("end", "within"), [("\r\n", "\n"), ("\n", "\r\n"), ("\n", "\r"), ("\r\n", "\r")])
def test_other_line_ends_in_the_cells_need_no_copy(read, end, within, monkeypatch):
    """As Excel writes them."""
    monkeypatch.setattr(formats.tempfile, "mkstemp", None)
    content = (HEADER + lines(50) + 'a,2026-11-20,1,"x@y@@z"\nb,2026-11-20,2,"x""@"\n' + lines(50)).replace("\n", end).replace("@", within)
    got = read({"orders.csv": content})
    assert len(got.rows()) == 102
    cities = got.query("select city from raw_import.file_orders where length(city) > 1 order by rowid")
    assert cities == [(f"x{within}y{within}{within}z",), (f'x"{within}',)]


def lines(count, start=0):
    return "".join(f"c{n},2026-11-20,{n}.00,x\n" for n in range(start, start + count))


def test_lines_that_cannot_be_read_are_listed_with_number_and_reason(read):
    bad = 'x,2026-11-20\ny,2026-11-20,1,z,z\nw,"2026-11-20"x,1,z\n'
    got = read({"orders.csv": HEADER + lines(200) + bad + lines(200, 200)})
    assert len(got.rows()) == 400
    assert got.lines() == [
        (202, "line: missing columns", "x,2026-11-20"),
        (203, "line: too many columns", "y,2026-11-20,1,z,z"),
        (204, "line: text outside of its quotes", 'w,"2026-11-20"x,1,z'),
    ]
    assert got.query("select file_name, records, unreadable_lines from raw_import.files") == [("orders.csv", 403, 3)]
    assert got.warned == [got.warned[0]] and "3 of 403 lines cannot be read; the first is line 202 (missing columns)" in got.warned[0]


@pytest.mark.parametrize("quoted", [False, True], ids=["plain", "quoted"])
@pytest.mark.parametrize("broken", ['b,"2026-11-20,1.00,x', '"b,"2026-11-20",1.00,x', 'b,2026-11-20,1.00,"x', 'b,2026-11-20,"1\\" 0",x'])
def test_a_quote_that_is_never_closed_costs_its_own_line(read, broken, quoted):
    others = lines(5000)
    if quoted:
        others = '"' + others.rstrip("\n").replace(",", '","').replace("\n", '"\n"') + '"\n'
    before, after = others[: others.index("c17" if not quoted else '"c17"')], others[others.index("c17" if not quoted else '"c17"') :]
    got = read({"orders.csv": HEADER + before + broken + "\n" + after})
    assert got.rows("customer_id") == [(f"c{n}",) for n in range(5000)]
    assert [line[0] for line in got.lines()] == [19]


def test_a_record_over_several_lines_counts_all_of_them(read):
    bad = 'y,2026-11-20,1,"a\nb\n\nc",too many\n'
    got = read({"orders.csv": HEADER + lines(500) + bad + lines(500, 500)})
    assert len(got.rows()) == 1000
    assert [line[:2] for line in got.lines()] == [(n, "line: too many columns") for n in range(502, 506)]
    assert got.query("select records, unreadable_lines from raw_import.files") == [(1004, 4)]


def test_line_numbers_are_those_of_an_editor(read):
    """Blank lines, a line above the header and line ends in quotes are counted, whatever the line end and encoding."""
    content = "sep=,\n\n" + HEADER + lines(200) + 'q,2026-11-20,1,"a\nb\n\nc"\n\nx,2026-11-20\n' + lines(200)
    for written in (content, content.replace("\n", "\r\n"), content.replace("\n", "\r"), content.encode("utf-16")):
        got = read({"orders.csv": written})
        assert [line[0] for line in got.lines()] == [209]
        assert len(got.rows()) == 401


def test_bytes_that_are_no_utf8_cost_their_line_and_not_the_file(read):
    content = (HEADER + lines(300)).encode() + "ü,2026-11-20,1,ü é ß\n".encode() + b"v,2026-11-20,1,\xff\n" + lines(300).encode()
    got = read({"orders.csv": content})
    assert len(got.rows()) == 601
    assert [line[:2] for line in got.lines()] == [(303, "line: not UTF-8")]


def test_a_line_of_megabytes_is_set_aside(read):
    got = read({"orders.csv": HEADER + lines(1) + "x,2026-11-20,1," + "y" * 3_000_000 + "\n" + lines(1, 1)})
    assert got.rows("customer_id") == [("c0",), ("c1",)]
    ((number, reason, line),) = got.lines()
    assert (number, reason, len(line)) == (3, "line: longer than 1,900,000 bytes", 10_000)


@pytest.mark.parametrize(("bad", "good", "stops"), [(3, 10, False), (4, 10, True), (4, 396, False), (5, 395, True)])
def test_more_than_three_lines_and_one_percent_stop(read, bad, good, stops):
    got = read({"orders.csv": HEADER + lines(good) + "x,1\n" * bad})
    if stops:
        text = f"orders.csv: {bad} of {good + bad} lines cannot be read, more than 1 %; the first is line {good + 2} (missing columns)"
        assert len(got.said) == 1 and got.said[0].endswith(text)
    else:
        assert len(got.rows()) == good and len(got.lines()) == bad


def records(rng):
    """Random values with everything that needs quotes, and CSV of them."""
    letters = ["a", "ß", "🎉", ",", ";", '"', "\n", " ", "x" * 50, ""]
    rows = [["".join(rng.choices(letters, k=rng.randint(0, 6))) for _ in range(5)] for _ in range(rng.randint(1, 40))]
    for n, row in enumerate(rows):
        row[0] = f"r{n}"
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])).writerows(rows)
    return rows, out.getvalue()


@pytest.mark.parametrize("seed", range(40))
def test_random_csv_is_read_as_python_reads_it(read, seed):
    rng = random.Random(seed)
    rows, body = records(rng)
    content = "order_id,customer_id,ordered_at,amount,city\n" + body
    encoding, end = rng.choice(["utf-8", "utf-8-sig", "utf-16"]), rng.choice(["\n", "\r\n", "\r"])
    got = read({"orders.csv": content.replace("\n", end).encode(encoding)})
    expected = [tuple(value.replace("\n", end if encoding != "utf-16" else "\n").strip(" ") or None for value in row) for row in rows]
    assert got.rows("order_id, customer_id, ordered_at, amount, city") == expected


@pytest.mark.parametrize("seed", range(40))
def test_of_a_random_damage_no_line_is_lost(read, seed):
    """Whatever is cut or put in: lines that are read and lines that are listed are all lines, and most rows are read."""
    rng = random.Random(seed)
    rows = [[f"r{n}", rng.choice(["a", "b c", 'say "so"', "x, y"]), "2026-11-20", "1", "ö"] for n in range(400)]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    body = out.getvalue().split("\n")[:-1]
    damaged = rng.sample(range(400), 3)
    for n in damaged:
        at = rng.randrange(len(body[n]) + 1)
        body[n] = body[n][:at] + rng.choice(['"', ",", '",', ',"', '""']) + body[n][at:]
    got = read({"orders.csv": "order_id,customer_id,ordered_at,amount,city\n" + "\n".join(body) + "\n"})
    found = got.rows("order_id, customer_id, ordered_at, amount, city")
    listed = {number for number, _, _ in got.lines()}
    inner = sum(value.count("\n") for row in found for value in row if value)
    assert len(found) + inner + len(listed) == 400
    whole = {tuple(row) for n, row in enumerate(rows) if n not in damaged}
    assert len(whole - set(found)) <= 2, "a damaged line may take a neighbour with it, not more"


def test_the_copy_is_private_and_gone_afterwards(read, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    seen, fails = [], False

    def insert(self, columns, source, then=formats.TextFile.insert):
        (folder,) = (tmp_path / "scratch").iterdir()
        seen.extend(stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir()))
        if fails:
            raise duckdb.IOException("disk full, at 'a,2026-11-20'")
        return then(self, columns, source)

    monkeypatch.setattr(formats.TextFile, "insert", insert)
    for fails in (False, True):  # noqa: B007
        got = read({"orders.csv": TEXT.encode("utf-16")})
        assert seen == [0o700, 0o600] and not list((tmp_path / "scratch").iterdir())
        assert got.said == [] or "2026" not in got.said[0].replace(str(tmp_path), "")
        seen.clear()
    assert len(got.said) == 1


# --- what is wrong is said, and nothing personal with it ----------------------------------------------


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"orders.csv": ""}, "orders.csv: the file is empty"),
        ({"orders.csv": "\n\n"}, "orders.csv: the file has blank lines only; it needs a header line"),
        ({"orders.csv.gz": gzip.compress(TEXT.encode())[:-10]}, "orders.csv.gz: it is damaged or cut off; export it again"),
        ({"orders.csv.gz": TEXT}, "orders.csv.gz: it is damaged or cut off; export it again"),
        ({"orders.csv": '"customer_id,ordered_at\n' + lines(200)}, "line 1, the header, opens a quote that it never closes"),
        ({"orders.csv": TEXT.encode("utf-16")[:-3]}, "orders.csv: it begins as utf-16-le text and goes on as something else"),
        (
            {"orders.csv": TEXT.replace("ordered_at", "day")},
            "orders.csv: required column 'ordered_at' is missing; found: customer_id, day, amount, city",
        ),
        (
            {"orders.csv": TEXT.replace("customer_id", "kunde").replace("ordered_at", "tag").replace("amount", "betrag").replace("city", "ort")},
            "none of its columns (4) is known; if they are called otherwise, name them as `aliases` in the source YAML",
        ),
        ({"orders.csv": HEADER.replace("city", "Amount") + lines(1)}, "orders.csv: two columns are called 'amount'; which one is meant?"),
        ({"orders.csv": TEXT, "orders.parquet": "select 1 as x"}, "two files for one table: "),
        ({"orders/a.csv": TEXT, "orders/b.parquet": "select 1 as x"}, "two formats for one table: "),
        ({"orders.csv": TEXT, "orders_2026-10.csv": TEXT}, "orders_2026-10.csv as a part of it; keep the whole or the parts"),
        ({"orders/readme.txt": "x"}, "orders/: no part in this folder is .parquet, .csv, .csv.gz, .jsonl or .jsonl.gz; found: readme.txt"),
        ({"orders/_delta_log/0.json": "{}", "orders/a.parquet": "select 1 as x"}, "orders: a Delta or Iceberg table keeps its old files"),
        ({"order.csv": TEXT, "customers.csv": ""}, "it is not there; found: customers.csv, order.csv; did you mean order.csv?"),
        ({"orders.xlsx": "PK"}, "found: orders.xlsx; did you mean orders.xlsx?; spreadsheets and archives cannot be read"),
        ({"orders.json": "[\n{}]"}, "orders.json: it is one JSON array; write one object a line (jq -c '.[]')"),
        ({"orders.jsonl": '{"customer_id": 1, "day": 2, "amount": 3}\n'}, "'ordered_at' is missing; found: customer_id, day, amount"),
        ({"orders.parquet": b""}, "orders.parquet: the file is empty"),
        ({"orders.parquet": b"PAR1xxxx"}, "orders.parquet: cannot be read; is it cut off? "),
        ({"orders.parquet": "select 1 as customer_id, 2 as amount"}, "'ordered_at' is missing; found: customer_id, amount"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_one_line(read, files, says):
    got = read(files)
    assert any(says in line for line in got.said), got.said
    assert not any("\n" in line for line in got.said)
    assert got.query("select count(*) from duckdb_tables() where schema_name = 'raw_import'") == [(0,)], "nothing was touched"


@pytest.mark.parametrize(
    "row",
    ["anna.muster@example.com,Anna,Muster", "O00001,C0000,2025-01-01,20.82", "Anna,Muster,Berlin,+49 30 1234567", "Anna;Muster;Berlin", "Anna"],
)
def test_a_first_row_instead_of_a_header_is_never_shown(read, row):
    (said,) = read({"orders.csv": f"{row}\n{row}\n"}).said
    assert "none of its columns" in said and "Needed: customer_id, ordered_at, amount" in said
    if any(map(str.isdigit, row)) or "@" in row:
        assert "looks like a row of data: does the file have a header line?" in said
    assert not [value for value in row.replace(";", ",").split(",") if value in said]


def test_a_missing_folder_says_so(tmp_path):
    for folder in (tmp_path / "nowhere", tmp_path):
        (said,) = Read(folder, ORDERS).said
        assert said.startswith(f"no raw data in '{folder}' (LIFECYCLE_RAW); `make demo` makes a demo")


def test_links_to_nothing_and_folders_of_the_files_name(read, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "orders.csv").symlink_to(tmp_path / "gone.csv")
    assert "found: orders.csv (a broken link)" in read({}).said[0]
    (tmp_path / "raw" / "orders.csv").unlink()
    (tmp_path / "raw" / "orders.csv").symlink_to("orders.csv")
    assert "found: orders.csv (a broken link)" in read({}).said[0]
    (tmp_path / "raw" / "orders.csv").unlink()
    write(tmp_path, {"elsewhere.csv": TEXT})
    (tmp_path / "raw" / "orders.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert read({}).rows() == ROWS
    (tmp_path / "raw" / "orders.csv").unlink()
    assert read({"orders.csv/part-0.csv": TEXT}).rows() == ROWS, "as Spark writes it"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_opened_says_so(read, tmp_path):
    write(tmp_path / "raw", {"orders.csv": TEXT})
    (tmp_path / "raw" / "orders.csv").chmod(0)
    assert "orders.csv: it may not be opened (permission denied)" in read({}).said[0]


def test_any_path_is_read(read, tmp_path):
    for name in ("quote'd", "glob[1]*folder?", "{a,b}", "{{ 1/0 }}", "blank and ü", "%s $HOME ~"):
        folder = tmp_path / name
        assert read({"orders.csv": TEXT}, folder=folder).rows() == ROWS
        (folder / "orders.csv").unlink()
        content = "select 'a' as customer_id, '2026-11-20' as ordered_at, '10.00' as amount"
        got = read({"orders/1'[x]*.parquet": content, "orders/2{}.parquet": content.replace("'a'", "'b'")}, folder=folder)
        assert got.rows("customer_id", order=1) == [("a",), ("b",)]
        got = read({"shop/orders.jsonl": '{"order_id": 1}\n', "shop/customers_1.csv": "customer_id\n7\n"}, SHOP, folder=folder)
        assert got.rows("order_id", "shop_orders") == [("1",)]


# --- many files ------------------------------------------------------------------------------------------


def test_monthly_files_are_one_table(read):
    """Other columns, another order of them, another delimiter and line end: each file has a header of its own."""
    files = {
        "orders_2026-10.csv": TEXT,
        "orders_2026-11.csv": "amount;customer_id;ordered_at\r\n5;c;2026-11-30\r\n",
        "Orders 2026-12 (part 1).csv.gz": gzip.compress(TEXT.replace("a,", "d,").replace("b,", "e,").encode("utf-16")),
        "order_notes_2026.csv": "not ours",
        "orders_backup.csv": "not ours",
    }
    got = read(files)
    assert got.rows("customer_id, amount", order=1) == [("a", "10.00"), ("b", "20.00"), ("c", "5"), ("d", "10.00"), ("e", "20.00")]
    assert got.query("select file_name, records from raw_import.files order by 1") == [
        ("Orders 2026-12 (part 1).csv.gz", 2),
        ("orders_2026-10.csv", 2),
        ("orders_2026-11.csv", 1),
    ]
    assert got.warned == []


@pytest.mark.parametrize(
    ("name", "is_part"),
    {
        "orders_2026-10": True, "orders-0001": True, "orders.3": True, "orders (1)": True, "orders_part-2_of_3": True,
        "orders_2026w07": True, "orders_q1_2026": True, "orders_000000000012": True, "orders2026": False, "orders_old": False,
        "orders_2026_old": False, "orders_": False, "my_orders_2026": False,
    }.items(),
)  # fmt: skip
def test_a_part_goes_on_with_dates_or_numbers(read, name, is_part):
    got = read({f"{name}.csv": TEXT})
    assert (got.said == []) == is_part


def test_the_longest_name_tells_whose_part_it_is(read):
    tables = [SHOP[0], table("shop", "shop/orders_v2", ["order_id!"])]
    got = read({"shop/orders_v2_1.csv": "order_id\n1\n", "shop/orders_3.csv": "order_id\n3\n"}, tables)
    assert got.rows("order_id", "shop_orders_v2") == [("1",)] and got.rows("order_id", "shop_orders") == [("3",)]


def test_equal_parts_are_warned_of(read):
    """Byte for byte, or the same rows otherwise written; parts with as many other rows are no news."""
    other = "amount;customer_id;ordered_at;city\n20.00;b;2026-11-25;Öhringen\n10.00;a;2026-11-20;Gießen\n"
    got = read({"orders_1.csv": TEXT, "orders_2.csv": TEXT.replace("10.00", "11.00"), "orders_3.csv": TEXT, "orders_4.csv": other})
    assert len(got.rows()) == 8
    assert [said.split("/")[-1] for said in got.warned] == [
        "orders_1.csv: the same rows are in orders_3.csv, orders_4.csv; if they are the same purchases, keep one file"
    ]
    rows = "select '{}' as customer_id, '2026-11-20' as ordered_at, 1 as amount"
    got = read({f"shop/{name}": rows.format(name[-9]) for name in ("orders_1.parquet", "orders_2.parquet")}, SHOP_PARQUET)
    assert got.warned == []
    got = read({"shop/orders_3.parquet": rows.format(1)}, SHOP_PARQUET)
    assert len(got.warned) == 1 and "the same rows are in orders_3.parquet" in got.warned[0]


SHOP_PARQUET = table("file", "shop/orders", ["customer_id!", "ordered_at!", ("amount", {"type": "double"}), "city"], required=True)


def test_a_folder_of_parquet_parts_is_united_by_name(read):
    files = {
        "shop/orders/part-0001.parquet": "select 'a' as customer_id, date '2026-11-20' as ordered_at, 1::int as amount",
        "shop/orders/part-0002.parquet": "select 2.5::double as amount, timestamp '2026-11-21' as ordered_at, 'b' as Customer_ID, 'x' as city",
        "shop/orders/deep/part-3.parquet": "select 'c' as customer_id, date '2026-11-20' as ordered_at, 3::int as amount, null::int as city",
        "shop/orders/_SUCCESS": "",
        "shop/orders/.part-1.parquet.crc": b"x",
    }
    got = read(files, SHOP_PARQUET)
    assert got.rows("customer_id, amount, city", order=1) == [("a", 1.0, None), ("b", 2.5, "x"), ("c", 3.0, None)]
    assert got.query("select count(*), sum(records) from raw_import.files") == [(3, 3)]


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("select 'b' as customer_id, date '2026-11-20' as ordered_at, 'x' as amount", "2.parquet: column 'amount' is VARCHAR here, but INTEGER in 1.parquet"),
        ("select 'b' as customer_id, now() as ordered_at, 1 as amount", "'ordered_at' is TIMESTAMP WITH TIME ZONE here, but DATE in 1.parquet"),
        ("select 'b' as customer_id, 1 as amount", "2.parquet: required column 'ordered_at' is missing; found: customer_id, amount"),
        (b"", "2.parquet: the file is empty"),
        (b"PAR1", "2.parquet: cannot be read; is it cut off?"),
    ],
)  # fmt: skip
def test_a_part_that_does_not_fit_is_named(read, part, says):
    first = "select 'a' as customer_id, date '2026-11-20' as ordered_at, 1 as amount"
    (said,) = read({"shop/orders/1.parquet": first, "shop/orders/2.parquet": part}, SHOP_PARQUET).said
    assert says in said


def test_files_that_look_like_parts_and_are_not_read_are_warned_of(read):
    """A month that came as an archive is no month without orders; checksums and other tables are none of ours."""
    others = {"orders_2026-11.csv.zip": "PK", "orders_2026-12.csv.md5": "x", "orders_old.xlsx": "PK", "customers.zip": "PK"}
    got = read({"orders_2026-10.csv": TEXT} | others)
    assert got.rows() == ROWS
    assert [said.split("/")[-1] for said in got.warned] == [
        "orders_2026-11.csv.zip is not read: it is no .parquet, .csv, .csv.gz, .jsonl or .jsonl.gz"
    ]
    parts = {"shop/orders/1.parquet": "select 1 as order_id", "shop/orders/2.csv.zst": "x", "shop/orders/_SUCCESS": ""}
    assert ["2.csv.zst is not read" in said for said in read(parts, SHOP).warned] == [True]


def test_an_empty_csv_part_is_named_and_one_with_a_header_alone_is_not(read):
    assert "orders_2.csv: the file is empty" in read({"orders_1.csv": TEXT, "orders_2.csv": ""}).said[0]
    assert read({"orders_2.csv": HEADER}).rows() == ROWS


def test_the_files_name_can_be_a_column(read, tmp_path):
    members = table(
        "mail", "mail/members", [("email", {"required": True, "aliases": ["Email Address"]}), "file"],
        table_aliases=["subscribed_*", "cleaned_*"], file_name_column="file", required=True,
    )  # fmt: skip
    files = {"mail/subscribed_members_export_ab12.csv": "Email Address,X\na@x,1\n", "mail/cleaned_members_ab.csv": "Y,Email Address\n1,b@x\n"}
    expected = [("a@x", "subscribed_members_export_ab12"), ("b@x", "cleaned_members_ab")]
    assert read(files, members).rows("email, file", "mail_members", order=1) == expected
    parquet = {"mail/subscribed_1.parquet": "select 'a@x' as email", "mail/Cleaned_2.PARQUET": "select 'b@x' as email"}
    got = read(parquet, members, folder=tmp_path / "other")
    assert got.rows("email, file", "mail_members", order=1) == [("a@x", "subscribed_1"), ("b@x", "Cleaned_2")]


def test_other_names_of_a_table(read):
    orders = table("shop", "shop/orders", ["order_id!"], table_aliases=["orders_export"], required=True)
    assert read({"shop/Orders_Export.csv": "order_id\n1\n"}, orders).rows("order_id", "shop_orders") == [("1",)]
    assert "two files for one table" in read({"shop/orders.csv": "order_id\n1\n"}, orders).said[0]


# --- instances -------------------------------------------------------------------------------------------


def test_instances_are_read_into_the_same_tables(read):
    """Also when one has Parquet and another text, or parts; a table named like a folder of parts is none."""
    files = {
        "shop/berlin/orders.csv": "order_id,amount\n1,5.5\n",
        "shop/wien/orders/part-1.parquet": "select 1 as order_id, 7.25::double as amount",
        "shop/wien/orders/part-2.parquet": "select 2 as order_id, 8::double as amount",
        "shop/wien/customers.jsonl": '{"customer_id": 9}\n',
        "shop/archive/notes.csv": "x\n1\n",
    }
    got = read(files, SHOP)
    assert got.rows("order_id, amount, instance", "shop_orders", order="3, 1") == [("1", "5.5", "berlin"), ("1", "7.25", "wien"), ("2", "8.0", "wien")]
    assert got.rows("customer_id, instance", "shop_customers") == [("9", "wien")]
    assert got.query("select instance, sum(records) from raw_import.files where table_name = 'orders' group by 1 order by 1") == [
        ("berlin", 1),
        ("wien", 2),
    ]


def test_parquet_instances_stay_views_in_their_own_types(read):
    rows = {f"shop/{name}/orders.parquet": f"select {n} as order_id, {n}::double as amount" for n, name in enumerate("ab")}
    got = read(rows, SHOP)
    assert got.rows("order_id, amount, customer_id, instance", "shop_orders", order=1) == [(0, 0.0, None, "a"), (1, 1.0, None, "b")]
    assert got.query("select count(*) from duckdb_views() where view_name = 'shop_orders'") == [(1,)]


def test_every_relation_has_an_instance(read):
    got = read({"shop/orders/1.parquet": "select 1 as order_id", "shop/customers.csv": "customer_id\n1\n"}, SHOP)
    assert [got.rows("instance", f"shop_{name}", order=1) for name in ("orders", "customers", "order_lines")] == [[(None,)], [(None,)], []]
    assert got.query("describe raw_import.shop_order_lines")[-1][:2] == ("instance", "VARCHAR")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["shop/orders.csv", "shop/wien/orders.csv"], "shop/orders.csv lies beside the instance wien/: give every shop a folder of its own"),
        (["shop/wien/orders.csv", "shop/linz/customers.csv"], "source 'shop' needs {}/shop/linz/orders as .parquet"),
        (["shop/my shop/orders.csv"], "shop/my shop/: an instance becomes part of ids; letters, digits, - and _ are"),
        (["shop/old/order.csv"], "source 'shop' needs {}/shop/orders as .parquet"),
        (["shops/orders.csv"], "there is no folder shop/; found: shops/; did you mean shops/?"),
    ],
)
def test_what_is_wrong_with_instances(read, tmp_path, files, says):
    got = read(dict.fromkeys(files, "order_id,customer_id\n1,1\n"), SHOP)
    assert len(got.said) == 1 and says.format(tmp_path / "raw") in got.said[0]


# --- JSON lines and nested columns -----------------------------------------------------------------------

NESTED = table(
    "nested", "nested/orders",
    ["id!", ("customer_id", {"path": "customer.id"}), ("state", {"path": ["consent.state", "consent.status"], "aliases": ["consent_state"]}), "lines"],
    required=True,
)  # fmt: skip
OBJECTS = [
    {"id": 1, "customer": {"id": 77, "name": "x"}, "lines": [{"sku": "a"}]},
    {"id": "2", "customer": None, "consent": {"status": "no"}, "note": "ß 🎉"},
    {"ID": 3.50, "consent": {"state": " yes "}},
    {"id": True, "consent_state": "", "lines": []},
]
READ = [("1", "77", None, '[{"sku":"a"}]'), ("2", None, "no", None), (None, None, "yes", None), ("true", None, None, "[]")]


@pytest.mark.parametrize("name", ["orders.jsonl", "orders.ndjson", "orders.json", "Orders.JSONL.gz", "orders/2026_10_1.jsonl", "orders_1.ndjson.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_lines_are_read(read, name, encoding):
    """One object a line; keys in any order, also late ones, nested ones by their path, arrays as text."""
    content = "\r\n".join(json.dumps(value, ensure_ascii=False) for value in OBJECTS).encode(encoding)
    got = read({f"nested/{name}": gzip.compress(content) if name.endswith("gz") else content}, NESTED)
    assert got.rows("id, customer_id, state, lines", "nested_orders") == READ


def test_keys_that_come_late_are_read(read):
    content = '{"id": 1}\n' * 3000 + '{"id": 2, "consent": {"state": "yes"}, "consent_state": "no"}\n'
    got = read({"nested/orders.jsonl": content}, NESTED)
    assert got.query("select state from raw_import.nested_orders where state is not null") == [("no",)]


def test_lines_that_are_no_objects_are_listed(read):
    bad = ['{"id": 1', "[1]", "7", '{"id": NaN}', '{"id": "\\ud83d"}', "{'id': 1}"]
    content = "\n".join(['{"id": 0}'] * 300 + ["", bad[0], bad[1]] + ['{"id": 0}'] * 300 + bad[2:]) + "\n"
    got = read({"nested/orders.jsonl": content}, NESTED)
    assert len(got.rows("id", "nested_orders")) == 600
    assert [(number, line) for number, _, line in got.lines()] == list(zip([302, 303, 604, 605, 606, 607], bad, strict=True))
    assert {reason for _, reason, _ in got.lines()} == {"line: not a JSON object"}
    assert "607 lines cannot be read, more than 1 %" not in "".join(got.said)


def test_nested_parquet_columns_are_read_by_their_path(read, tmp_path):
    struct = "select 1 as id, {'id': 77, 'name': 'x'} as customer, {'status': 'no'} as consent, [{'sku': 'a'}] as lines"
    got = read({"nested/orders.parquet": struct}, NESTED)
    assert got.rows("id, customer_id, state, lines", "nested_orders", order=1) == [(1, 77, "no", [{"sku": "a"}])]
    texts = """select 1 as id, '{"id": 77}' as customer, '{"state":"yes"}'::json as Consent, '[1]' as lines"""
    got = read({"nested/orders.parquet": texts}, NESTED)
    assert got.rows("id, customer_id, state, lines", "nested_orders", order=1) == [(1, "77", "yes", "[1]")]
    got = read({"nested/a/orders.parquet": struct, "nested/b/orders.jsonl": json.dumps(OBJECTS[0])}, NESTED, folder=tmp_path / "other")
    assert got.rows("id, customer_id, state, lines, instance", "nested_orders", order=5) == [
        ("1", "77", "no", '[{"sku":"a"}]', "a"),
        ("1", "77", None, '[{"sku":"a"}]', "b"),
    ]


def test_parquet_columns_keep_their_types(read):
    """Typing decides what a boolean, a list or bytes mean."""
    row = "select true as order_id, [1] as customer_id, 'x'::blob as ordered_at, {'a': 1} as amount, ' ' as city"
    got = read({"shop/orders.parquet": row}, SHOP_PARQUET)
    types = {name: kind for name, kind, *_ in got.query("describe raw_import.file_orders")}
    assert (types["customer_id"], types["ordered_at"], types["amount"]) == ("INTEGER[]", "BLOB", "STRUCT(a INTEGER)")
    assert got.rows("city", order=1) == [(None,)]


# --- the schema ------------------------------------------------------------------------------------------


def test_schemas_of_others_are_left_alone(read, tmp_path):
    connection = duckdb.connect(str(tmp_path / "shop.duckdb"))
    connection.execute("create schema raw; create table raw.orders as select 1 as x; create schema raw_import")
    got = read({"orders.csv": TEXT}, connection=connection)
    assert got.said == [
        "the warehouse has a schema raw_import that this project did not make; rename it, take another LIFECYCLE_WAREHOUSE, or set the variable prefix_schemas"
    ]
    connection.execute("drop schema raw_import")
    for _ in range(2):
        assert read({}, connection=connection).rows() == ROWS
    assert connection.execute("from raw.orders").fetchall() == [(1,)]


def test_with_a_fault_what_was_read_before_stays(read):
    got = read({"orders.csv": TEXT})
    assert read({"orders.csv": TEXT.replace("amount", "sum")}, connection=got.connection).said
    assert got.rows() == ROWS


# --- inputs that others had trouble with ----------------------------------------------------------------

CASES_OF_ORDERS = {
    "17": (2, 30.00), "35": (3, 35.00), "mixed_line_ends": (3, 60.00), "o01": (10, None), "o08": (3, 35.00), "o11": (6, 70.00),
    "o14": (2, 15.00), "01": (10, 145.00), "large_amounts": (2, 11_500_000.00),
}  # fmt: skip


@pytest.mark.skipif(not CASES.exists(), reason="the shared cases are not beside this project")
@pytest.mark.parametrize(("case", "expected"), CASES_OF_ORDERS.items())
def test_the_shared_cases_are_read(case, expected):
    got = Read(CASES / case, ORDERS)
    assert got.query("select count(*), sum(try_cast(amount as double)) from raw_import.file_orders") == [expected]
    assert (got.lines(), bool(got.warned)) == ([], case == "o11")


@pytest.mark.skipif(not CASES.exists(), reason="the shared cases are not beside this project")
def test_the_shared_case_with_a_field_too_many_stops():
    (said,) = Read(CASES / "18b", ORDERS).said
    assert said.endswith("120 of 201 lines cannot be read, more than 1 %; the first is line 82 (too many columns)")
