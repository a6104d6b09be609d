"""The two databases that the app runs on: DATABASE_URL is postgresql://… or sqlite:FILE. A statement names its values as :name."""
import os
import re
import sqlite3


def connect():
    url = os.environ["DATABASE_URL"]
    return SQLite(url.removeprefix("sqlite:")) if url.startswith("sqlite:") else PostgreSQL(url)


def version(run):
    """The number of the last migration, and 0 before the first."""
    try:
        return run("SELECT version FROM schema_version")[0][0]
    except Exception as error:
        if "schema_version" in str(error):  # no such table
            return 0
        raise


class PostgreSQL:
    name = "postgresql"

    def __init__(self, url):
        import psycopg2  # Debian: python3-psycopg2

        self.connection = psycopg2.connect(url)
        self.connection.autocommit = True
        self.Busy = psycopg2.errors.LockNotAvailable

    def run(self, sql, **values):
        with self.connection.cursor() as cursor:
            cursor.execute(re.sub(r":(\w+)", r"%(\1)s", sql), values)
            return cursor.fetchall() if cursor.description else []

    def begin(self):
        """A migration must not stand in line for a lock: all that come after it would stand behind it."""
        self.run("BEGIN")
        self.run("SET LOCAL lock_timeout = '100ms'")


class SQLite:
    name = "sqlite"
    Busy = sqlite3.OperationalError

    def __init__(self, path):
        self.connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        self.run("PRAGMA journal_mode = WAL")
        self.run("PRAGMA synchronous = NORMAL")

    def run(self, sql, **values):
        return self.connection.execute(sql, values).fetchall()

    def begin(self):
        self.run("BEGIN IMMEDIATE")
