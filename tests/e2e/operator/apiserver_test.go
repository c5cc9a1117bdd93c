package operator

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// mood is how the API server treats the operator, and nobody else.
type mood int32

const (
	well mood = iota
	slow
	failing
)

// proxy stands between the operator and the API server.
type proxy struct {
	mood       atomic.Int32
	failures   atomic.Int64
	kubeconfig string
}

func startProxy(t *testing.T) *proxy {
	t.Helper()
	// It knows how to reach the API server and with which certificate.
	upstream := exec.Command("kubectl", "proxy", "--port=0")
	upstream.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := upstream.StdoutPipe()
	if err == nil {
		err = upstream.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = upstream.Process.Kill()
		_ = upstream.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse("http://" + strings.TrimSpace(line[strings.LastIndex(line, " ")+1:]))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.FlushInterval = -1 // watches
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.disturb(w) {
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.CloseClientConnections)
	p.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`
apiVersion: v1
kind: Config
current-context: proxy
clusters: [{name: proxy, cluster: {server: %q}}]
contexts: [{name: proxy, context: {cluster: proxy, user: proxy}}]
users: [{name: proxy, user: {}}]
`, server.URL)
	if err := os.WriteFile(p.kubeconfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// disturb returns whether the request goes on.
func (p *proxy) disturb(w http.ResponseWriter) bool {
	switch mood(p.mood.Load()) {
	case slow:
		time.Sleep(200*time.Millisecond + rand.N(1500*time.Millisecond))
	case failing:
		dice := rand.IntN(10)
		if dice < 5 {
			p.failures.Add(1)
		}
		switch {
		case dice < 3:
			http.Error(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"InternalError","code":500}`, http.StatusInternalServerError)
			return false
		case dice < 4:
			w.Header().Set("Retry-After", "1")
			http.Error(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"TooManyRequests","code":429}`, http.StatusTooManyRequests)
			return false
		case dice < 5:
			panic(http.ErrAbortHandler) // the connection breaks
		}
	}
	return true
}

func TestTheAPIServerAnswersSlowlyOrNotAtAll(t *testing.T) {
	p := startProxy(t)
	operator := startOperatorWith(t, "KUBECONFIG="+p.kubeconfig)
	b := &bed{cluster: declareAs(t, "unwell", plain), operator: operator}
	b.awaitReady(3)
	b.load = startLoad(t, "http://db.unwell.svc.cluster.local:2379")
	b.step("roll, every answer late", func(t *testing.T) {
		g, before := b.guard(), b.uids()
		p.mood.Store(int32(slow))
		b.patch(`{"spec":{"podTemplate":{"resources":{"requests":{"cpu":"13m"}}}}}`)
		within(t, patience, "every Pod is new", func() error {
			if err := b.areNew(before); err != nil {
				return err
			}
			return b.isReady(3)
		})
		g.atLeast(2)
	})
	b.step("grow, every other request fails", func(t *testing.T) {
		g := b.guard()
		p.mood.Store(int32(failing))
		b.kubectl("scale", "hfc", "db", "--replicas=5")
		b.awaitReady(5)
		g.atLeast(3)
		t.Logf("%d requests failed", p.failures.Load())
	})
	b.step("shrink, all is well again", func(t *testing.T) {
		p.mood.Store(int32(well))
		b.kubectl("scale", "hfc", "db", "--replicas=3")
		b.awaitReady(3)
	})
	b.clear()
}

// A change that no node has room for holds up one member, and nobody else.
func TestAPodThatNeverBecomesReady(t *testing.T) {
	b := lay(t, "never")
	b.step("no node takes the Pod", func(t *testing.T) {
		g, before := b.guard(), b.uids()
		b.patch(`{"spec":{"podTemplate":{"nodeSelector":{"kubernetes.io/hostname":"nowhere"}}}}`)
		within(t, patience, "the condition says why", func() error { return b.isDegraded("no node takes its Pod") })
		stays(t, 15*time.Second, "the other two keep running", func() error {
			kept := 0
			for pod, uid := range before {
				if b.podUID(pod) == uid {
					kept++
				}
			}
			if kept != 2 {
				return fmt.Errorf("%d of the three Pods are the same as before", kept)
			}
			return nil
		})
		b.patch(`{"spec":{"podTemplate":{"nodeSelector":null}}}`)
		b.awaitReady(3)
		g.atLeast(2)
	})
	b.step("growth that can't succeed", func(t *testing.T) {
		// Nothing restarts for it: the template is wished for while only new Pods are made.
		b.patch(`{"spec":{"updatePolicy":{"strategy":"OnDelete","progressDeadlineSeconds":30},` +
			`"podTemplate":{"nodeSelector":{"kubernetes.io/hostname":"nowhere"}},"replicas":5}}`)
		within(t, patience, "it is given up, and what it began is cleared away", func() error {
			parked, err := tryKubectl("--namespace", b.ns, "get", "hfc", "db", "--output", "jsonpath={.status.parked.type}")
			if err != nil || parked != "Grow" {
				return fmt.Errorf("%q, %v", parked, err)
			}
			if pods := b.pods(); len(pods) != 3 {
				return fmt.Errorf("%v", pods)
			}
			return nil
		})
		b.patch(`{"spec":{"replicas":3,"podTemplate":{"nodeSelector":null}}}`)
		b.awaitReady(3)
	})
	b.clear()
}
