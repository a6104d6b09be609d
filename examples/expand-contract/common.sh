#!/usr/bin/env bash
# shellcheck disable=SC2034  # who sources this reads what it sets
# common.sh: what rename.sh and naive.sh share: Sluice, the load, and that they end.
export SLUICE_ADMIN=unix:///tmp/sluice-expand-contract.sock
started=()

begin() { # Sluice, v1 and the load
  trap finish EXIT
  rm -rf run/state
  sluice run --config sluice.yaml >run/sluice.log 2>&1 & started+=($!)
  for _ in {1..100}; do sluice status >/dev/null 2>&1 && break; sleep 0.1; done
  ./migrate.sh start
  ./deploy.sh v1
  run/load -ledger run/ledger.txt >run/load.txt 2>run/errors.txt & load=$!; started+=($!)
  let_work
}

finish() {
  code=$?
  [ $code = 0 ] || tail -n 20 run/sluice.log run/errors.txt run/blue.log run/green.log
  kill "${started[@]}" 2>/dev/null || true
  wait
  ./stop.sh blue; ./stop.sh green
}

# stop_load ends the load, and sets load_code, and lost to how many acknowledged writes are not in the database.
stop_load() { # RELEASE: the one that reads the table
  load_code=0
  kill -INT "$load"; wait "$load" || load_code=$?
  RELEASE=$1 app/app.py names >run/names.txt
  lost=$(LC_ALL=C comm -23 <(LC_ALL=C sort run/ledger.txt) <(LC_ALL=C sort run/names.txt) | wc -l)
  cat run/load.txt
  echo "database: $lost of $(wc -l <run/ledger.txt) acknowledged users are not as they were written last"
}

# let_work waits until the live release has answered 200 requests more.
let_work() {
  answered() { sluice status web --json | jq '.services[0].pools[] | select(.live) | .backends[0].requests'; }
  local from; from=$(answered)
  for _ in {1..400}; do [ $(($(answered) - from)) -ge 200 ] && return; sleep 0.05; done
  echo "the load does not get on"; exit 1
}

await() { # WORDS COMMAND…: until it says them
  local words=$1; shift
  for _ in {1..400}; do "$@" | grep -qF -- "$words" && return; sleep 0.05; done
  echo "no \"$words\" of: $*"; exit 1
}

refused() { # WORDS COMMAND…: it has to fail, and to say so
  local words=$1 out; shift
  if out=$("$@" 2>&1); then echo "was not refused: $*"; exit 1; fi
  grep -qF -- "$words" <<<"$out" || { echo "refused for another reason: $*: $out"; exit 1; }
  echo "refused: $(grep -F -- "$words" <<<"$out" | tail -n 1)"
}
