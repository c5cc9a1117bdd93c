package attack

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
)

// raw sends bytes to the member and returns all that it says until it closes, or a second of silence.
func (h *house) raw(request string) string {
	h.t.Helper()
	connection, err := net.Dial("tcp", h.m.ClientAddr())
	h.must(nil, err)
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(patience))
	go io.WriteString(connection, request)
	var answer bytes.Buffer
	buffer := make([]byte, 64<<10)
	for {
		connection.SetReadDeadline(time.Now().Add(time.Second))
		n, err := connection.Read(buffer)
		answer.Write(buffer[:n])
		if err != nil {
			return answer.String()
		}
	}
}

// heads counts answers.
func heads(answer string) int { return strings.Count("\n"+answer, "\nHTTP/1.1 ") }

func TestLiesAboutHttpGetNothing(t *testing.T) {
	h := build(t)
	h.bystander()
	const get = "GET /version HTTP/1.1\r\nHost: h\r\n"
	const smuggled = "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"
	// What one server may read as one request and another as two is no request at all.
	for what, request := range map[string]string{
		"two lengths":            "POST /v3/kv/range HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 60\r\n\r\n{}" + smuggled,
		"length and chunks":      "POST /v3/kv/range HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"chunks of other things": "POST /v3/kv/range HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + smuggled,
		"a negative length":      "POST /v3/kv/range HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n" + smuggled,
		"a huge chunk":           "POST /v3/kv/range HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + smuggled,
		"a blank in a name":      get + "X : y\r\n\r\n" + smuggled,
		"a bare CR":              get + "X: y\rZ: z\r\n\r\n" + smuggled,
		"a zero byte":            get + "X: y\x00\r\n\r\n" + smuggled,
		"no version":             "GET /version\r\n\r\n" + smuggled,
		"another version":        "GET /version HTTP/9.9\r\nHost: h\r\n\r\n" + smuggled,
		"no protocol":            "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + smuggled,
	} {
		if answer := h.raw(request); heads(answer) > 1 || strings.Contains(answer, "etcd_server") {
			t.Errorf("%s: %d answers: %.300s", what, heads(answer), answer)
		}
	}
	// Nothing that a client says comes back as a header.
	for _, request := range []string{
		"GET /nope%0d%0aX-Evil:%201 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"GET /v3/%0d%0aX-Evil:1 HTTP/1.1\r\nHost: a%0d%0aX-Evil: 1\r\nConnection: close\r\n\r\n",
		get + "Origin: http://a%0d%0aX-Evil: 1\r\nConnection: close\r\n\r\n",
		"GET /v3/watch HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: Bearer,%0d%0aX-Evil: 1\r\n\r\n",
	} {
		head, _, _ := strings.Cut(h.raw(request), "\r\n\r\n")
		if strings.Contains(head, "\nX-Evil") || strings.Contains(strings.ToLower(head), "\nx-evil") {
			t.Errorf("%q: %s", request, head)
		}
	}
	// No way of writing a path leads past the gateway's own, to a store without a token.
	for _, path := range []string{"/v3/../v3/kv/range", "//v3/kv/range", "/v3//kv/range", "/v3/kv/range/", "/v3/kv/range%00", "/v3%2fkv%2frange",
		"/V3/kv/range", "/v3/kv/range;a=b", "/v3/./kv/range", "/health/../v3/kv/range", "http://h/v3/kv/range", "*", "/v3/kv/range?token=x",
		"/etcdserverpb.KV/Range", "/" + strings.Repeat("a", 60_000)} {
		body := `{"key":"AA==","range_end":"AA=="}`
		answer := h.raw(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nX-HTTP-Method-Override: GET\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
			path, len(body), body))
		if strings.Contains(answer, `"kvs"`) || strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("%.80s: %.200s", path, answer)
		}
	}
	h.unharmed()
}

func TestBodiesThatAreNone(t *testing.T) {
	h := build(t)
	h.bystander()
	deep := func(open, shut string, n int) string { return strings.Repeat(open, n) + strings.Repeat(shut, n) }
	bodies := map[string]string{
		"deep arrays":          deep("[", "]", 500_000),
		"deep objects":         deep(`{"a":`, "}", 100_000) + "1",
		"deep in a request":    `{"key":` + deep("[", "]", 500_000) + "}",
		"never shut":           strings.Repeat("[", 1_000_000),
		"never shut objects":   strings.Repeat(`{"create_request":`, 100_000),
		"a string without an":  `{"key":"` + strings.Repeat("A", 1_000_000),
		"not UTF-8":            "{\"key\":\"\xff\xfe\"}",
		"half an escape":       `{"key":"\\u12`,
		"a surrogate":          `{"name":"\\ud800"}`,
		"zero bytes":           strings.Repeat("\x00", 1000),
		"a huge number":        `{"ID":` + strings.Repeat("9", 100_000) + "}",
		"a number with a tail": `{"ID":1e999999999}`,
		"many values":          strings.Repeat("{}", 500_000),
		"too long":             `{"key":"` + strings.Repeat("A", 3<<20) + `"}`,
	}
	for _, path := range []string{"/v3/kv/range", "/v3/kv/txn", "/v3/watch", "/v3/lease/keepalive", "/v3/election/observe"} {
		for what, body := range bodies {
			request, err := http.NewRequestWithContext(h.ctx, "POST", h.m.ClientURL()+path, strings.NewReader(body))
			h.must(nil, err)
			client := http.Client{Timeout: 2 * time.Second} // a stream without end is left
			answer, err := client.Do(request)
			if err != nil {
				continue
			}
			text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
			answer.Body.Close()
			if strings.Contains(string(text), `"kvs"`) {
				t.Errorf("%s: %s: %.200s", path, what, text)
			}
		}
	}
	h.unharmed()
}

// nonsense is a codec that sends bytes as they are.
type nonsense struct{}

func (nonsense) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (nonsense) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }
func (nonsense) Name() string                       { return "proto" }

func TestMessagesThatAreNone(t *testing.T) {
	h := build(t)
	h.bystander()
	var methods []string
	for _, service := range []*grpc.ServiceDesc{&pb.KV_ServiceDesc, &pb.Lease_ServiceDesc, &pb.Cluster_ServiceDesc, &pb.Auth_ServiceDesc, &pb.Maintenance_ServiceDesc} {
		for _, method := range service.Methods {
			methods = append(methods, "/"+service.ServiceName+"/"+method.MethodName)
		}
	}
	methods = append(methods, "/v3lockpb.Lock/Lock", "/v3lockpb.Lock/Unlock", "/v3electionpb.Election/Campaign", "/v3electionpb.Election/Proclaim",
		"/v3electionpb.Election/Resign", "/v3electionpb.Election/Leader", "/nope.Nope/Nope", "/", "//", "/etcdserverpb.KV/", "/etcdserverpb.KV/Range/x",
		"/etcdserverpb.KV/Range\r\nx: y", "/grpc.health.v1.Health/Check")
	for _, method := range methods {
		for i := range 30 {
			message := make([]byte, rand.IntN(300))
			for j := range message {
				message[j] = byte(rand.IntN(256))
			}
			if i == 0 {
				message = bytes.Repeat([]byte{0x0a, 0x80, 0x80, 0x80, 0x80, 0x08}, 50) // lengths beyond the end
			}
			var answer []byte
			err := h.conn.Invoke(h.with("nonsense"), method, &message, &answer, grpc.ForceCodec(nonsense{}))
			if err == nil && !strings.HasPrefix(method, "/grpc.health") && !strings.HasSuffix(method, "AuthStatus") && !strings.HasSuffix(method, "Status") && !strings.HasSuffix(method, "Alarm") {
				t.Errorf("%s was answered: %q", method, answer)
			}
		}
	}
	// A few kilobytes that become a gigabyte.
	var bomb bytes.Buffer
	packer, _ := gzip.NewWriterLevel(&bomb, 9)
	zeros := make([]byte, 1<<20)
	for range 64 {
		packer.Write(zeros)
	}
	packer.Close()
	big := make([]byte, 64<<20)
	var answer []byte
	err := h.conn.Invoke(h.as("root"), "/etcdserverpb.KV/Range", &big, &answer, grpc.ForceCodec(nonsense{}), grpc.UseCompressor("gzip"))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a bomb of %d bytes: %v", bomb.Len(), err)
	}
	h.unharmed()
}

func TestFloodsAndThoseWhoNeverFinish(t *testing.T) {
	h := build(t)
	h.bystander()
	var crowd sync.WaitGroup
	attack := func(clients int, act func(net.Conn)) {
		for range clients {
			crowd.Add(1)
			go func() {
				defer crowd.Done()
				connection, err := net.Dial("tcp", h.m.ClientAddr())
				if err != nil {
					return
				}
				defer connection.Close()
				connection.SetDeadline(time.Now().Add(8 * time.Second))
				act(connection)
			}()
		}
	}
	slowly := func(bytesAtATime int, head string, then func() string) func(net.Conn) {
		return func(connection net.Conn) {
			io.WriteString(connection, head)
			for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				if _, err := io.WriteString(connection, then()); err != nil {
					return
				}
			}
		}
	}
	attack(300, slowly(1, "GET /version HTTP/1.1\r\nHost: h\r\nX: ", func() string { return "y" }))
	attack(200, slowly(1, "POST /v3/kv/range HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n", func() string { return " " }))
	attack(300, func(connection net.Conn) { time.Sleep(4 * time.Second) })
	attack(100, func(connection net.Conn) { // a header without end
		io.WriteString(connection, "GET / HTTP/1.1\r\nHost: h\r\n")
		for range 500 {
			if _, err := io.WriteString(connection, "X-Bomb: "+strings.Repeat("y", 8000)+"\r\n"); err != nil {
				return
			}
		}
	})
	attack(30, func(connection net.Conn) { // answers that nobody reads
		for range 100 {
			if _, err := io.WriteString(connection, "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
				return
			}
		}
	})
	const upgrade = "GET /v3/watch HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	attack(100, func(connection net.Conn) { // WebSockets: a message in pieces without end, pings nobody reads answers to
		io.WriteString(connection, upgrade)
		bufio.NewReader(connection).ReadString('\n')
		io.WriteString(connection, "\x01\x80mask")
		for range 4000 {
			piece := "\x00\xfe\x03\xe8mask" + strings.Repeat("z", 1000) + "\x89\xfdmask" + strings.Repeat("p", 125)
			if _, err := io.WriteString(connection, piece); err != nil {
				return
			}
		}
	})
	attack(50, func(connection net.Conn) { // not frames at all
		io.WriteString(connection, upgrade+"GET / HTTP/1.1\r\n\r\n")
		io.Copy(io.Discard, connection)
	})
	attack(500, func(connection net.Conn) {
		io.WriteString(connection, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x04\x00")
	})
	crowd.Wait()
	h.unharmed()
}
