"""Settings of the local Superset that `make superset` starts: one user, one machine, no outside network."""

import os
from pathlib import Path

from superset.config import TALISMAN_CONFIG

HOME = Path(os.environ["SUPERSET_HOME"])

SECRET_KEY = (HOME / "secret_key").read_text()
SQLALCHEMY_DATABASE_URI = f"sqlite:///{HOME / 'superset.db'}"
TALISMAN_CONFIG["content_security_policy"] = {
    # the browser itself refuses every other host: map tiles, fonts, and the pixel that counts installations
    **TALISMAN_CONFIG["content_security_policy"],
    "img-src": ["'self'", "blob:", "data:"],
    "connect-src": ["'self'"],
    "style-src": ["'self'", "'unsafe-inline'"],
    "font-src": ["'self'", "data:"],
}
# the address and the password stay in sight
LOG_LEVEL = "ERROR"
SESSION_COOKIE_SAMESITE = "Strict"
# every chart asks the published file again, so that a publish is seen at the next reload
DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
