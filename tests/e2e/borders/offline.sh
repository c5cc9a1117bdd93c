#!/usr/bin/env bash
# offline.sh: what the subcommands say of files, beside what etcdutl and a running member say.
#
#   HOLDFAST_BIN    the server under test (default build/release/bin/holdfast)
#   HOLDFAST_TOOLS  folder of etcd, etcdctl and etcdutl (default build/tools)
#
# Snapshots saved from either server are described alike by both programs, in every form. A stopped
# member's directory hashes to what the member said while it ran, also after kill -9, when its log has
# more than its store; verify finds each of several planted damages and changes nothing; defrag and
# migrate change what they say and nothing else; none of them touches a member that runs.
set -euo pipefail
# shellcheck source=server.bash
. "$(dirname "$0")/server.bash"
holdfast=$(realpath "${HOLDFAST_BIN:-$root/build/release/bin/holdfast}")
cd "$work"

# refused WORDS COMMAND...: fails with an error that has the words.
refused() {
  local words=$1 said
  shift
  if said=$("$@" 2>&1); then fail "not refused: $*"; fi
  [[ $said == *"$words"* ]] || fail "$*: says '$said', not '$words'"
}
number() { "$holdfast" status --data-dir "$1" -w json | jq -r ".$2"; }
load() {
  local round
  for round in $(seq 1 40); do
    printf '\nput key/%s value-%s\nput other/%s x\n\n\n' $((round % 7)) "$round" $((round % 5)) | ctl txn > /dev/null
    [ $((round % 5)) -ne 0 ] || ctl del "key/$((round % 3 + 3))" > /dev/null
  done
  ctl lease grant 6000 > /dev/null
  ctl compact 20 > /dev/null
}

for origin in etcd holdfast; do
  case $origin in holdfast) server=$holdfast ;; etcd) server=$tools/etcd ;; esac
  start "$server" "from-$origin"
  load
  ctl snapshot save "$origin.db" > /dev/null 2>&1
  running=$(ctl endpoint hashkv -w json | jq -c '.[0].HashKV | [.hash, .hash_revision, .compact_revision]')
  [ "$origin" = etcd ] || refused "another process" "$holdfast" defrag --data-dir from-holdfast
  [ "$origin" = etcd ] || refused "another process" "$holdfast" hashkv from-holdfast
  stop KILL
  for form in simple table json fields; do
    equal "status of $origin's snapshot ($form)" "$("$holdfast" snapshot status "$origin.db" -w $form)" \
      "$("$tools/etcdutl" snapshot status "$origin.db" -w $form)"
    cp "$origin.db" copy.db # etcdutl hashkv writes into the file it reads
    equal "hashkv of $origin's snapshot ($form)" "$("$holdfast" hashkv "$origin.db" -w $form)" \
      "$("$tools/etcdutl" hashkv copy.db -w $form)"
  done
  cp "$origin.db" copy.db
  equal "hashkv at a revision" "$("$holdfast" hashkv "$origin.db" --rev 30)" "$("$tools/etcdutl" hashkv copy.db --rev 30)"
  refused "compacted" "$holdfast" hashkv "$origin.db" --rev 3
  "$holdfast" verify "$origin.db" > verified.txt || fail "a sound snapshot is not verified"
done
refused "from-etcd holds an etcd's data" "$holdfast" status --data-dir from-etcd
refused "there is no member" "$holdfast" status --data-dir nowhere
[ ! -e nowhere ] || fail "status made a directory"

# The member was killed: the directory hashes to what it said, whatever its store had.
find from-holdfast -type f -exec sha256sum {} + | grep -v lock.mdb | sort > before.sums
offline=$("$holdfast" hashkv from-holdfast -w json | jq -c '[.hash, .hashRevision, .compactRevision]')
equal "hashkv of the killed member" "$offline" "$running"
"$holdfast" verify from-holdfast
[ "$(number from-holdfast revision)" = "$(jq -r .[1] <<< "$running")" ] || fail "status says another revision"
[ "$(number from-holdfast leases)" = 1 ] || fail "status says another number of leases"
find from-holdfast -type f -exec sha256sum {} + | grep -v lock.mdb | sort > after.sums
equal "what looking at it changed" "$(diff before.sums after.sums || true)" ""

# Damage, in copies.
damage() { # NAME FILE OFFSET...: a byte of the copy's file, at each offset
  local file=${2/#$1/damaged} at
  rm -rf damaged
  cp -r "$1" damaged
  shift 2
  for at in "$@"; do printf '\377' | dd of="$file" bs=1 seek="$at" conv=notrunc status=none; done
}
places_of() { grep -abo "$1" "$2" | cut -d: -f1; }
log=$(find from-holdfast/member/wal -name '*.wal' | sort | head -n 1)
damage from-holdfast "$log" 200
refused "wal" "$holdfast" verify damaged
store=from-holdfast/member/store/data.mdb
mapfile -t places < <(places_of value-40 $store) # pages that are no longer used have it too
damage from-holdfast $store "${places[@]}"
refused "checksum" "$holdfast" verify damaged
mapfile -t places < <(places_of value-40 etcd.db)
damage etcd.db etcd.db "${places[0]}"
refused "SHA-256" "$holdfast" verify damaged
refused "SHA-256" "$holdfast" snapshot status damaged
rm -rf damaged
head -c 8000 etcd.db > cut.db
refused "cut.db" "$holdfast" verify cut.db

# A store with much free space gives it back, and nothing else changes.
start "$holdfast" from-holdfast
value=$(head -c 60000 /dev/zero | tr '\0' x)
for n in $(seq 300); do ctl put "big/$n" "$value" > /dev/null; done
ctl del big/ --prefix > /dev/null
ctl compact "$(ctl get x -w json | jq .header.revision)" --physical > /dev/null
stop
hash=$("$holdfast" hashkv from-holdfast)
before=$(number from-holdfast dbSize)
"$holdfast" defrag --data-dir from-holdfast
after=$(number from-holdfast dbSize)
[ "$after" -lt 4000000 ] && [ "$after" -le "$before" ] || fail "defrag left $after of $before bytes"
equal "hashkv after defrag" "$("$holdfast" hashkv from-holdfast)" "$hash"
refused "there is no member" "$holdfast" defrag --data-dir nowhere

# The storage version, as etcdutl sets it.
refused "cannot downgrade storage" "$holdfast" migrate --data-dir from-holdfast --target-version 3.6
refused "not supported" "$holdfast" migrate --data-dir from-holdfast --target-version 3.4
refused "expected \"X.Y\"" "$holdfast" migrate --data-dir from-holdfast --target-version 3
equal "no migration" "$("$holdfast" migrate --data-dir from-holdfast --target-version 3.7)" "storage version up-to-date: 3.7"
equal "forced" "$("$holdfast" migrate --data-dir from-holdfast --target-version 3.6 --force)" "storage version: 3.7 -> 3.6"
equal "status after it" "$(number from-holdfast storageVersion)" 3.6.0
"$holdfast" migrate --data-dir from-holdfast --target-version 3.5 --force > /dev/null
equal "no storage version" "$(number from-holdfast storageVersion)" ""
"$holdfast" migrate --data-dir from-holdfast --target-version 3.7 > /dev/null
start "$holdfast" from-holdfast
[ "$(ctl get key/1 --print-value-only)" = value-36 ] || fail "a key is another after all this"
stop
echo passed
