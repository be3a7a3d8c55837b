"""Write seeds/phone_regions.csv: how phone numbers are dialled in each country, from the phonenumbers library's metadata.

phonenumbers (a port of Google's libphonenumber) is a requirement of development only. A test writes the seed once more
and compares; after an update of the library: .venv/bin/python scripts/generate_phone_regions.py
"""

import argparse
import csv
import io
import re
from pathlib import Path

import phonenumbers
from phonenumbers.phonemetadata import PhoneMetadata

SEED = Path(__file__).parents[1] / "seeds" / "phone_regions.csv"
COLUMNS = ("region", "calling_code", "is_main", "international_prefix", "national_prefix", "prefix_pattern", "prefix_transform",
           "number_pattern")  # fmt: skip


def regions():
    """One row per region. What is plain text in the library, or the same as the column before it, needs no pattern."""
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        data = PhoneMetadata.metadata_for_region(region)
        international, prefix, pattern = data.international_prefix or "", data.national_prefix or "", data.national_prefix_for_parsing or ""
        yield {
            "region": region,
            "calling_code": data.country_code,
            "is_main": str(phonenumbers.region_code_for_country_code(data.country_code) == region).lower(),
            "international_prefix": international if re.fullmatch("[0-9]+", international) and international != "00" else "",
            "national_prefix": prefix,
            # a list of digits beside the national prefix are codes of services, such as Britain's text relay
            "prefix_pattern": "" if prefix in pattern.split("|") and re.fullmatch("[0-9|]*", pattern) else f"^(?:{pattern})" if pattern else "",
            "prefix_transform": data.national_prefix_transform_rule or "",
            "number_pattern": data.general_desc.national_number_pattern,
        }


def text():
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(regions())
    return file.getvalue()


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    SEED.write_text(text())
    print(SEED)
