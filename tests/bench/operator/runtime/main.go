// Command runtime is an operator of a duty like holdfast-operator's on controller-runtime, to measure
// beside it: the same HoldfastCluster, and for each the same kinds of objects and the same questions to
// members. It is written as the framework's own documentation would have it: typed clients, caches of the
// label's objects, Owns for what is made, a status written when it changed, another look after 20 s.
//
// What it does less: no certificates, secrets, trust or network policies; no replacement, restarts,
// upgrades, operations or recovery; no events; members start together, so none is added or promoted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/intstr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	clusterLabel = "holdfast.dev/cluster"
	lookAgain    = 20 * time.Second
	workers      = 8
	askTimeout   = 2 * time.Second
)

var clusterKind = schema.GroupVersionKind{Group: "holdfast.dev", Version: "v1alpha1", Kind: "HoldfastCluster"}

func main() {
	listen := flag.String("listen", ":8080", "address of /metrics and /readyz")
	flag.Parse() // --kubeconfig is controller-runtime's own flag
	ctrl.SetLogger(zap.New())
	if err := run(*listen); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(listen string) error {
	rest, err := config.GetConfig()
	if err != nil {
		return err
	}
	rest.QPS, rest.Burst = 50, 100 // holdfast-operator's
	ours, err := labels.NewRequirement(clusterLabel, selection.Exists, nil)
	if err != nil {
		return err
	}
	only := cache.ByObject{Label: labels.NewSelector().Add(*ours)}
	manager, err := ctrl.NewManager(rest, ctrl.Options{
		LeaderElection: true, LeaderElectionID: "runtime", LeaderElectionNamespace: "default",
		Metrics: server.Options{BindAddress: listen},
		Client:  client.Options{Cache: &client.CacheOptions{Unstructured: true}},
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&core.Pod{}: only, &core.Service{}: only, &core.PersistentVolumeClaim{}: only, &policy.PodDisruptionBudget{}: only,
		}},
	})
	if err != nil {
		return err
	}
	synced := func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), time.Second)
		defer cancel()
		if !manager.GetCache().WaitForCacheSync(ctx) {
			return errors.New("caches are not synced yet")
		}
		return nil
	}
	if err := manager.AddMetricsServerExtraHandler("/readyz", healthz.CheckHandler{Checker: synced}); err != nil {
		return err
	}
	r := &reconciler{Client: manager.GetClient(), lines: map[string]*grpc.ClientConn{}}
	cluster := &unstructured.Unstructured{}
	cluster.SetGroupVersionKind(clusterKind)
	err = ctrl.NewControllerManagedBy(manager).For(cluster).
		Owns(&core.Pod{}).Owns(&core.Service{}).Owns(&core.PersistentVolumeClaim{}).Owns(&policy.PodDisruptionBudget{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).Complete(r)
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

type reconciler struct {
	client.Client
	mu    sync.Mutex
	lines map[string]*grpc.ClientConn // by address
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	cluster := &unstructured.Unstructured{}
	cluster.SetGroupVersionKind(clusterKind)
	if err := r.Get(ctx, request.NamespacedName, cluster); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	replicas, _, _ := unstructured.NestedInt64(cluster.Object, "spec", "replicas")
	for _, object := range wanted(cluster, int(replicas)) {
		if err := r.hold(ctx, cluster, object); err != nil {
			return ctrl.Result{}, err
		}
	}
	var pods core.PodList
	if err := r.List(ctx, &pods, client.InNamespace(request.Namespace), client.MatchingLabels{clusterLabel: request.Name}); err != nil {
		return ctrl.Result{}, err
	}
	ready := r.ask(ctx, pods.Items)
	return ctrl.Result{RequeueAfter: lookAgain}, r.tell(ctx, cluster, ready, int(replicas))
}

// hold creates what is missing.
func (r *reconciler) hold(ctx context.Context, cluster *unstructured.Unstructured, object client.Object) error {
	live := object.DeepCopyObject().(client.Object)
	err := r.Get(ctx, client.ObjectKeyFromObject(object), live)
	if !apierrors.IsNotFound(err) {
		return err
	}
	if err := ctrl.SetControllerReference(cluster, object, r.Scheme()); err != nil {
		return err
	}
	return client.IgnoreAlreadyExists(r.Create(ctx, object))
}

// ask asks every member what holdfast-operator asks, side by side, and counts those that take part.
func (r *reconciler) ask(ctx context.Context, pods []core.Pod) int {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answers := make(chan bool, len(pods))
	for i := range pods {
		go func() { answers <- pods[i].Status.PodIP != "" && r.takesPart(ctx, pods[i].Status.PodIP) }()
	}
	ready := 0
	for range pods {
		if <-answers {
			ready++
		}
	}
	return ready
}

func (r *reconciler) takesPart(ctx context.Context, address string) bool {
	line, err := r.line(address)
	if err != nil {
		return false
	}
	kv, membership, maintenance := pb.NewKVClient(line), pb.NewClusterClient(line), pb.NewMaintenanceClient(line)
	calls := []func() error{
		func() error { _, err := maintenance.Status(ctx, &pb.StatusRequest{}); return err },
		func() error { _, err := maintenance.Alarm(ctx, &pb.AlarmRequest{}); return err },
		func() error { _, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte("health")}); return err },
		func() error {
			_, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte("health"), Serializable: true})
			return err
		},
		func() error { _, err := membership.MemberList(ctx, &pb.MemberListRequest{}); return err },
		func() error {
			_, err := membership.MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
			return err
		},
	}
	failed := make(chan error, len(calls))
	for _, call := range calls {
		go func() { failed <- call() }()
	}
	well := true
	for range calls {
		well = <-failed == nil && well
	}
	return well
}

func (r *reconciler) line(address string) (*grpc.ClientConn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if line := r.lines[address]; line != nil {
		return line, nil
	}
	line, err := grpc.NewClient(address+":2379", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		r.lines[address] = line
	}
	return line, err
}

// tell writes the status if it says something new.
func (r *reconciler) tell(ctx context.Context, cluster *unstructured.Unstructured, ready, replicas int) error {
	text := fmt.Sprintf("%d/%d", ready, replicas)
	before, _, _ := unstructured.NestedString(cluster.Object, "status", "membersReady")
	if before == text {
		return nil
	}
	state, reason := "False", "MembersNotReady"
	if ready == replicas {
		state, reason = "True", "AllMembersReady"
	}
	condition := map[string]any{"type": "Ready", "status": state, "reason": reason, "message": text,
		"lastTransitionTime": time.Now().UTC().Format(time.RFC3339), "observedGeneration": cluster.GetGeneration()}
	patch := client.MergeFrom(cluster.DeepCopy())
	_ = unstructured.SetNestedField(cluster.Object, text, "status", "membersReady")
	_ = unstructured.SetNestedSlice(cluster.Object, []any{condition}, "status", "conditions")
	return r.Status().Patch(ctx, cluster, patch)
}

// wanted are the objects of a cluster: two Services, a budget, and a claim and a Pod for each member.
func wanted(cluster *unstructured.Unstructured, replicas int) []client.Object {
	ns, name := cluster.GetNamespace(), cluster.GetName()
	marks := map[string]string{clusterLabel: name, "app.kubernetes.io/name": "holdfast", "app.kubernetes.io/component": "member"}
	at := func(name string) meta.ObjectMeta { return meta.ObjectMeta{Namespace: ns, Name: name, Labels: marks} }
	port := func(name string, number int32) core.ServicePort { return core.ServicePort{Name: name, Port: number} }
	majority := intstr.FromInt32(int32(replicas/2 + 1))
	objects := []client.Object{
		&core.Service{ObjectMeta: at(name), Spec: core.ServiceSpec{Selector: marks, Ports: []core.ServicePort{port("client", 2379)}}},
		&core.Service{ObjectMeta: at(name + "-peers"), Spec: core.ServiceSpec{Selector: marks, ClusterIP: core.ClusterIPNone,
			PublishNotReadyAddresses: true, Ports: []core.ServicePort{port("client", 2379), port("peer", 2380)}}},
		&policy.PodDisruptionBudget{ObjectMeta: at(name), Spec: policy.PodDisruptionBudgetSpec{
			MinAvailable: &majority, Selector: &meta.LabelSelector{MatchLabels: marks}}},
	}
	url := func(member string) string { return fmt.Sprintf("http://%s.%s-peers.%s.svc:2380", member, name, ns) }
	var initial []string
	for i := range replicas {
		member := fmt.Sprintf("%s-%d", name, i)
		initial = append(initial, member+"="+url(member))
	}
	for i := range replicas {
		member := fmt.Sprintf("%s-%d", name, i)
		objects = append(objects, &core.PersistentVolumeClaim{ObjectMeta: at("data-" + member), Spec: core.PersistentVolumeClaimSpec{
			AccessModes: []core.PersistentVolumeAccessMode{core.ReadWriteOnce},
			Resources:   core.VolumeResourceRequirements{Requests: core.ResourceList{core.ResourceStorage: resource.MustParse("1Gi")}}}},
			&core.Pod{ObjectMeta: at(member), Spec: core.PodSpec{Hostname: member, Subdomain: name + "-peers",
				Volumes: []core.Volume{{Name: "data", VolumeSource: core.VolumeSource{
					PersistentVolumeClaim: &core.PersistentVolumeClaimVolumeSource{ClaimName: "data-" + member}}}},
				Containers: []core.Container{{Name: "holdfast", Image: "holdfast.dev/holdfast",
					VolumeMounts: []core.VolumeMount{{Name: "data", MountPath: "/var/lib/holdfast"}},
					Args: []string{"--name=" + member, "--initial-advertise-peer-urls=" + url(member),
						"--initial-cluster=" + strings.Join(initial, ","), "--initial-cluster-state=new"}}}}})
	}
	return objects
}
