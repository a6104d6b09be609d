#!/usr/bin/env bash
# Whether the releases work with the schemas that they say, the rename under a load that never asks twice, with each way back
# that there is and each that there is not, and the rename in one step, which loses. DATABASE=sqlite does it on SQLite.
set -euo pipefail
cd "$(dirname "$0")"
rm -rf run && mkdir -p run
go build -o run/load ./load
dir=$(mktemp -d /tmp/sluice-example.XXXXXX)
trap './database.sh stop "$dir"; rm -rf "$dir"' EXIT
./database.sh start "$dir"
on() { DATABASE_URL=$(./database.sh create "$dir" "$1"); export DATABASE_URL; echo "== $1, on ${DATABASE_URL%%:*}"; }

DATABASE_URL=sqlite:$dir/first.db app/matrix.py >run/sqlite.txt 2>&1 || { cat run/sqlite.txt; exit 1; }
on matrix; app/matrix.py
on rename; ./rename.sh
on naive_rename; ./naive.sh rename
on naive_copy; ./naive.sh copy
