# shellcheck shell=bash
# settings.bash: where a cluster keeps everything, and what its nodes are called. Sourced by all here.
#
#   K8S_DIR         the cluster's state (build/k8s); another directory is another cluster
#   HOLDFAST_BIN    the store under its control plane (build/release/bin/holdfast)
#   HOLDFAST_TOOLS  the Go programs (build/tools)
#   HOLDFAST_NODE   what `prepare` makes for all clusters (build/node)
#   K8S_NICE        how far its processes stand back behind the machine's others (5)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/deploy/node
state=$(realpath -m "${K8S_DIR:-$root/build/k8s}")
tools=$(realpath -m "${HOLDFAST_TOOLS:-$root/build/tools}")
made=$(realpath -m "${HOLDFAST_NODE:-$root/build/node}")
store=$(realpath -m "${HOLDFAST_BIN:-$root/build/release/bin/holdfast}")
export K8S_DIR=$state HOLDFAST_TOOLS=$tools HOLDFAST_NODE=$made HOLDFAST_BIN=$store

# Network namespaces and cgroups are the machine's: their names tell whose they are.
cluster=hf$(printf '%s' "$state" | sha256sum | cut -c1-8)
service_range=10.96.0.0/16
api_service=10.96.0.1
api_server=https://10.250.0.1:6443
pod_range=10.244.0.0/16
cni=/usr/lib/cni
pause_image=node.holdfast.dev/pause:1
busybox_image=node.holdfast.dev/busybox:1
node_name() { echo "node$1"; }
node_dir() { echo "$state/node$1"; }
node_address() { echo "10.250.0.$1"; }
node_pods() { echo "10.244.$1.0/24"; }
node_scope() { echo "$cluster-$1"; } # its network namespace's name, and its cgroup's

# The nodes that `up` was asked for.
node_count() { cat "$state/nodes"; }

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt "$deadline" ] || { printf '%s: %s: not in time\n' "${0##*/}" "$what" >&2; return 1; }
    sleep 0.1
  done
}

require_root() { [ "$(id -u)" -eq 0 ] || die "needs root: namespaces, mounts and cgroups"; }
require_node() {
  { [[ ${1:-} =~ ^[1-9]$ ]] && [ -d "$(node_dir "$1")" ]; } || die "there is no node ${1:-} in $state; see deploy/node/up"
}
