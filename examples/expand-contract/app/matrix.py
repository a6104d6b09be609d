#!/usr/bin/python3
"""matrix.py: whether the ranges in releases.py are true. At each schema, all releases that say they work with it write users
and rename those of the others, over the migration to the next schema too, and each has to read what was written last. A
release that says it does not work with a schema has to fail there, or the range is narrower than need be."""
import sys

import database
from migrate import migrate
from releases import RELEASES

db = database.connect()
written = {}  # by id: the last name


def fits(release, schema):
    least, most = RELEASES[release]["schema"]
    return least <= schema <= most


def write(release, key):
    """One user who stays as he is, and one who is renamed by each release."""
    insert, update = RELEASES[release]["insert"], RELEASES[release]["update"]
    for known in [None] + list(written):
        name = f"{key}-{release}-{known}"
        if known is None:
            known = db.run(insert, name=name)[0][0]
        else:
            db.run(update, name=name, id=known)
        written[known] = name


def wrong(release):
    return dict(db.run(RELEASES[release]["select"])) != written


def works(release, schema, others):
    """In a transaction of its own, which leaves nothing behind."""
    before = dict(written)
    db.run("BEGIN")
    try:
        for writer in [release] + others:
            write(writer, "trial")
            if any(wrong(reader) for reader in [release] + others):
                return False
        return True
    except Exception as error:
        print(f"  schema {schema}, {release}: {str(error).splitlines()[0]}")
        return False
    finally:
        db.run("ROLLBACK")
        written.clear()
        written.update(before)


failed = 0
for schema, name in enumerate(["start", "expand", "move", "relax", "contract"], 1):
    migrate(db, name)
    inside = [r for r in RELEASES if fits(r, schema)]
    for reader in inside:
        if wrong(reader):
            failed += 1
            print(f"  schema {schema}, {reader}: what was written before the migration is not what it reads")
    row = {r: works(r, schema, [o for o in inside if o != r]) for r in RELEASES}
    print(f"schema {schema}: " + "  ".join(f"{r} {'works' if ok else '-    '}" for r, ok in row.items()))
    failed += sum(row[r] != fits(r, schema) for r in RELEASES)
    for writer in inside + inside[:1]:  # what stays: each on top of the other
        write(writer, schema)
sys.exit(failed)
