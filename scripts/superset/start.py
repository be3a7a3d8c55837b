"""Start Superset on this machine with the lifecycle dashboard on the published file; `make superset` runs it.

Everything it keeps (its own database, its secret key) lies in one folder. At the first start it makes an administrator
and prints the password once. The dashboard is imported again whenever its YAML or the published file's path changes.
"""

import argparse
import hashlib
import logging
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import instance


def superset(log, *arguments):
    """Run one of Superset's own commands; exit with 1 and the place of its log if it fails."""
    command = [Path(sys.executable).with_name("superset"), *arguments]
    with log.open("a") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"superset: `superset {' '.join(arguments)}` failed; {log} says why")


def prepare(home, published):
    """Bring the metadata database up to date, make the administrator once, and import the dashboard if it changed."""
    log = home / "setup.log"
    stamp = home / "imported"
    lock = (instance.HERE / "requirements.lock").read_text()
    wanted = hashlib.sha256(repr((sorted(instance.bundle(published).items()), lock)).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("Preparing Superset's own database (about two minutes at the first start) ...", flush=True)
    superset(log, "db", "upgrade")
    superset(log, "init")
    logging.disable(logging.WARNING)
    from superset.app import create_app

    with create_app().app_context():
        from superset import db, security_manager

        admin = security_manager.find_user("admin")
        if admin is None:
            password = secrets.token_urlsafe(12)
            admin = security_manager.add_user(
                "admin", "Local", "Administrator", "admin@localhost", security_manager.find_role("Admin"), password
            )
            print(f"User admin, password {password}  (made just now, shown only here)", flush=True)
        instance.import_dashboard(published, admin)
        db.session.commit()
    stamp.write_text(wanted)


def check_port(port):
    """Exit with 2 if another program listens on the port: better now than after minutes of preparing."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            print(f"superset: port {port} is in use; choose another: make superset PORT=8089", file=sys.stderr)
            sys.exit(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--published", help="the published DuckDB file (LIFECYCLE_PUBLISHED)")
    parser.add_argument("--home", type=Path, default=Path(".superset"), help="folder for what Superset keeps")
    parser.add_argument("--port", type=int, default=8088)
    options = parser.parse_args()
    published = instance.published_file(options.published)
    check_port(options.port)
    home = options.home.resolve()
    instance.configure(home)
    prepare(home, published)
    address = f"http://127.0.0.1:{options.port}/superset/dashboard/{instance.DASHBOARD_SLUG}/"
    print(f"{address}  (Ctrl-C ends it)", flush=True)
    gunicorn = ["gunicorn", "--bind", f"127.0.0.1:{options.port}", "--threads", "8", "--log-level", "warning"]
    os.execv(sys.executable, [sys.executable, "-m", *gunicorn, "--timeout", "120", "superset.app:create_app()"])


if __name__ == "__main__":
    main()
