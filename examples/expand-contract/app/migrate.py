#!/usr/bin/python3
"""migrate.py NAME: brings the database from the schema before migration NAME to the one after it, while the app runs.

A migration is a file of paragraphs, and each paragraph is one transaction: short, and tried again when it does not get its
lock within 100 ms. A paragraph with :first and :last is run for one batch of ids after the other. The last paragraph and
the new number are one transaction; run again after a failure, a migration goes on.
"""
import pathlib
import sys
import time

import database

BATCH = 200


def batches(db):
    most = db.run("SELECT max(id) FROM users")[0][0] or 0
    return [{"first": n, "last": n + BATCH - 1} for n in range(1, most + 1, BATCH)]


def transaction(db, statements, **values):
    for tries in range(100):
        try:
            db.begin()
            for statement in statements:
                db.run(statement, **values)
            return db.run("COMMIT")
        except db.Busy:
            db.run("ROLLBACK")
            if tries == 0:
                print("somebody has the table locked; trying again", file=sys.stderr)
            time.sleep(0.05)
    sys.exit("the table is locked by someone else; nothing of this step was done. Look who it is, then run this again")


def statements(paragraph):
    lines = [line for line in paragraph.splitlines() if not line.startswith("--")]
    return [s for s in (part.strip() for part in "\n".join(lines).split(";")) if s]


def migrate(db, name):
    file = next((pathlib.Path(__file__).parent / "migrations" / db.name).glob(f"*-{name}.sql"))
    after = int(file.name.split("-")[0])
    before = database.version(db.run)
    if before != after - 1:
        sys.exit(f"{name} makes schema {after} from {after - 1}, and the database has {before}")
    steps = [statements(paragraph) for paragraph in file.read_text().split("\n\n")]
    for number, step in enumerate(steps, 1):
        if number == len(steps):
            step.append(f"UPDATE schema_version SET version = {after}")
        for batch in batches(db) if ":first" in step[0] else [{}]:
            transaction(db, step, **batch)
    print(f"{name}: schema {before} → {after}", file=sys.stderr)


if __name__ == "__main__":
    migrate(database.connect(), sys.argv[1])
