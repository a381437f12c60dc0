#!/bin/bash
# The failover of playbooks/postgres-two-sites.yaml as a script: the same questions, changes and proofs, with psql, ssh,
# curl, nsupdate and dig. benches/failover.rs starts it with the addresses in the environment.
set -euo pipefail

app() { curl -fs -o /dev/null -m 3 --connect-to "::$2:$APP_PORT" "http://$ZONE:$APP_PORT/$1"; }
tcp() { timeout 3 bash -c "exec 3<>/dev/tcp/${1%:*}/${1#*:}" 2>/dev/null; }
probe() {
  curl -fs -m 3 -G "$1" -d "module=$2" --data-urlencode "target=$3" ${4:+-d "hostname=$4"} | grep -q '^probe_success 1'
}
on() { ssh -F "$SSH_CONFIG" "$@"; }
sql() { # USER PASSWORD ADDRESS STATEMENT
  PGPASSWORD=$2 psql -XAtq "host=${3%:*} port=${3#*:} user=$1 dbname=$DATABASE sslmode=verify-full \
    sslrootcert=$PG_CA connect_timeout=3" -c "$4"
}
die() { echo "failover.sh: $*" >&2; exit 1; }

# Guards, all at once: a majority says the origin is down, a majority says the destination is up, the standby is fresh.
down_here() { ! app healthz "$APP_GRA" && ! tcp "$PG_GRA"; }
down_at() {
  ! probe "$1" http_2xx "http://$APP_GRA:$APP_PORT/healthz" "$ZONE:$APP_PORT" && ! probe "$1" tcp_connect "$PG_GRA"
}
up_here() { app livez "$APP_SBG" && tcp "$PG_SBG"; }
up_at() {
  probe "$1" http_2xx "http://$APP_SBG:$APP_PORT/livez" "$ZONE:$APP_PORT" && probe "$1" tcp_connect "$PG_SBG"
}
majority() {
  local votes=0 pid
  for pid in "$@"; do if wait "$pid"; then votes=$((votes + 1)); fi; done
  [ "$votes" -ge 2 ]
}
down_here & d1=$!
down_at "$BB_PAR" & d2=$!
down_at "$BB_SBG" & d3=$!
up_here & u1=$!
up_at "$BB_PAR" & u2=$!
up_at "$BB_SBG" & u3=$!
recovers=$(sql pointsman "$PG_PASSWORD" "$PG_SBG" "select pg_is_in_recovery() and pg_last_wal_replay_lsn() is not null")
[ "$recovers" = t ] || die "the standby is none"
majority $d1 $d2 $d3 || die "the origin is not down"
majority $u1 $u2 $u3 || die "the destination is not up"

# Fence: the database first, then its machine.
! sql pointsman "$PG_PASSWORD" "$PG_GRA" "select 1" 2>/dev/null || die "the old primary answers"
on pg-gra-host fence >/dev/null
on pg-gra-host fenced >/dev/null

# Promote.
[ "$(sql pointsman "$PG_PASSWORD" "$PG_SBG" "select pg_promote(true, 60)")" = t ] || die "not promoted"
[ "$(sql pointsman "$PG_PASSWORD" "$PG_SBG" "select pg_is_in_recovery()")" = f ] || die "still in recovery"

# Point the application at it, and restart it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
on "$APP_HOST" "read-file /etc/shop/env" > "$work/old"
sed "s/^DATABASE_HOST=.*/DATABASE_HOST=${PG_SBG%:*}/" "$work/old" > "$work/new"
sum() { sha256sum "$1" | cut -d' ' -f1; }
on "$APP_HOST" "write-file /etc/shop/env $(sum "$work/old") $(sum "$work/new")" < "$work/new"
on "$APP_HOST" "read-file /etc/shop/env" | cmp -s - "$work/new" || die "the file is not as written"
on "$APP_HOST" restart-shop >/dev/null
on "$APP_HOST" shop-is-current >/dev/null
tries=0
for pass in 1 2 3; do
  until app "healthz?deep=1" "$APP_SBG"; do
    tries=$((tries + 1)); [ $tries -lt 200 ] || die "the application does not write (pass $pass)"
    sleep 0.05
  done
done

# The name, at every authoritative server.
nsupdate -k "$UPDATE_KEY" <<EOF
server ${NS1%:*} ${NS1#*:}
zone $ZONE
update delete $ZONE A
update delete $ZONE AAAA
update add $ZONE 60 A $APP_SBG
update add $ZONE 60 AAAA $ADDRESS6
send
EOF
for ns in "$NS1" "$NS2"; do
  tries=0
  until [ "$(dig +short +norec -p "${ns#*:}" "@${ns%:*}" "$ZONE" A)" = "$APP_SBG" ]; do
    tries=$((tries + 1)); [ $tries -lt 200 ] || die "$ns does not have the new address"
    sleep 0.05
  done
done

# Proof: a committed write, and the public name from two places.
sql shop "$SHOP_PASSWORD" "$PG_SBG" "set client_min_messages = error;
  create table if not exists pointsman_marker (run text primary key, epoch bigint not null,
    at timestamptz not null default clock_timestamp());
  insert into pointsman_marker (run, epoch) values ('script-$$', 1)"
tries=0
until curl -fs -o /dev/null -m 3 "http://$ZONE:$APP_PORT/healthz" &&
  probe "$BB_PAR" http_2xx "http://$ZONE:$APP_PORT/healthz"; do
  tries=$((tries + 1)); [ $tries -lt 200 ] || die "users do not reach the new site"
  sleep 0.05
done
