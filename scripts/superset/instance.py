"""A Superset with the lifecycle dashboard: where it lives, and how the dashboard gets into it."""

import os
import secrets
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATABASE_FILE = "databases/customer_lifecycle.yaml"
DASHBOARD_SLUG = "customer-lifecycle"


def published_file(path):
    """The published file as an absolute path; exit with 2 and a message if there is none."""
    published = Path(path or os.environ.get("LIFECYCLE_PUBLISHED", "published/customer_lifecycle.duckdb")).resolve()
    if not published.is_file():
        print(
            f"superset: there is no published file {published} (LIFECYCLE_PUBLISHED); run `make demo`", file=sys.stderr
        )
        sys.exit(2)
    return published


def configure(home):
    """Point Superset at `home`, private to its owner, and make its secret key once; before anything of Superset is imported."""
    os.umask(0o077)
    home.mkdir(parents=True, exist_ok=True)
    key = home / "secret_key"
    if not key.exists():
        key.write_text(secrets.token_urlsafe(48))
    os.environ["SUPERSET_HOME"] = str(home)
    os.environ["SUPERSET_CONFIG_PATH"] = str(HERE / "superset_config.py")
    os.environ["FLASK_APP"] = "superset.app:create_app()"


def bundle(published):
    """The dashboard as {file name: YAML} for ImportAssetsCommand, its database being the file `published`."""
    import yaml

    root = HERE / "dashboard"
    files = {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*.yaml"))}
    database = yaml.safe_load(files[DATABASE_FILE])
    options = database["sqlalchemy_uri"].partition("?")[2]
    database["sqlalchemy_uri"] = f"duckdb:///{published}?{options}"
    files[DATABASE_FILE] = yaml.safe_dump(database)
    files["metadata.yaml"] = yaml.safe_dump(yaml.safe_load(files["metadata.yaml"]) | {"type": "assets"})
    return files


def import_dashboard(published, user):
    """Import the dashboard as `user`; what is already there with the same uuids is overwritten."""
    from flask import g
    from superset.commands.importers.v1.assets import ImportAssetsCommand

    g.user = user
    ImportAssetsCommand(bundle(published)).run()
