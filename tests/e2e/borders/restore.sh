#!/usr/bin/env bash
# restore.sh: snapshots across the border, in all four directions, judged by HashKV.
#
#   HOLDFAST_BIN    the server under test (default build/release/bin/holdfast)
#   HOLDFAST_TOOLS  folder of etcd, etcdctl and etcdutl (default build/tools)
#
# A snapshot is saved from holdfast and from etcd after the same random load; each is restored by
# `holdfast snapshot restore` and by `etcdutl snapshot restore`, with and without --bump-revision,
# and served by the server of the same name. All must agree, and go on being written to.
set -euo pipefail
# shellcheck source=server.bash
. "$(dirname "$0")/server.bash"
holdfast=$(realpath "${HOLDFAST_BIN:-$root/build/release/bin/holdfast}")
cd "$work"

hash_kv() { ctl endpoint hashkv | cut -d, -f2- | tr -d ' '; }

# The same load on either server, by one transaction a round.
load() {
  local round
  for round in $(seq 1 40); do
    ctl txn >/dev/null <<EOF

put key/$((round % 7)) value-$round
put other/$round $(printf 'x%.0s' $(seq $((round * 20))))


EOF
    [ $((round % 5)) -ne 0 ] || ctl del "key/$((round % 3 + 3))" >/dev/null
  done
  ctl compact 20 >/dev/null
  ctl put last one >/dev/null
}

restore() { # PROGRAM SNAPSHOT DATA_DIR FLAGS...
  local program=$1 snapshot=$2 directory=$3
  shift 3
  "$program" snapshot restore "$snapshot" --data-dir "$directory" --name m \
    --initial-cluster "m=$peer_url" \
    --initial-advertise-peer-urls "$peer_url" "$@" >>restore.log 2>&1 ||
    { tail restore.log >&2; fail "$program could not restore $snapshot"; }
}

for origin in holdfast etcd; do
  case $origin in holdfast) server=$holdfast ;; etcd) server=$tools/etcd ;; esac
  start "$server" "from-$origin"
  load
  ctl snapshot save "$origin.db" >/dev/null 2>&1
  stop
  cp "$origin.db" copy.db # etcdutl hashkv writes into the file it reads
  "$tools/etcdutl" hashkv copy.db | cut -d, -f1,2 | tr -d ' ' >"$origin.hash"
done
equal "the two snapshots' content" "$(cat holdfast.hash)" "$(cat etcd.hash)"

for flags in "" "--bump-revision 1000 --mark-compacted"; do
  want=
  for origin in etcd holdfast; do
    for target in etcd holdfast; do
      rm -rf restored
      case $target in
        etcd) restorer=$tools/etcdutl server=$tools/etcd ;;
        holdfast) restorer=$holdfast server=$holdfast ;;
      esac
      # shellcheck disable=SC2086
      restore "$restorer" "$origin.db" restored $flags
      start "$server" restored
      ctl put after restore >/dev/null
      got=$(hash_kv)
      equal "$origin's snapshot in $target${flags:+ with $flags}" "$got" "${want:=$got}"
      stop
      start "$server" restored # what was restored also survives a restart
      equal "the same after a restart" "$(hash_kv)" "$want"
      stop
    done
  done
done

# What must be refused, and change nothing.
mkdir full && touch full/file
! "$holdfast" snapshot restore etcd.db --data-dir full >refused.log 2>&1 || fail "a full directory was taken"
grep -q 'not empty' refused.log || fail "no word of why: $(cat refused.log)"
head -c 20000 etcd.db >cut.db
! "$holdfast" snapshot restore cut.db --data-dir cut >refused.log 2>&1 || fail "a cut file was taken"
[ ! -e cut ] || fail "a refused restore left a data directory"
printf '\377' | dd of=etcd.db bs=1 seek=9000 conv=notrunc 2>/dev/null
! "$holdfast" snapshot restore etcd.db --data-dir flipped >refused.log 2>&1 || fail "a changed file was taken"
grep -q 'SHA-256' refused.log || fail "no word of why: $(cat refused.log)"
echo "refused: a full directory, a cut file, a changed file"
