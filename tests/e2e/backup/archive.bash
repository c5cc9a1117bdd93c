# The archive between backups, on the cluster db; read by tests/e2e/backup/run, whose words it uses.

archive_health() { "${kubectl[@]}" get hfbs "$1" -o 'jsonpath={.status.conditions[?(@.type=="ArchiveHealthy")].reason}'; }
archive_is() { [ "$(archive_health "$1")" = "$2" ]; }
# archived_at_least SCHEDULE REVISION
archived_at_least() {
  local now
  now=$(deploy/node/k -- curl -sS "http://[::1]:18080/metrics" | sed -n "s/^holdfast_operator_archive_revision{.*schedule=\"$1\".*} //p")
  [ -n "$now" ] && [ "$(printf '%.0f' "$now")" -ge "$2" ]
}
# keep_writing FROM TO: each write's number, revision and the moment after its acknowledgement go to moments;
# after every tenth nothing is written for a while, so that a moment within is of one state.
keep_writing() {
  local n revision
  for n in $(seq "$1" "$2"); do
    revision=$(etcdctl put "pit-$((n % 5))" "value-$n" -w json | jq .header.revision)
    [ $((n % 10)) != 0 ] || sleep 1.5
    echo "$n $revision $(date -u -d '-0.5 seconds' +%Y-%m-%dT%H:%M:%S.%3NZ)" >> "$scratch/moments"
    [ $((n % 10)) != 0 ] || sleep 1.5
  done
}
# model N: what the keys hold after the N-th write.
model() {
  local n
  for n in $(seq $(($1 > 4 ? $1 - 4 : 1)) "$1"); do echo "pit-$((n % 5)) value-$n"; done | sort
}
moment() { grep "^$1 " "$scratch/moments" | cut -d' ' -f"$2"; }
# begins_at NAME BACKUP UNTIL: a cluster.
begins_at() {
  "${kubectl[@]}" apply -f - << CLUSTER
apiVersion: holdfast.dev/v1alpha1
kind: HoldfastCluster
metadata: {name: $1}
spec:
  replicas: 1
  storage: {size: 256Mi}
  tls: {client: {enabled: false}, peer: {enabled: false}}
  bootstrap: {restore: {backupRef: {name: $2}, until: $3}}
CLUSTER
}
state_of() { patient_etcdctl --endpoints "http://$1.apps.svc:2379" get pit- --prefix -w json | jq -r '.kvs[] | "\(.key | @base64d) \(.value | @base64d)"' | sort; }
is_as_after() { [ "$(state_of "$1" 2> /dev/null)" = "$(model "$2")" ]; }
# shows NAME N: the cluster NAME is as it was after the N-th write.
shows() {
  "${kubectl[@]}" wait --for=condition=Ready "hfc/$1" --timeout=120s > /dev/null || fail "the cluster $1 is not Ready"
  wait_for 30 "$1 is as it was after write $2" is_as_after "$1" "$2"
}

say "the log is archived between backups, over the death of the archiver"
"${kubectl[@]}" apply -f - << SCHEDULE
apiVersion: holdfast.dev/v1alpha1
kind: HoldfastBackupSchedule
metadata: {name: kept}
spec: {clusterRef: {name: db}, target: $(s3_target), schedule: "0 0 1 1 *", immediate: true, archive: {enabled: true, flushSeconds: 5}}
SCHEDULE
wait_for 90 "an archive, and a backup that it follows" archive_is kept Archiving
base=$("${kubectl[@]}" get hfbs kept -o 'jsonpath={.status.lastBackup}')
keep_writing 1 12
"${kubectl[@]}" delete pod kept-archive --now --wait=false > /dev/null
keep_writing 13 18
wait_for 60 "what was written meanwhile is archived" archived_at_least kept "$(moment 18 2)"
# Moments are as fine as the archiver's attention: it has to be back for those that are asked for below.
keep_writing 19 30
wait_for 60 "all of it is archived" archived_at_least kept "$(moment 30 2)"
log_folder=$(find "$bucket/e2e/apps/db" -type d -name 'log-*')
[ "$(find "$log_folder" -name '*.entries' | wc -l)" -ge 2 ] || fail "there are no segments in $log_folder"

say "a point that is not archived is refused, with what is possible, before anything is touched"
restore beyond db "$base" "until: {time: \"$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ)\"}"
wait_for 60 "the refusal" restore_at beyond Failed
refusal=$("${kubectl[@]}" get hfr beyond -o 'jsonpath={.status.conditions[?(@.type=="Failed")].message}')
[[ $refusal == *"beyond the archive"*"possible is from 20"* ]] || fail "the refusal does not say what is possible: $refusal"

say "a moment at which no archiver followed is refused, with the two nearest; at them, and at each revision, it can begin"
"${kubectl[@]}" patch hfbs kept --type merge -p '{"spec":{"suspend":true}}' > /dev/null
archiver_gone() { ! "${kubectl[@]}" get pod kept-archive > /dev/null 2>&1; }
wait_for 60 "the archiver ends" archiver_gone
keep_writing 31 35
sleep 8
keep_writing 36 36
sleep 8
"${kubectl[@]}" patch hfbs kept --type merge -p '{"spec":{"suspend":false}}' > /dev/null
wait_for 60 "what was written meanwhile is archived" archived_at_least kept "$(moment 36 2)"
keep_writing 37 40
wait_for 60 "all of it is archived" archived_at_least kept "$(moment 40 2)"
restore unseen db "$base" "until: {time: \"$(moment 36 3)\"}"
wait_for 60 "the refusal" restore_at unseen Failed
refusal=$("${kubectl[@]}" get hfr unseen -o 'jsonpath={.status.conditions[?(@.type=="Failed")].message}')
nearest='Set until\.time to ([^ ]+) or earlier, or to ([^ ]+) or later; or set until\.revision to one from [0-9]+ to [0-9]+'
[[ $refusal == *"lies in a gap of the archive"*"nothing was touched"* && $refusal =~ $nearest ]] ||
  fail "the refusal does not say what is possible: $refusal"
edge=${BASH_REMATCH[2]}
begins_at at-unseen "$base" "{revision: $(moment 36 2)}"
shows at-unseen 36
if $full; then
  begins_at at-edge "$base" "{time: \"$edge\"}"
  shows at-edge 36
fi

point=$((1 + RANDOM % 30))
say "a cluster begins at the revision of write $point"
begins_at at-revision "$base" "{revision: $(moment "$point" 2)}"
shows at-revision "$point"

say "a damaged segment is found by a proof, and named"
"${kubectl[@]}" annotate hfb "$base" holdfast.dev/verify=whole --overwrite > /dev/null
proved_with_log() { [[ $(condition "$base" Verified message) == *"with the log up to revision"*"hash is the cluster's"* ]]; }
wait_for 60 "a proof with the log" proved_with_log
segment=$(find "$log_folder" -name '*.entries' | sort | tail -1)
cp "$segment" "$scratch/segment"
printf 'damage' | dd of="$segment" bs=1 seek=60 conv=notrunc status=none
"${kubectl[@]}" annotate hfb "$base" holdfast.dev/verify=damaged --overwrite > /dev/null
wait_for 60 "the damage is found" healthy ArchiveNotSound
[[ $(condition "$base" Verified message) == *"$(basename "$segment")"* ]] || fail "the damaged segment is not named: $(condition "$base" Verified message)"
cp "$scratch/segment" "$segment"
"${kubectl[@]}" annotate hfb "$base" holdfast.dev/verify=mended --overwrite > /dev/null
wait_for 60 "a proof of what was mended" proved_with_log

if $full; then
  say "and at the moments after writes 10, 20 and 30"
  for point in 10 20 30; do
    begins_at "at-time-$point" "$base" "{time: \"$(moment "$point" 3)\"}"
    shows "at-time-$point" "$point"
  done

  say "in place, up to a moment; then the archive goes on with the new cluster, and asks for a backup of it"
  plugin restore db --backup "$base" --name back-to --to-time "$(moment 20 3)" --yes --wait --timeout 120 ||
    fail "the plugin does not see the restore to a moment through"
  "${kubectl[@]}" wait --for=condition=Ready hfc/db --timeout=60s > /dev/null || fail "the restored cluster is not Ready"
  found=$(etcdctl get pit- --prefix -w json | jq -r '.kvs[] | "\(.key | @base64d) \(.value | @base64d)"' | sort)
  [ "$found" = "$(model 20)" ] || fail "db is not as it was after write 20: $found"
  wait_for 120 "the archive of the restored cluster" bash -c "[ \$(find '$bucket/e2e/apps/db' -name head.json | wc -l) = 2 ]"
  wait_for 120 "a backup that it follows" archive_is kept Archiving
  "${kubectl[@]}" delete hfr back-to --wait=false > /dev/null
  wait_for 60 "the old data goes" restore_gone back-to
fi

say "suspended, it stands still; resumed, it goes on"
"${kubectl[@]}" patch hfbs kept --type merge -p '{"spec":{"suspend":true}}' > /dev/null
wait_for 60 "the archiver ends" archiver_gone
wait_for 10 "the condition" archive_is kept Suspended
