"""An HTML page as a tree, to read its tables, texts and drawings back."""

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Node:
    """An element: its tag, attributes, and children, which are nodes and texts."""

    def __init__(self, tag, attributes=()):
        self.tag, self.attributes, self.children = tag, dict(attributes), []

    def __getitem__(self, attribute):
        return self.attributes[attribute]

    @property
    def text(self):
        """All text in it, with every run of white space as one space."""
        return " ".join(self.raw_text.split())

    @property
    def raw_text(self):
        return "".join(child if isinstance(child, str) else child.raw_text for child in self.children)

    @property
    def classes(self):
        return self.attributes.get("class", "").split()

    def all(self, tag=None, **attributes):
        """Every element in it of that tag with these attributes (`class_` for one of its classes)."""
        wanted_class = attributes.pop("class_", None)
        for child in self.children:
            if isinstance(child, str):
                continue
            if (
                (tag is None or child.tag == tag)
                and (wanted_class is None or wanted_class in child.classes)
                and all(child.attributes.get(name) == value for name, value in attributes.items())
            ):
                yield child
            yield from child.all(tag, **attributes, **({"class_": wanted_class} if wanted_class else {}))

    def one(self, tag=None, **attributes):
        (found,) = self.all(tag, **attributes)
        return found

    def rows(self, cells=("th", "td")):
        """The cells of the rows of a table's body."""
        return [[c for c in row.children if not isinstance(c, str) and c.tag in cells] for row in self.one("tbody").all("tr")]


class Page(HTMLParser):
    """The tree of a page in `root`; `declarations` and `comments` are what else is in it."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.root = Node("page")
        self.open, self.declarations, self.comments = [self.root], [], []
        self.feed(text)
        self.close()
        assert self.open == [self.root], f"never closed: {[node.tag for node in self.open[1:]]}"

    def handle_starttag(self, tag, attributes):
        node = Node(tag, attributes)
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag, attributes):
        self.open[-1].children.append(Node(tag, attributes))

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].children.append(data)

    def handle_decl(self, declaration):
        self.declarations.append(declaration)

    def handle_comment(self, comment):
        self.comments.append(comment)


def numbers(text):
    """The numbers in a text, in its order: 1,234.5 and −3 as 1234.5 and -3.0; words such as 30d and days of months too."""
    return [float(n.replace(",", "").replace("−", "-")) for n in re.findall(r"[−-]?\d[\d,]*(?:\.\d+)?", text)]


def points(node):
    """The points of a polyline or polygon."""
    return [tuple(map(float, point.split(","))) for point in node["points"].split()]
