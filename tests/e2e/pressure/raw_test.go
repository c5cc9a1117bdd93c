package pressure

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/proto"
)

// slowConn is a connection whose owner takes at most so many bytes a second.
type slowConn struct {
	net.Conn
	bytesPerSecond int
}

func (c *slowConn) Read(into []byte) (int, error) {
	const slices = 20
	n, err := c.Conn.Read(into[:min(len(into), c.bytesPerSecond/slices)])
	time.Sleep(time.Second / slices)
	return n, err
}

// dial opens a connection with a small receive buffer, so that what its owner does not take waits in
// the server. bytesPerSecond 0: as fast as it comes.
func dial(ctx context.Context, address string, bytesPerSecond int) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil || bytesPerSecond == 0 {
		return conn, err
	}
	return &slowConn{conn, bytesPerSecond}, conn.(*net.TCPConn).SetReadBuffer(64 << 10)
}

// rawClient makes gRPC calls on one HTTP/2 connection and throws their answers away as they come: a
// client that kept lists by the hundred would need more memory than the server.
type rawClient struct {
	http *http.Client
	base string
}

func newRawClient(address string, bytesPerSecond int) *rawClient {
	return &rawClient{base: "http://" + address, http: &http.Client{Transport: &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, _, _ string, _ *tls.Config) (net.Conn, error) {
			return dial(ctx, address, bytesPerSecond)
		},
	}}}
}

// call returns the length of the answer's messages.
func (c *rawClient) call(ctx context.Context, method string, request proto.Message) (int64, error) {
	message, err := proto.Marshal(request)
	if err != nil {
		return 0, err
	}
	body := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(body[1:], uint32(len(message)))
	body = append(body, message...)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+method, newBody(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("content-type", "application/grpc")
	r.Header.Set("te", "trailers")
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	length, err := io.Copy(io.Discard, answer.Body)
	if err != nil {
		return length, err
	}
	code, text := answer.Trailer.Get("grpc-status"), answer.Trailer.Get("grpc-message")
	if code == "" {
		code, text = answer.Header.Get("grpc-status"), answer.Header.Get("grpc-message")
	}
	return length, statusError(code, text)
}

type grpcError struct {
	code int
	text string
}

func (e *grpcError) Error() string { return fmt.Sprintf("%d: %s", e.code, e.text) }

func statusError(code, text string) error {
	number, err := strconv.Atoi(code)
	if err != nil {
		return errors.New("an answer without grpc-status")
	}
	if number == 0 {
		return nil
	}
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	return &grpcError{number, text}
}
