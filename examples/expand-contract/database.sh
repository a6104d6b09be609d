#!/usr/bin/env bash
# database.sh start|create|stop DIR [NAME]: databases of our own in DIR, which nobody else reaches; create prints the URL of a
# new one. PostgreSQL, by a socket in DIR; SQLite where that is not installed, or if DATABASE=sqlite.
set -euo pipefail
shopt -s nullglob
verb=$1 dir=$2
bins=(/usr/lib/postgresql/*/bin)
bin=${bins[-1]:-}
as=()
if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid=postgres --regid=postgres --clear-groups); fi   # it refuses to run as root
installed() {
  [ "${DATABASE:-}" != sqlite ] && "${as[@]}" "$bin/initdb" --version >/dev/null 2>&1 && /usr/bin/python3 -c 'import psycopg2' 2>/dev/null
}
server() { cd "$dir" && "${as[@]}" "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" "$@" >/dev/null; }
case $verb in
start)
  installed || exit 0
  [ ${#as[@]} = 0 ] || chown postgres:postgres "$dir"
  (cd "$dir" && "${as[@]}" "$bin/initdb" -D "$dir/data" -U app --auth=trust --no-sync >/dev/null)
  server start -o "-c listen_addresses= -c max_connections=200 -k $dir" ;;
create)
  if [ ! -d "$dir/data" ]; then echo "sqlite:$dir/$3.db"; exit; fi
  "$bin/createdb" -h "$dir" -U app "$3"
  echo "postgresql:///$3?host=$dir&user=app" ;;
stop)
  [ ! -d "$dir/data" ] || server stop -m immediate ;;
esac
