#!/usr/bin/env bash
# naive.sh rename|copy: the same in one deployment, in the two ways that it is done. Sluice, asked, says no; this one goes on.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. ./common.sh
sql() { PYTHONPATH=app /usr/bin/python3 -c 'import sys, database; db = database.connect(); [db.run(s) for s in sys.argv[1:]]' "$@"; }

begin
refused "does not work with schema 1" ./deploy.sh v4
refused "takes the traffic" sluice retire web v1
case $1 in
rename)
  sql "ALTER TABLE users RENAME COLUMN username TO display_name" "UPDATE schema_version SET version = 5"
  ./deploy.sh v4 ;;
copy)
  sql "ALTER TABLE users ADD COLUMN display_name text" "UPDATE users SET display_name = username" "UPDATE schema_version SET version = 5"
  ./deploy.sh v4
  sql "ALTER TABLE users DROP COLUMN username" ;;
esac
let_work
stop_load v4
failed=$(sed -E 's/.* ([0-9]+) failed.*/\1/' run/load.txt)
if [ "$load_code" != 1 ] || [ "$((failed + lost))" = 0 ]; then echo "the naive way lost nothing: this load would not see a loss"; exit 1; fi
if [ "$1" = copy ] && [ "$lost" = 0 ]; then echo "no acknowledged write was lost: this load would not see it"; exit 1; fi
