# shellcheck shell=bash
# worker.bash: the daemons of every node: containerd, kubelet, kube-proxy, and their settings.

# start_worker NODE: and has the images of `prepare` imported before kubelet asks for them.
start_worker() {
  local node=$1 etc
  etc=$(node_dir "$node")/etc
  mkdir -p "$(node_dir "$node")/manifests"
  write_network "$node" > "$etc/cni/10-pods.conflist"
  write_containerd "$etc/cni" > "$etc/containerd.toml"
  write_kubelet "$node" > "$etc/kubelet.yaml"
  write_proxy "$node" > "$etc/proxy.yaml"
  echo "nameserver $(node_address 1)" > "$etc/resolv.conf"
  start_containers "$node"
}

# start_containers NODE: once the files are there; again after the node was powered off.
start_containers() {
  local node=$1 etc archive
  etc=$(node_dir "$node")/etc
  start_daemon "$node" containerd containerd --config "$etc/containerd.toml"
  wait_for 30 "containerd of node $node" containers "$node" version || return 1
  for archive in "$made"/images/*.tar; do import_image "$node" "$archive" || return 1; done
  start_daemon "$node" kubelet kubelet --config="$etc/kubelet.yaml" --root-dir=/var/lib/kubelet \
    --kubeconfig="$state/pki/$(node_name "$node").kubeconfig" \
    --node-ip="$(node_address "$node")" --hostname-override="$(node_name "$node")"
  start_daemon "$node" kube-proxy kube-proxy --config="$etc/proxy.yaml"
}

# containers NODE ARG...: containerd's own client, in the namespace that kubelet looks into.
containers() {
  local node=$1
  shift
  in_node "$node" "$tools/ctr" --namespace k8s.io "$@"
}

# import_image NODE ARCHIVE: nothing if the node has these very bytes already.
import_image() {
  local seen
  seen=$(node_dir "$1")/imported-$(sha256sum "$2" | cut -c1-16)
  [ ! -e "$seen" ] || return 0
  containers "$1" images import --local --snapshotter overlayfs "$(realpath "$2")" >> "$(node_dir "$1")/log/import.log" 2>&1 || {
    tail -n 5 "$(node_dir "$1")/log/import.log" >&2
    return 1
  }
  touch "$seen"
}

write_network() {
  cat << JSON
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "pods", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "/run/pod-addresses",
            "ranges": [[{"subnet": "$(node_pods "$1")"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
}

write_containerd() {
  cat << TOML
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "$pause_image"
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true # root without CAP_SYS_RESOURCE may not lower its score
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["$cni"]
    conf_dir = "$1"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        SystemdCgroup = false
TOML
}

write_kubelet() {
  local pki=$state/pki name
  name=$(node_name "$1")
  cat << YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$(node_scope "$1")
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/$name.crt
tlsPrivateKeyFile: $pki/$name.key
clusterDNS: [$(node_address 1)]
clusterDomain: cluster.local
resolvConf: $(node_dir "$1")/etc/resolv.conf
volumePluginDir: /var/lib/kubelet/plugins-exec
staticPodPath: $(node_dir "$1")/manifests
nodeStatusUpdateFrequency: 4s
# How often a Pod is looked at again; a volume that has grown is noticed then. A minute if left out.
syncFrequency: 10s
nodeLeaseDurationSeconds: 12
# There is no registry: an image that is collected could not be pulled again.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 200Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
YAML
}

write_proxy() {
  cat << YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $state/pki/proxy.kubeconfig}
mode: iptables
clusterCIDR: $pod_range
hostnameOverride: $(node_name "$1")
oomScoreAdj: 0
# Zero leaves what belongs to the whole machine alone.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
}
