"""Runs SQLite's own integrity check on a database file from outside: prints "ok" or the faults."""
import sqlite3
import sys

with sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True) as connection:
    faults = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    faults += [f"foreign key: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
print("ok" if faults == ["ok"] else "\n".join(faults))
