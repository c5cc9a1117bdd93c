package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"holdfast/tests/go/member"
)

// A quota that a writer fills every few seconds: nobody but the operator makes room, the alarm goes, and
// the writer goes on with no member restarted.
func TestNoSpaceIsClearedWithoutHands(t *testing.T) {
	operator := startOperator(t)
	c := declareAs(t, "nospace", plain+`  options: {quotaBytes: 8388608}
  maintenance: {space: {keepRevisions: 5}}
`)
	c.awaitReady(3)
	before := map[string]string{}
	for _, pod := range c.pods() {
		before[pod] = c.podUID(pod)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://db.nospace.svc.cluster.local:2379"}, DialTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	began := time.Now()
	refused, after := 0, 0
	value := strings.Repeat("v", 64<<10)
	for n := 0; after < 50; n++ {
		if time.Since(began) > patience {
			t.Fatalf("%d writes were refused and %d taken since", refused, after)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_, err := client.Put(ctx, fmt.Sprintf("key-%d", n%3), value)
		cancel()
		switch {
		case err == nil && refused > 0:
			after++
		case errors.Is(err, rpctypes.ErrNoSpace):
			refused, after = refused+1, 0
			time.Sleep(100 * time.Millisecond)
		case err != nil:
			t.Fatal(err)
		}
	}
	t.Logf("room was made within %v, %d writes were refused meanwhile", time.Since(began).Round(100*time.Millisecond), refused)
	within(t, patience, "status tells of it", func() error {
		text, err := tryKubectl("--namespace", c.ns, "get", "hfc", "db", "--output", "jsonpath={.status.space}")
		if err != nil {
			return err
		}
		var space struct {
			DisarmedAt time.Time
			MakingRoom *struct{}
			Samples    []struct{ Bytes int64 }
		}
		if err := json.Unmarshal([]byte(text), &space); err != nil {
			return err
		}
		if space.DisarmedAt.IsZero() || space.MakingRoom != nil || len(space.Samples) == 0 {
			return fmt.Errorf("%s", text)
		}
		return c.isReady(3)
	})
	within(t, patience, "events tell of each step", func() error {
		events := c.kubectl("get", "events", "--output", "jsonpath={.items[*].reason}")
		for _, reason := range []string{"NoSpace", "Compacted", "AlarmDisarmed", "RoomMade"} {
			if !strings.Contains(events, reason) {
				return fmt.Errorf("no event %s: %s", reason, events)
			}
		}
		return nil
	})
	for pod, uid := range before {
		if now := c.podUID(pod); now != uid {
			t.Errorf("%s was made anew", pod)
		}
	}
	areServed(t, "http://127.0.0.1:18080/metrics", "http://db-0.db-peers.nospace.svc.cluster.local:2381/metrics")
	c.kubectl("delete", "hfc", "db", "--timeout=60s")
	operator.stop()
	kubectl(t, "delete", "namespace", "nospace", "--wait=false")
}

// rare are metrics that have nothing to tell here: of backups, of TLS, of --metrics=extensive, of a trend that takes minutes to
// show. tests/e2e/chart finds them in the source that makes them.
var rare = regexp.MustCompile(`^holdfast_(backup|tls|archive)_|^holdfast_operator_(archive_|headroom_seconds$)|^grpc_server_handling_seconds|_certificate_not_after_seconds$`)

// areServed finds each metric that the chart's dashboards and alerts name on one of the pages.
func areServed(t *testing.T, pages ...string) {
	t.Helper()
	served := ""
	for _, page := range pages {
		response, err := http.Get(page)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v", page, response.Status, err)
		}
		served += string(body)
	}
	chart := filepath.Join(member.Root(), "helm/holdfast")
	files, _ := filepath.Glob(chart + "/files/dashboards/*.json")
	files = append(files, chart+"/files/rules/members.yaml", chart+"/templates/prometheusrule.yaml")
	named := map[string]bool{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, metric := range regexp.MustCompile(`\b(etcd|grpc|holdfast)_[a-z_]+\b`).FindAllString(string(content), -1) {
			named[metric] = true
		}
	}
	for _, label := range []string{"grpc_code", "grpc_method", "grpc_type"} {
		delete(named, label)
	}
	for metric := range named {
		if !rare.MatchString(metric) && !strings.Contains(served, "\n"+metric+"{") && !strings.Contains(served, "\n"+metric+" ") {
			t.Errorf("no page has %s, which a dashboard or an alert asks for", metric)
		}
	}
	t.Logf("%d metrics are asked for", len(named))
}
