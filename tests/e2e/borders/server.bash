# server.bash: for the scripts of this folder and of sealed/ to source: one server at a time, on loopback, in $work,
# which is gone at the end.
#
#   HOLDFAST_TOOLS  folder of etcd, etcdctl and etcdutl (default build/tools)

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
tools=$(realpath "${HOLDFAST_TOOLS:-$root/build/tools}")
work=$(mktemp -d)
pid=
cleanup() {
  [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

fail() { echo "$(basename "$0"): $*" >&2; exit 1; }
equal() { [ "$2" = "$3" ] || fail "$1: got $2, want $3"; echo "equal: $1 ($2)"; }
free_ports() { "$root/tests/tools/free-ports" "$1"; }
{ read -r port && read -r peer_port; } < <(free_ports 2)
url=http://127.0.0.1:$port
peer_url=http://127.0.0.1:$peer_port
ctl() { "$tools/etcdctl" --endpoints "$url" "$@"; }

# start PROGRAM DATA_DIR: serves it and waits for an answer.
start() {
  "$1" --data-dir "$2" --name m --listen-client-urls "$url" --advertise-client-urls "$url" \
    --listen-peer-urls "$peer_url" --initial-advertise-peer-urls "$peer_url" \
    --initial-cluster "m=$peer_url" --log-level warn >>"$work/server.log" 2>&1 &
  pid=$!
  for _ in $(seq 300); do
    curl -fsS "$url/health" >/dev/null 2>&1 && return
    kill -0 "$pid" 2>/dev/null || { tail "$work/server.log" >&2; fail "$1 ended"; }
    sleep 0.1
  done
  fail "$1 did not answer within 30 s"
}
# stop [SIGNAL]: and waits for the end, which must be the signal's or in good order.
stop() {
  local status=0 signal=${1:-TERM}
  kill "-$signal" "$pid"
  wait "$pid" 2>/dev/null || status=$?
  [ $status -eq 0 ] || [ $status -eq $((128 + $(kill -l "$signal"))) ] ||
    fail "the server stopped with status $status"
  pid=
}
