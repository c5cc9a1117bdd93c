package client

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"holdfast/tests/go/member"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// startProxy puts etcd's own gRPC proxy in front of a member and returns the proxy's address.
func startProxy(t *testing.T, m *member.Member, flags ...string) string {
	t.Helper()
	ports, err := member.FreePorts(1)
	mustDo(t, err)
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	arguments := append([]string{"grpc-proxy", "start", "--endpoints=" + m.ClientAddr(), "--listen-addr=" + address}, flags...)
	proxy := exec.Command(member.Etcd(), arguments...)
	proxy.Dir = t.TempDir()
	mustDo(t, member.StartTied(proxy))
	t.Cleanup(func() {
		proxy.Process.Kill()
		proxy.Wait()
	})
	eventually(t, "the proxy listens", func() bool {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			connection.Close()
		}
		return err == nil
	})
	return address
}

// etcdctl runs the real etcdctl and returns what it prints, in lines.
func etcdctl(t *testing.T, endpoint string, arguments ...string) []string {
	t.Helper()
	command := exec.CommandContext(testContext(t), member.Tool("etcdctl"), append([]string{"--endpoints=" + endpoint}, arguments...)...)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("etcdctl %v: %v\n%s", arguments, err, output)
	}
	return strings.Split(strings.TrimSpace(string(output)), "\n")
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, expected %q", what, got, want)
	}
}

func TestEtcdctlThroughEtcdsProxy(t *testing.T) {
	m, direct := start(t)
	proxy := startProxy(t, m)
	expect(t, "put", etcdctl(t, proxy, "put", "k", "v"), "OK")
	expect(t, "get", etcdctl(t, proxy, "get", "k"), "k", "v")
	expect(t, "a transaction", etcdctl(t, proxy, "del", "k", "--prev-kv"), "1", "k", "v")
	if r := get(t, direct, "k"); r.Header.Revision != 3 {
		t.Errorf("the member is at revision %d, expected 3", r.Header.Revision)
	}
	if list := strings.Join(etcdctl(t, proxy, "member", "list"), "\n"); !strings.Contains(list, "started") {
		t.Errorf("member list: %s", list)
	}

	granted := strings.Fields(etcdctl(t, proxy, "lease", "grant", "60")[0])
	id := granted[1]
	expect(t, "a put with a lease", etcdctl(t, proxy, "put", "leased", "v", "--lease="+id), "OK")
	if told := etcdctl(t, proxy, "lease", "keep-alive", "--once", id)[0]; !strings.Contains(told, "keepalived") {
		t.Errorf("keep-alive: %s", told)
	}
	if told := etcdctl(t, proxy, "lease", "timetolive", "--keys", id)[0]; !strings.Contains(told, "leased") {
		t.Errorf("timetolive: %s", told)
	}
	etcdctl(t, proxy, "lease", "revoke", id)
	if r := get(t, direct, "leased"); len(r.Kvs) != 0 {
		t.Errorf("the lease's key outlives it: %v", r.Kvs)
	}

	expect(t, "lock", etcdctl(t, proxy, "lock", "l", "echo", "held"), "held")
	if told := etcdctl(t, proxy, "endpoint", "status")[0]; !strings.Contains(told, "3.7") {
		t.Errorf("endpoint status: %s", told)
	}
}

func TestWatchesThroughEtcdsProxy(t *testing.T) {
	m, direct := start(t)
	proxy := startProxy(t, m)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	// Two watchers of one key, which the proxy makes one watch; one of them begins in the past.
	put(t, direct, "w", "0")
	var outputs []*bufio.Reader
	for _, revision := range []string{"--rev=2", "--rev=0"} {
		command := exec.CommandContext(ctx, member.Tool("etcdctl"), "--endpoints="+proxy, "watch", "w", revision)
		pipe := must[io.ReadCloser](t)(command.StdoutPipe())
		mustDo(t, command.Start())
		t.Cleanup(func() { cancel(); command.Wait() })
		outputs = append(outputs, bufio.NewReader(pipe))
	}
	next := func(i int) string {
		var lines []string
		for range 3 {
			line := must[string](t)(outputs[i].ReadString('\n'))
			lines = append(lines, strings.TrimSpace(line))
		}
		return strings.Join(lines, " ")
	}
	if event := next(0); event != "PUT w 0" {
		t.Errorf("from the past: %s", event)
	}
	// The second begins whenever it begins: it sees a put after that.
	seen := make(chan string, 1)
	go func() { seen <- next(1) }()
	for value := 1; ; value++ {
		put(t, direct, "w", fmt.Sprint(value))
		if event := next(0); event != fmt.Sprintf("PUT w %d", value) {
			t.Fatalf("event %d: %s", value, event)
		}
		select {
		case event := <-seen:
			if !strings.HasPrefix(event, "PUT w ") {
				t.Errorf("the second watcher: %s", event)
			}
			return
		default:
		}
	}
}

func TestANamespaceOfEtcdsProxy(t *testing.T) {
	m, direct := start(t)
	proxy := startProxy(t, m, "--namespace=team/")
	expect(t, "put", etcdctl(t, proxy, "put", "k", "v"), "OK")
	expect(t, "get", etcdctl(t, proxy, "get", "", "--prefix"), "k", "v")
	put(t, direct, "other", "x")
	expect(t, "others' keys", etcdctl(t, proxy, "get", "", "--prefix", "--keys-only"), "k")
	if r := get(t, direct, "team/k"); len(r.Kvs) != 1 || string(r.Kvs[0].Value) != "v" {
		t.Errorf("below the namespace: %v", r.Kvs)
	}
	if r := get(t, direct, "", clientv3.WithPrefix(), clientv3.WithCountOnly()); r.Count != 2 {
		t.Errorf("%d keys, expected 2", r.Count)
	}
	expect(t, "lock", etcdctl(t, proxy, "lock", "l", "echo", "held"), "held")
}
