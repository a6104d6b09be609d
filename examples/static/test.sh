#!/usr/bin/env bash
# Deploys a site in both ways under traffic that never retries: good releases, one that is not what it says, a rollback.
# Nothing may be lost, and a page that was loaded before a flip has to find its script after it.
set -euo pipefail
cd "$(dirname "$0")"
rm -rf run && mkdir -p run/docs/none
go build -o run/watch ../watch
build() { # RELEASE: what a bundler makes of it; the script has another name in each release
  mkdir -p "run/build-$1/assets"
  echo "<script src=/assets/$1.js></script> $1" >"run/build-$1/index.html"
  echo "release('$1')" >"run/build-$1/assets/$1.js"
}
build v1; build v2; build v3; echo "half a page" >run/build-v3/index.html
cp -a run/build-v1 run/blue && ln -s none run/docs/current
export SLUICE_ADMIN=unix:///tmp/sluice-example.sock
sluice run --config sluice.yaml >run/sluice.log 2>&1 & sluice_pid=$!
watch_pid='' docs_pid=''
finish() {
  code=$?
  [ $code = 0 ] || tail -n 20 run/sluice.log
  kill $watch_pid $docs_pid $sluice_pid 2>/dev/null || true
}
trap finish EXIT
fetch() { curl -fs "http://127.0.0.1:8080$1"; }
for _ in {1..50}; do fetch / >/dev/null && break; sleep 0.1; done

run/watch -url http://127.0.0.1:8080/ >run/watch.txt & watch_pid=$!
./deploy.sh v2 run/build-v2
fetch / | grep -q v2
fetch /assets/v1.js | grep -q v1
if ./deploy.sh v3 run/build-v3; then echo "a release that fails its smoke test was let through"; exit 1; fi
fetch / | grep -q v2
sluice status web

./link.sh v1 ../build-v1
run/watch -url http://127.0.0.1:8080/docs/ >run/docs.txt & docs_pid=$!
./link.sh v2 ../build-v2
if ./link.sh v3 ../build-v3; then echo "a release that fails its smoke test was let through"; exit 1; fi
fetch /docs/ | grep -q v2

kill -INT $watch_pid $docs_pid; wait $watch_pid; wait $docs_pid
cat run/watch.txt run/docs.txt
