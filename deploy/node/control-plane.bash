# shellcheck shell=bash
# control-plane.bash: the daemons that node 1 has beside those of every node: the store, which is
# holdfast, Kubernetes' control plane, DNS and the maker of volumes.
#
#   K8S_API_FLAGS, K8S_MANAGER_FLAGS  more flags for kube-apiserver and kube-controller-manager

store_url=http://127.0.0.1:2379

start_control_plane() {
  local pki=$state/pki
  mkdir -p "$state/store"
  start_daemon 1 store "$store" --name=node1 --data-dir="$state/store" \
    --listen-client-urls=$store_url --advertise-client-urls=$store_url \
    --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 \
    --initial-cluster=node1=http://127.0.0.1:2380
  # shellcheck disable=SC2086 # flags, separated by spaces
  start_daemon 1 kube-apiserver kube-apiserver --etcd-servers=$store_url \
    --bind-address=0.0.0.0 --secure-port=6443 --advertise-address="$(node_address 1)" \
    --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --kubelet-client-certificate="$pki/apiserver-kubelet.crt" --kubelet-client-key="$pki/apiserver-kubelet.key" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
    --service-cluster-ip-range=$service_range --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$pki/service-accounts.key" \
    --service-account-signing-key-file="$pki/service-accounts.key" ${K8S_API_FLAGS:-}
  # shellcheck disable=SC2086
  start_daemon 1 kube-controller-manager kube-controller-manager --kubeconfig="$pki/controller-manager.kubeconfig" \
    --bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials=true \
    --service-account-private-key-file="$pki/service-accounts.key" --root-ca-file="$pki/ca.crt" \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
    --service-cluster-ip-range=$service_range ${K8S_MANAGER_FLAGS:-}
  start_daemon 1 kube-scheduler kube-scheduler --kubeconfig="$pki/scheduler.kubeconfig" \
    --bind-address=127.0.0.1 --leader-elect=false
  start_dns
}

# DNS and the maker of volumes are plain processes: no image, nothing to schedule, up at once.
start_dns() {
  cat > "$state/Corefile" << COREFILE
.:53 {
  bind $(node_address 1)
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig $state/pki/admin.kubeconfig node
    pods insecure
    ttl 1
  }
}
COREFILE
  start_daemon 1 coredns coredns -conf "$state/Corefile"
}

# start_storage: after the API server serves. A volume is a directory below /var/lib/volumes of the
# node that its first Pod is on, made and removed by a short Pod there.
start_storage() {
  cat > "$state/storage.json" << 'JSON'
{"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["/var/lib/volumes"]}],
 "setupCommand": "/bin/make-volume", "teardownCommand": "/bin/remove-volume", "cmdTimeoutSeconds": 60}
JSON
  "$here/k" apply -f "$here/storage.yaml"
  start_daemon 1 local-path-provisioner local-path-provisioner start --kubeconfig "$state/pki/admin.kubeconfig" \
    --config "$state/storage.json" --helper-pod-file "$here/volume-pod.yaml" --namespace volumes \
    --service-account-name default --provisioner-name node.holdfast.dev/local-path
}
