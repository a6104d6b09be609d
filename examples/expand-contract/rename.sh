#!/usr/bin/env bash
# username becomes display_name in three deployments, under the load. Nothing may be lost.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. ./common.sh
there_and_back() { # both releases get work, and the way forward again is a rollback too
  sluice rollback web; let_work
  sluice rollback web; let_work
}

begin
refused "does not work with schema 1" ./deploy.sh v2   # before its migration

# Somebody reads the table in a long transaction: the migration does not stand in line, as all others would stand behind it.
PYTHONPATH=app /usr/bin/python3 -c 'import database, time
db = database.connect(); db.begin(); db.run("SELECT count(*) FROM users"); print("reads", flush=True); time.sleep(1)' >run/report.txt & report=$!
await "reads" cat run/report.txt
./migrate.sh expand 2>&1 | tee run/expand.txt
[[ $DATABASE_URL = sqlite:* ]] || grep -q "trying again" run/expand.txt
wait "$report"
let_work
./deploy.sh v2
let_work
refused "a rollback goes to it" sluice retire web v1
there_and_back

# A job that still runs v1 is waited for.
RELEASE=v1 ./job.sh v1 bash -c 'until [ -f run/job.done ]; do app/app.py names; sleep 0.2; done' >run/job.txt & job=$!
await "job-" sluice lease
./migrate.sh move v1 >run/move.txt 2>&1 & migration=$!
await "lease: lease job-" cat run/move.txt
touch run/job.done
wait "$job"
wait "$migration"
cat run/move.txt
./deploy.sh v3
let_work
there_and_back

./migrate.sh relax v2
./deploy.sh v4
let_work
there_and_back

refused "a rollback goes to it" sluice retire web v3
./migrate.sh contract v3
let_work

# From here there is no way back.
await "schema    5" sluice status web
sluice status web
refused "is of a retired release" sluice rollback web
refused "release v3 of web is retired" ./deploy.sh v3
refused "release v1 of web is retired" ./job.sh v1 true
refused "does not work with schema 5" ./deploy.sh v3-hotfix
let_work

stop_load v4
sluice history web
[ "$load_code" = 0 ] && [ "$lost" = 0 ]
