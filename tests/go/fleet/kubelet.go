package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// clusterLabel is on everything that belongs to a cluster, and names it.
const clusterLabel = "holdfast.dev/cluster"

// Zones are those of the three nodes, each in one of its own.
var Zones = []string{"zone-a", "zone-b", "zone-c"}

// Kubelet is scheduler, kubelet and provisioner of all Pods and claims of an API server.
type Kubelet struct {
	f      *Fleet
	server string
	token  string
	client *http.Client

	mu      sync.Mutex // guards all below
	pods    map[string]*pod
	objects map[string]map[string]any // Secrets and ConfigMaps by kind/namespace/name
	created func(ns, name, uid string)
}

type pod struct {
	begun   bool
	address netip.Addr
}

// NewKubelet makes one that works as the user of a kubeconfig with a token.
func NewKubelet(f *Fleet, kubeconfig string) (*Kubelet, error) {
	content, err := os.ReadFile(kubeconfig)
	if err != nil {
		return nil, err
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server    string `json:"server"`
				Authority string `json:"certificate-authority"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Token string `json:"token"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := json.Unmarshal(content, &config); err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(config.Clusters[0].Cluster.Authority)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return &Kubelet{f: f, server: config.Clusters[0].Cluster.Server, token: config.Users[0].User.Token,
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}},
		pods:   map[string]*pod{}, objects: map[string]map[string]any{}}, nil
}

// OnPod has created called for each Pod that appears. Before Run only.
func (k *Kubelet) OnPod(created func(ns, name, uid string)) { k.created = created }

// Run makes the nodes and follows Pods, claims and what Pods mount until the context ends.
func (k *Kubelet) Run(ctx context.Context) error {
	for i, zone := range Zones {
		node := map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{
			"name":   fmt.Sprintf("node-%d", i),
			"labels": map[string]any{"topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": fmt.Sprintf("node-%d", i)}}}
		if _, err := k.call(ctx, http.MethodPost, "/api/v1/nodes", "application/json", node); err != nil {
			return err
		}
	}
	selector := "?watch=1&labelSelector=" + clusterLabel
	for path, take := range map[string]func(context.Context, string, map[string]any){
		"/api/v1/pods":                   k.takePod,
		"/api/v1/persistentvolumeclaims": k.takeClaim,
		"/api/v1/secrets":                k.takeMounted("Secret"),
		"/api/v1/configmaps":             k.takeMounted("ConfigMap"),
	} {
		go k.follow(ctx, path+selector, take)
	}
	return nil
}

// follow watches until the context ends. Without a version a watch begins with all that is there.
func (k *Kubelet) follow(ctx context.Context, path string, take func(context.Context, string, map[string]any)) {
	for ctx.Err() == nil {
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, k.server+path, nil)
		request.Header.Set("Authorization", "Bearer "+k.token)
		response, err := k.client.Do(request)
		if err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		for decoder := json.NewDecoder(response.Body); ; {
			var event struct {
				Type   string
				Object map[string]any
			}
			if decoder.Decode(&event) != nil {
				break
			}
			take(ctx, event.Type, event.Object)
		}
		response.Body.Close()
	}
}

func (k *Kubelet) takePod(ctx context.Context, event string, object map[string]any) {
	ns, name, uid := text(object, "metadata", "namespace"), text(object, "metadata", "name"), text(object, "metadata", "uid")
	k.mu.Lock()
	p := k.pods[uid]
	if p == nil && event != "DELETED" {
		p = &pod{}
		k.pods[uid] = p
		if k.created != nil {
			k.created(ns, name, uid)
		}
	}
	k.mu.Unlock()
	switch {
	case event == "DELETED":
		k.end(uid)
	case text(object, "metadata", "deletionTimestamp") != "":
		k.end(uid)
		go k.call(ctx, http.MethodDelete, podPath(ns, name), "application/json",
			map[string]any{"gracePeriodSeconds": 0, "preconditions": map[string]any{"uid": uid}})
	case !p.begun:
		p.begun = true
		go k.begin(ctx, p, object)
	}
}

func (k *Kubelet) end(uid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.pods[uid]; p != nil && p.address.IsValid() {
		k.f.stop(p.address)
		p.address = netip.Addr{}
	}
}

// begin binds a Pod to a node, starts its member and says that it is ready.
func (k *Kubelet) begin(ctx context.Context, p *pod, object map[string]any) {
	ns, name := text(object, "metadata", "namespace"), text(object, "metadata", "name")
	cluster := text(object, "metadata", "labels", clusterLabel)
	node := fmt.Sprintf("node-%d", int(name[len(name)-1]-'0')%len(Zones))
	binding := map[string]any{"apiVersion": "v1", "kind": "Binding", "metadata": map[string]any{"name": name},
		"target": map[string]any{"apiVersion": "v1", "kind": "Node", "name": node}}
	if _, err := k.call(ctx, http.MethodPost, podPath(ns, name)+"/binding", "application/json", binding); err != nil {
		return
	}
	loaded, err := k.mounted(ctx, ns, cluster, name, arguments(object))
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		return
	}
	address, err := k.f.start(ns+"/"+cluster, arguments(object), loaded)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		return
	}
	k.mu.Lock()
	p.address = address
	k.mu.Unlock()
	now := time.Now().UTC().Format(time.RFC3339)
	condition := func(kind string) map[string]any {
		return map[string]any{"type": kind, "status": "True", "lastTransitionTime": now}
	}
	status := map[string]any{"status": map[string]any{"phase": "Running", "startTime": now,
		"podIP": address.String(), "podIPs": []any{map[string]any{"ip": address.String()}},
		"conditions": []any{condition("Initialized"), condition("PodScheduled"), condition("ContainersReady"), condition("Ready")}}}
	k.call(ctx, http.MethodPatch, podPath(ns, name)+"/status", "application/merge-patch+json", status)
}

func (k *Kubelet) takeClaim(ctx context.Context, event string, object map[string]any) {
	ns, name := text(object, "metadata", "namespace"), text(object, "metadata", "name")
	path := "/api/v1/namespaces/" + ns + "/persistentvolumeclaims/" + name
	switch {
	case event == "DELETED":
		k.f.forget(ns+"/"+text(object, "metadata", "labels", clusterLabel), strings.TrimPrefix(name, "data-"))
	case text(object, "metadata", "deletionTimestamp") != "":
		// No controller takes the protection's finalizer away.
		go k.call(ctx, http.MethodPatch, path, "application/merge-patch+json", map[string]any{"metadata": map[string]any{"finalizers": nil}})
	case text(object, "status", "phase") != "Bound":
		bound := map[string]any{"status": map[string]any{"phase": "Bound", "capacity": map[string]any{
			"storage": text(object, "spec", "resources", "requests", "storage")}}}
		go k.call(ctx, http.MethodPatch, path+"/status", "application/merge-patch+json", bound)
	}
}

func (k *Kubelet) takeMounted(kind string) func(context.Context, string, map[string]any) {
	return func(_ context.Context, event string, object map[string]any) {
		key := kind + "/" + text(object, "metadata", "namespace") + "/" + text(object, "metadata", "name")
		k.mu.Lock()
		defer k.mu.Unlock()
		if event == "DELETED" {
			delete(k.objects, key)
		} else {
			k.objects[key] = object
		}
	}
}

// mounted waits for what a Pod with TLS mounts, as a kubelet does; nil for one without. A member loads its
// certificates when it starts and keeps them.
func (k *Kubelet) mounted(ctx context.Context, ns, cluster, name string, arguments []string) (*identity, error) {
	if !strings.Contains(strings.Join(arguments, "\n"), "--cert-file=") {
		return nil, nil
	}
	get := func(kind, object string) map[string]any {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.objects[kind+"/"+ns+"/"+object]
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		server, peer, trust := get("Secret", name+"-server-tls"), get("Secret", name+"-peer-tls"), get("ConfigMap", cluster+"-trust")
		if server == nil || peer == nil || trust == nil {
			continue
		}
		loaded := &identity{serials: map[string]string{}, bundles: map[string]string{}}
		for flag, secret := range map[string]map[string]any{"cert-file": server, "peer-cert-file": peer} {
			certificate, err := tls.X509KeyPair(decoded(secret, "tls.crt"), decoded(secret, "tls.key"))
			if err != nil {
				return nil, err
			}
			leaf, err := x509.ParseCertificate(certificate.Certificate[0])
			if err != nil {
				return nil, err
			}
			loaded.serials[flag] = strings.ToUpper(hex.EncodeToString(leaf.SerialNumber.Bytes()))
			loaded.notAfterUnix = leaf.NotAfter.Unix()
			if flag == "cert-file" {
				loaded.certificate = certificate
			}
		}
		for side, key := range map[string]string{"client": "client-ca.crt", "peer": "peer-ca.crt"} {
			digest := sha256.Sum256([]byte(text(trust, "data", key)))
			loaded.bundles[side] = hex.EncodeToString(digest[:])
		}
		return loaded, nil
	}
	return nil, fmt.Errorf("%s/%s: what it mounts did not come", ns, name)
}

// call makes a request of the API server; an answer above 299 is an error.
func (k *Kubelet) call(ctx context.Context, method, path, contentType string, body any) ([]byte, error) {
	content, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, k.server+path, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+k.token)
	request.Header.Set("Content-Type", contentType)
	response, err := k.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode > 299 {
		err = fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, answer)
	}
	return answer, err
}

func podPath(ns, name string) string { return "/api/v1/namespaces/" + ns + "/pods/" + name }

// text returns the string at the path of fields, or "".
func text(object map[string]any, path ...string) string {
	for _, field := range path[:len(path)-1] {
		object, _ = object[field].(map[string]any)
	}
	value, _ := object[path[len(path)-1]].(string)
	return value
}

func arguments(pod map[string]any) []string {
	spec, _ := pod["spec"].(map[string]any)
	containers, _ := spec["containers"].([]any)
	if len(containers) == 0 {
		return nil
	}
	first, _ := containers[0].(map[string]any)
	all, _ := first["args"].([]any)
	var out []string
	for _, each := range all {
		argument, _ := each.(string)
		out = append(out, argument)
	}
	return out
}

func decoded(secret map[string]any, key string) []byte {
	content, _ := base64.StdEncoding.DecodeString(text(secret, "data", key))
	return content
}
