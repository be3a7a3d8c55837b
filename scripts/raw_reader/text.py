"""Text files from their bytes: encoding, line ends, header, and which lines are records.

DuckDB reads the body of a CSV file. What it needs for that (encoding, delimiter, names, how many records come before the
data) and what it cannot be trusted with (how many records there are, which lines are none) is found here.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import deque
from dataclasses import dataclass

CHUNK = 1 << 22
HEAD = 1 << 18
LONGEST = 1_900_000  # bytes of a record; DuckDB's own limit is 2,000,000
BLANKS = " \t\r\n\u00a0\u200b\ufeff"
OPENING, SPACES = re.compile(rb' *"'), re.compile(rb" *")
ALL_BUT_QUOTES = bytes(set(range(256)) - set(b'"\r\n'))

# the few bytes that Windows-1252 does not use are what they are in Latin-1
codecs.register_error("as latin-1", lambda error: (error.object[error.start : error.end].decode("latin-1"), error.end))


class Unreadable(Exception):
    """What is wrong with a file, in words that show none of its values; `path` says which, where there are several."""

    def __init__(self, wrong, path=None):
        super().__init__(wrong)
        self.path = path


@dataclass
class Survey:
    """What one pass over the bytes tells of a text file."""

    encoding: str
    start: int  # where the text begins: behind the byte order mark
    line_end: bytes | None = None  # None: not the same everywhere
    is_uniform: bool = False  # the same wherever a record ends, though perhaps not within quotes
    records: int = 0  # lines outside of quotes that are not empty
    is_valid: bool = True  # all bytes fit the encoding

    @property
    def is_plain(self):
        """Can DuckDB read the file as it is?"""
        return self.encoding == "utf-8" and self.is_valid and self.is_uniform


def chunks(path, start=0):
    """The bytes of a file, decompressed."""
    try:
        with gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb") as file:
            file.seek(start)
            while data := file.read(CHUNK):
                yield data
    except PermissionError:
        raise Unreadable("it may not be opened (permission denied)") from None
    except (OSError, EOFError, zlib.error):
        raise Unreadable("it is damaged or cut off; export it again") from None


def whole_lines(pieces):
    """The bytes cut anew, so that every piece ends with a line; a line end of two bytes stays together."""
    rest = b""
    for piece in pieces:
        data = rest + piece
        cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
        rest = data[cut:]
        if cut:
            yield data[:cut]
        elif len(rest) > 16 * CHUNK:
            raise Unreadable("it has no line ends; is it a text file?")
    if rest:
        yield rest


def survey(path, quote=b'"'):
    """A Survey of the whole file; `quote` is empty where quotes mean nothing to lines (JSON)."""
    head = next(chunks(path), b"")
    if not head:
        raise Unreadable("the file is empty")
    marks = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
    mark = next((mark for mark in marks if head.startswith(mark)), b"")
    encoding, part = marks.get(mark, "utf-8"), head[:4096]
    even, odd = part[0::2].count(0), part[1::2].count(0)
    if not mark and max(even, odd) > len(part) / 5 and min(even, odd) < len(part) / 50:
        encoding = "utf-16-le" if odd > even else "utf-16-be"  # every other byte of Latin letters is zero
    found = Survey(encoding, len(mark))
    if encoding == "utf-8":
        count(path, found, quote)
    return found


def count(path, found, quote):
    """Fill in a Survey of a file of single bytes: are they UTF-8, which line ends, how many records?"""
    ends, ends_of_records, characters, strays, in_quotes, lines, end = set(), set(), 0, 0, 0, b"\n", None
    for lines in whole_lines(chunks(path, found.start)):
        try:
            lines.decode()
        except UnicodeDecodeError:
            found.is_valid = False
        if not found.is_valid:  # UTF-8 with damaged bytes, or another encoding: which are more?
            text = lines.decode(errors="surrogateescape")
            characters += len(re.findall("[\u0080-\ud7ff\ue000-\U0010ffff]", text))
            strays += len(re.findall("[\udc80-\udcff]", text))
        if b"\n" not in lines and b"\r" not in lines:  # the last line
            continue
        end = only_end(lines)
        ends.add(end)
        if quote and not end:  # as in Excel's files: other line ends in the cells
            end = only_end(quote.join(lines.split(quote)[in_quotes::2]))
        ends_of_records.add(end)
        if len(ends_of_records) > 1 or not end:
            continue
        if quote and quote in lines:
            # of interest are quotes and line ends alone, and two quotes in a row change nothing
            pieces = lines.translate(None, ALL_BUT_QUOTES).replace(quote * 2, b"").split(quote)
            found.records += sum(piece.count(end[-1:]) for piece in pieces[in_quotes::2])
            in_quotes ^= len(pieces) % 2 == 0
        elif not in_quotes:
            found.records += lines.count(end[-1:])
        found.records -= lines.startswith(end)
        if end * 2 in lines:
            found.records -= len(re.findall(b"(?=%s)" % (end * 2), lines))
    found.records += not lines.endswith((b"\n", b"\r"))
    found.line_end, found.is_uniform = (ends.pop() if len(ends) == 1 else None), len(ends_of_records) == 1 and end is not None
    if strays > characters:
        found.encoding, found.is_valid = "cp1252", True


def only_end(lines):
    """The line end that all these lines have; None if they have several."""
    feeds, returns = lines.count(b"\n"), lines.count(b"\r")
    if not feeds or not returns:
        return b"\r" if returns else b"\n"
    return b"\r\n" if feeds == returns == lines.count(b"\r\n") else None


def utf8(path, found):
    """The text of a surveyed file as bytes of UTF-8, in whole lines."""
    if found.encoding == "utf-8":
        return whole_lines(chunks(path, found.start))
    decoder = codecs.getincrementaldecoder(found.encoding)("as latin-1" if found.encoding == "cp1252" else "strict")

    def decoded():
        try:
            for data in chunks(path, found.start):
                yield decoder.decode(data).encode()
            yield decoder.decode(b"", final=True).encode()
        except UnicodeError:
            raise Unreadable(f"it begins as {found.encoding} text and goes on as something else") from None

    return whole_lines(decoded())


# --- the header -------------------------------------------------------------------------------------


@dataclass
class Header:
    delimiter: str
    names: list[str]  # as in the file, without blanks around them
    records: int  # that come before the data: the header, and what Excel puts above it
    skipped: int  # the same with blank lines, as DuckDB counts it
    lines: int  # the same in lines

    @property
    def columns(self):
        """A name for each column, all different: what has none or an earlier one's is called by its position."""
        taken, columns = set(), []
        for position, name in enumerate(self.names, start=1):
            column = name if name and name.lower() not in taken else f"column_{position}"
            while column.lower() in taken:
                column += "_"
            taken.add(column.lower())
            columns.append(column)
        return columns


def header(path, found, known):
    """The Header of a CSV file; of two delimiters the one that gives more of the `known` names is it, else more columns."""
    text = b""
    for lines in utf8(path, found):
        text += lines
        if len(text) > HEAD:
            break
    rest = text.decode(errors="replace")
    records = skipped = passed = 0
    delimiters = [",", ";", "\t", "|"]
    while True:
        record, lines, rest = first_record(rest)
        skipped, passed = skipped + 1, passed + lines
        if record.strip(BLANKS):
            records += 1
            told = re.fullmatch(r'"?sep=(.)"?', record.strip(" \r\n\u00a0\u200b\ufeff"), re.IGNORECASE)
            if not told:
                break
            delimiters = [told[1]]
        elif not rest:
            raise Unreadable("the file has blank lines only; it needs a header line")
    if len(record) > HEAD or lines > 100:
        raise Unreadable(f"line {passed - lines + 1}, the header, opens a quote that it never closes")
    splits = {d: [n.strip(BLANKS) for n in next(csv.reader(io.StringIO(record, newline=""), delimiter=d))] for d in delimiters}
    delimiter = max(splits, key=lambda d: (sum(name.lower() in known for name in splits[d]), len(splits[d])))
    return Header(delimiter, splits[delimiter], records, skipped, passed)


def first_record(text):
    """(the first record, how many lines it has, the text behind it); a line end in quotes ends no record."""
    lines, in_quotes = 0, False
    for match in re.finditer(r'"|\r\n|\n|\r', text):
        if match[0] == '"':
            in_quotes = not in_quotes
        else:
            lines += 1
            if not in_quotes:
                return text[: match.start()], lines, text[match.end() :]
    return text, lines + 1, ""


# --- the records ------------------------------------------------------------------------------------


def lines_of(path, found):
    """(number from 1, line without its end) of every line of a surveyed file."""
    number = 1
    end = found.line_end if found.encoding == "utf-8" else None
    for text in utf8(path, found):
        lines = text.split(end) if end else re.split(b"\r\n|\n|\r", text)
        if lines[-1] == b"":
            lines.pop()
        for line in lines:
            yield number, line
            number += 1 + (line.count(b"\n") if end == b"\r\n" else 0)


def records(path, found, head):
    """(number, lines, reason) of every record of a CSV file; the reason is None for one that fits the header.

    An unreadable line is no end: what comes after it is read again. So a quote that is never closed costs its own line and not
    all that follow. The lines that such a quote swallowed may be the middle of a text: there, no stray quote is forgiven.
    """
    source, again = lines_of(path, found), deque()
    width, delimiter, doubtful_until = len(head.names), head.delimiter.encode(), 0
    quoted = re.compile(rb'(?:^|(?<=%s)) *"[^"]*+(?:""[^"]*+)*+" *(?=%s|$)' % (re.escape(delimiter), re.escape(delimiter)))

    def following():
        return again.popleft() if again else next(source, None)

    for _ in range(head.lines):
        following()
    while (record := following()) is not None:
        number, line = record
        if not line.strip():
            continue
        taken, reason = [record], None
        bare = quoted.sub(b"", line) if b'"' in line else line
        if b'"' in bare:
            columns, reason = walk(taken, following, delimiter, number < doubtful_until)
        else:
            columns = bare.count(delimiter) + 1
        if reason:
            doubtful_until = max(doubtful_until, taken[-1][0] + 1)
            again.extendleft(reversed(taken[1:]))
            del taken[1:]
        elif columns != width:
            reason = "missing columns" if columns < width else "too many columns"
        lines = [line] if len(taken) == 1 else [line for _, line in taken]
        if not reason and sum(map(len, lines)) > LONGEST:
            reason = "longer than 1,900,000 bytes"
        if not reason and not found.is_valid and not is_utf8(b"".join(lines)):
            reason = "not UTF-8"
        yield number, lines, reason


def walk(taken, following, delimiter, is_doubtful):
    """(number of columns, what is wrong with the quotes) of the record that begins with taken[0]; takes more lines in quotes."""
    line, at, columns, size = taken[0][1], 0, 0, 0
    while True:
        columns += 1
        quote = OPENING.match(line, at)
        if quote:
            at = quote.end()
            while True:
                close = line.find(b'"', at)
                if close < 0:
                    size += len(line)
                    more = following() if size < LONGEST else None
                    if more is None:
                        return columns, "a quote that is never closed"
                    taken.append(more)
                    line, at = more[1], 0
                elif line[close + 1 : close + 2] == b'"':
                    at = close + 2
                else:
                    at = SPACES.match(line, close + 1).end()
                    break
            if at < len(line) and not line.startswith(delimiter, at):
                return columns, "text outside of its quotes"
        else:
            end = line.find(delimiter, at)
            end = len(line) if end < 0 else end
            if is_doubtful and b'"' in line[at:end]:
                return columns, "text outside of its quotes"
            at = end
        if at >= len(line):
            return columns, None
        at += len(delimiter)


def is_utf8(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
