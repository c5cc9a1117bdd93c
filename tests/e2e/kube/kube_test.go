package kube

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

var objectsFlag = flag.Int("objects", 500, "objects to create; 5000 in CI")

// patience bounds each wait; reaching it is a failure, never the expected way.
const patience = 120 * time.Second

const (
	mergePatch = "application/merge-patch+json"
	applyPatch = "application/apply-patch+yaml"
)

// suite is a cluster under test.
type suite struct {
	*cluster
	t *testing.T
}

// TestKubernetes runs everything on one cluster: starting one costs more than most of the tests.
func TestKubernetes(t *testing.T) {
	c, err := startCluster(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.stop()
	defer func() {
		if t.Failed() {
			t.Logf("the store's log ends:\n%s\nthe API server's:\n%s", c.store.LogTail(15), tail(c.apiserver.log))
		}
	}()
	for _, test := range []struct {
		name string
		run  func(suite)
	}{
		{"PagedListIsOneSnapshotOfThousands", suite.pagedList},
		{"PageOfCompactedHistoryIsGone", suite.compactedPage},
		{"WatchShowsEveryChangeInOrder", suite.watchOrder},
		{"WatchListBeginsWithAllObjects", suite.watchList},
		{"StaleUpdateIsRefusedAndRetriesLoseNothing", suite.guardedUpdates},
		{"CustomResourcesLiveAndDieWithTheirDefinition", suite.customResources},
		{"ServerSideApplyKeepsOwnersApart", suite.serverSideApply},
		{"DeploymentMakesPodsAndTakesThemAlong", suite.deployment},
		{"DeletedNamespaceTakesEverything", suite.deletedNamespace},
		{"EventsExpireByLease", suite.eventsExpire},
		{"APIServerRestartsOnItsStore", suite.apiserverRestart},
		{"StoreIsKilledUnderTheAPIServer", suite.storeKilled},
	} {
		began := time.Now()
		if !t.Run(test.name, func(t *testing.T) { test.run(suite{c, t}) }) {
			return // what follows would only repeat it
		}
		t.Logf("%s: %.1f s", test.name, time.Since(began).Seconds())
	}
}

// want makes a call and fails unless it answers with the status.
func (s suite) want(status int, method, path, contentType string, body any) object {
	s.t.Helper()
	got, answer, err := s.call(method, path, contentType, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	if got != status {
		s.t.Fatalf("%s %s: %d, want %d: %s", method, path, got, status, answer.text("message"))
	}
	return answer
}

func (s suite) get(path string) object {
	s.t.Helper()
	return s.want(http.StatusOK, http.MethodGet, path, "", nil)
}

func (s suite) create(path string, o object) object {
	s.t.Helper()
	return s.want(http.StatusCreated, http.MethodPost, path, "", o)
}

func (s suite) remove(path string) object {
	s.t.Helper()
	return s.want(http.StatusOK, http.MethodDelete, path, "", nil)
}

func (s suite) namespace(name string) string {
	s.t.Helper()
	s.create("/api/v1/namespaces", object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": name}})
	return "/api/v1/namespaces/" + name
}

func configMap(name string, data object) object {
	return object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": name}, "data": data}
}

// eventually waits until the condition holds.
func (s suite) eventually(what string, condition func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// inParallel runs f(0) … f(n-1) on several connections.
func inParallel(n int, f func(i int)) {
	var group sync.WaitGroup
	for worker := range 16 {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := worker; i < n; i += 16 {
				f(i)
			}
		}()
	}
	group.Wait()
}

// createMany creates ConfigMaps named prefix-00000 and so on.
func (s suite) createMany(path, prefix string, n int) {
	s.t.Helper()
	inParallel(n, func(i int) {
		status, answer, err := s.call(http.MethodPost, path+"/configmaps", "", configMap(fmt.Sprintf("%s-%05d", prefix, i), object{"n": strconv.Itoa(i)}))
		if err != nil || status != http.StatusCreated {
			s.t.Errorf("creating %s-%05d: %d, %v, %s", prefix, i, status, err, answer.text("message"))
		}
	})
	if s.t.Failed() {
		s.t.FailNow()
	}
}

// pages reads a list page by page; between is called after the first.
func (s suite) pages(path string, limit int, between func()) []object {
	s.t.Helper()
	var items []object
	version, next := "", ""
	for page := 0; page == 0 || next != ""; page++ {
		list := s.get(fmt.Sprintf("%s?limit=%d&continue=%s", path, limit, url.QueryEscape(next)))
		if version != "" && list.resourceVersion() != version {
			s.t.Fatalf("page %d is of version %s, the first of %s", page, list.resourceVersion(), version)
		}
		version, next = list.resourceVersion(), list.text("metadata", "continue")
		items = append(items, list.items()...)
		if page == 0 && between != nil {
			between()
		}
	}
	return items
}

func (s suite) pagedList() {
	path := s.namespace("paged")
	s.createMany(path, "first", *objectsFlag)
	items := s.pages(path+"/configmaps", 100, func() {
		s.createMany(path, "later", 50)
		s.remove(path + "/configmaps/first-00499")
	})
	names := map[string]bool{}
	for _, item := range items {
		if item.name() != "kube-root-ca.crt" {
			names[item.name()] = true
		}
	}
	if len(names) != *objectsFlag || !names["first-00499"] {
		s.t.Fatalf("%d objects in pages, want %d, the removed one among them (%v)", len(names), *objectsFlag, names["first-00499"])
	}
	cached := s.get(path + "/configmaps?resourceVersion=0").items()
	current := s.get(path + "/configmaps").items()
	if len(current) < *objectsFlag+49 || len(cached) == 0 {
		s.t.Fatalf("%d objects now, %d from the cache", len(current), len(cached))
	}
}

// direct connects the official client to the store, past the API server.
func (s suite) direct() *clientv3.Client {
	s.t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: s.endpoints})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { client.Close() })
	return client
}

func (s suite) countStored(prefix string) int64 {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	response, err := s.direct().Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		s.t.Fatal(err)
	}
	return response.Count
}

func (s suite) compactedPage() {
	path := "/api/v1/namespaces/paged/configmaps"
	list := s.get(path + "?limit=10")
	next := list.text("metadata", "continue")
	// A write, so that the token's revision is not the newest.
	s.create(path, configMap("after", nil))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := s.direct()
	now, err := client.Get(ctx, "x")
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := client.Compact(ctx, now.Header.Revision); err != nil {
		s.t.Fatal(err)
	}
	// The API server serves pages from its own cache's history too, hence an exact old version.
	status, answer, err := s.call(http.MethodGet, path+"?limit=10&resourceVersionMatch=Exact&resourceVersion=2", "", nil)
	if err != nil || status != http.StatusGone {
		s.t.Fatalf("a list at a compacted version: %d, %v, %s", status, err, answer.text("message"))
	}
	status, _, err = s.call(http.MethodGet, path+"?limit=10&continue="+url.QueryEscape(next), "", nil)
	if err != nil || (status != http.StatusGone && status != http.StatusOK) {
		s.t.Fatalf("the next page after a compaction: %d, %v", status, err)
	}
}

// change is one line of a watch.
type change struct {
	Type   string
	Object object
}

// watch opens a watch; its changes arrive on the channel until the test ends.
func (s suite) watch(path, query string) <-chan change {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	changes, err := s.open(ctx, path, query)
	if err != nil {
		s.t.Fatal(err)
	}
	return changes
}

// open opens a watch; its changes arrive on the channel until the stream or the context ends.
func (c *cluster) open(ctx context.Context, path, query string) (<-chan change, error) {
	response, err := c.request(ctx, http.MethodGet, path+"?watch=1&"+query, "", nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("watch %s: %s", path, response.Status)
	}
	changes := make(chan change, 10_000)
	go func() {
		defer close(changes)
		defer response.Body.Close()
		lines := bufio.NewReader(response.Body)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			var c change
			if json.Unmarshal(line, &c) == nil {
				changes <- c
			}
		}
	}()
	return changes, nil
}

// next returns the next change that is no bookmark.
func (s suite) next(changes <-chan change) change {
	s.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case c, open := <-changes:
			if !open {
				s.t.Fatal("the watch ended")
			}
			if c.Type != "BOOKMARK" {
				return c
			}
		case <-timeout:
			s.t.Fatalf("no change within %v", patience)
		}
	}
}

func (s suite) watchOrder() {
	path := s.namespace("watched") + "/configmaps"
	s.create(path, configMap("subject", object{"n": "0"}))
	changes := s.watch(path, "fieldSelector=metadata.name%3Dsubject&allowWatchBookmarks=true&resourceVersion="+s.get(path).resourceVersion())
	for i := 1; i <= 200; i++ {
		s.want(http.StatusOK, http.MethodPatch, path+"/subject", mergePatch, object{"data": object{"n": strconv.Itoa(i)}})
	}
	s.remove(path + "/subject")
	last := 0
	for i := 1; i <= 200; i++ {
		c := s.next(changes)
		version, _ := strconv.Atoi(c.Object.resourceVersion())
		if c.Type != "MODIFIED" || c.Object.text("data", "n") != strconv.Itoa(i) || version <= last {
			s.t.Fatalf("change %d is %s of %s at %d after %d", i, c.Type, c.Object.text("data", "n"), version, last)
		}
		last = version
	}
	if c := s.next(changes); c.Type != "DELETED" || c.Object.text("data", "n") != "200" {
		s.t.Fatalf("the last change is %s of %v", c.Type, c.Object)
	}
}

func (s suite) watchList() {
	path := "/api/v1/namespaces/paged/configmaps"
	want := len(s.get(path).items())
	changes := s.watch(path, "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&resourceVersion=")
	timeout := time.After(patience)
	for got := 0; ; {
		select {
		case c := <-changes:
			if c.Type == "ADDED" {
				got++
			}
			if c.Type == "BOOKMARK" && c.Object.at("metadata", "annotations", "k8s.io/initial-events-end") == "true" {
				if got != want {
					s.t.Fatalf("%d initial objects, want %d", got, want)
				}
				return
			}
		case <-timeout:
			s.t.Fatalf("%d of %d initial objects and no end of them within %v", got, want, patience)
		}
	}
}

func (s suite) guardedUpdates() {
	path := s.namespace("guarded") + "/configmaps"
	s.create(path, configMap("counter", object{"n": "0"}))
	stale := s.get(path + "/counter")
	s.want(http.StatusOK, http.MethodPatch, path+"/counter", mergePatch, object{"data": object{"n": "0", "m": "1"}})
	s.want(http.StatusConflict, http.MethodPut, path+"/counter", "", stale)
	const increments = 100
	inParallel(increments, func(int) {
		for {
			status, current, err := s.call(http.MethodGet, path+"/counter", "", nil)
			if err != nil || status != http.StatusOK {
				s.t.Errorf("reading the counter: %d, %v", status, err)
				return
			}
			n, _ := strconv.Atoi(current.text("data", "n"))
			current["data"] = object{"n": strconv.Itoa(n + 1)}
			status, _, err = s.call(http.MethodPut, path+"/counter", "", current)
			if status == http.StatusOK {
				return
			}
			if err != nil || status != http.StatusConflict {
				s.t.Errorf("updating the counter: %d, %v", status, err)
				return
			}
		}
	})
	if n := s.get(path+"/counter").text("data", "n"); n != strconv.Itoa(increments) {
		s.t.Fatalf("%s after %d increments", n, increments)
	}
}

func (s suite) customResources() {
	const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	s.create(definitions, object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": object{"name": "gems.e2e.holdfast"},
		"spec": object{"group": "e2e.holdfast", "scope": "Namespaced", "names": object{"kind": "Gem", "plural": "gems"},
			"versions": []any{object{"name": "v1", "served": true, "storage": true, "subresources": object{"status": object{}},
				"schema": object{"openAPIV3Schema": object{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}},
	})
	s.namespace("custom")
	path := "/apis/e2e.holdfast/v1/namespaces/custom/gems"
	gem := func(i int) object {
		return object{"apiVersion": "e2e.holdfast/v1", "kind": "Gem", "metadata": object{"name": fmt.Sprintf("gem-%03d", i)}, "spec": object{"carat": i}}
	}
	s.eventually("the new resource", func() bool {
		status, _, err := s.call(http.MethodPost, path, "", gem(0))
		return err == nil && status == http.StatusCreated
	})
	for i := 1; i < 100; i++ {
		s.create(path, gem(i))
	}
	s.want(http.StatusOK, http.MethodPatch, path+"/gem-007/status", mergePatch, object{"status": object{"cut": "round"}})
	if items := s.pages(path, 30, nil); len(items) != 100 {
		s.t.Fatalf("%d custom resources, want 100", len(items))
	}
	s.remove(definitions + "/gems.e2e.holdfast")
	s.eventually("the end of the custom resources", func() bool { return s.countStored("/registry/e2e.holdfast/") == 0 })
}

func (s suite) serverSideApply() {
	path := s.namespace("applied") + "/configmaps/shared"
	apply := func(status int, manager, query string, data object) object {
		return s.want(status, http.MethodPatch, path+"?fieldManager="+manager+query, applyPatch, configMap("shared", data))
	}
	apply(http.StatusCreated, "one", "", object{"a": "1", "b": "1"})
	apply(http.StatusOK, "two", "", object{"c": "2"})
	apply(http.StatusConflict, "two", "", object{"b": "2"})
	apply(http.StatusOK, "two", "&force=true", object{"b": "2"}) // takes b, gives up c
	result := apply(http.StatusOK, "one", "", object{"a": "1"})
	if result.text("data", "a") != "1" || result.text("data", "b") != "2" || result.at("data", "c") != nil {
		s.t.Fatalf("applied: %v", result.at("data"))
	}
	if owners, _ := result.at("metadata", "managedFields").([]any); len(owners) != 2 {
		s.t.Fatalf("managed fields of %d owners, want 2", len(owners))
	}
}

func (s suite) deployment() {
	path := s.namespace("deployed")
	deployments := "/apis/apps/v1/namespaces/deployed/deployments"
	s.create(deployments, object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": object{"name": "web"},
		"spec": object{"replicas": 3, "selector": object{"matchLabels": object{"app": "web"}},
			"template": object{"metadata": object{"labels": object{"app": "web"}},
				"spec": object{"containers": []any{object{"name": "web", "image": "example.invalid/web"}}}}},
	})
	pods := func() int { return len(s.get(path + "/pods").items()) }
	s.eventually("three pods", func() bool { return pods() == 3 })
	s.want(http.StatusOK, http.MethodPatch, deployments+"/web/scale", mergePatch, object{"spec": object{"replicas": 8}})
	s.eventually("eight pods", func() bool { return pods() == 8 })
	s.want(http.StatusOK, http.MethodDelete, deployments+"/web", "", object{"propagationPolicy": "Foreground"})
	s.eventually("the deployment's end", func() bool {
		status, _, err := s.call(http.MethodGet, deployments+"/web", "", nil)
		return err == nil && status == http.StatusNotFound && pods() == 0
	})
}

func (s suite) deletedNamespace() {
	path := s.namespace("doomed")
	s.createMany(path, "object", 200)
	s.create(path+"/secrets", object{"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": "secret"}})
	s.remove(path)
	s.eventually("the namespace's end", func() bool {
		status, _, err := s.call(http.MethodGet, path, "", nil)
		return err == nil && status == http.StatusNotFound
	})
	for _, kind := range []string{"configmaps", "secrets", "serviceaccounts"} {
		if n := s.countStored("/registry/" + kind + "/doomed/"); n != 0 {
			s.t.Errorf("%d %s are still stored", n, kind)
		}
	}
}

func (s suite) eventsExpire() {
	path := s.namespace("eventful") + "/events"
	for i := range 20 {
		s.create(path, object{
			"apiVersion": "v1", "kind": "Event", "metadata": object{"name": fmt.Sprintf("event-%d", i)}, "reason": "Test", "type": "Normal",
			"involvedObject": object{"kind": "Namespace", "name": "eventful", "namespace": "eventful"},
		})
	}
	if n := s.countStored("/registry/events/eventful/"); n != 20 {
		s.t.Fatalf("%d events stored, want 20", n)
	}
	s.eventually("expiry", func() bool { return s.countStored("/registry/events/eventful/") == 0 })
	s.eventually("expiry in the API server's eyes", func() bool { return len(s.get(path).items()) == 0 })
}

func (s suite) apiserverRestart() {
	before := len(s.get("/api/v1/configmaps").items())
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		s.apiserver.end(signal)
		if err := s.apiserver.start(); err != nil {
			s.t.Fatal(err)
		}
		if err := s.waitReady(); err != nil {
			s.t.Fatal(err)
		}
		if after := len(s.get("/api/v1/configmaps").items()); after != before {
			s.t.Fatalf("%d ConfigMaps after a restart, want %d", after, before)
		}
	}
}

func (s suite) storeKilled() {
	path := s.namespace("survivor") + "/configmaps"
	s.create(path, configMap("subject", object{"n": "0"}))
	for round := range 3 {
		version := s.get(path).resourceVersion()
		s.store.Kill()
		if err := s.store.Restart(); err != nil {
			s.t.Fatal(err)
		}
		s.eventually("a write after the store's restart", func() bool {
			status, _, err := s.call(http.MethodPatch, path+"/subject", mergePatch, object{"data": object{"n": strconv.Itoa(round + 1)}})
			return err == nil && status == http.StatusOK
		})
		// The watch cache must follow the restarted store by itself.
		changes := s.watch(path, "fieldSelector=metadata.name%3Dsubject&resourceVersion="+version)
		for s.next(changes).Object.text("data", "n") != strconv.Itoa(round+1) {
		}
	}
	if err := s.waitReady(); err != nil {
		s.t.Fatal(err)
	}
}
