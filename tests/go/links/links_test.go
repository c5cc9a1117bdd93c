package links

import (
	"bufio"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

const patience = 20 * time.Second

// echo serves connections by sending back what comes, until the test ends.
func echo(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

// network has a member "server" that echoes; this process is the member "dialer".
func network(t *testing.T) (*Network, string) {
	n := New()
	t.Cleanup(n.Close)
	if _, err := n.Add("dialer", "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	address, err := n.Add("server", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	n.SetProcess("dialer", os.Getpid())
	return n, address
}

func dial(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn, bufio.NewReader(conn)
}

func exchange(conn net.Conn, reader *bufio.Reader, text string) error {
	if _, err := io.WriteString(conn, text+"\n"); err != nil {
		return err
	}
	_, err := reader.ReadString('\n')
	return err
}

func TestCutResetsAndRefusesUntilHealed(t *testing.T) {
	n, address := network(t)
	conn, reader := dial(t, address)
	if err := exchange(conn, reader, "a"); err != nil {
		t.Fatal(err)
	}
	n.Cut("server", "dialer")
	if _, err := reader.ReadString('\n'); err == nil {
		t.Fatal("the connection lives on")
	}
	if refused, err := net.Dial("tcp", address); err == nil { // or it is reset a moment later
		defer refused.Close()
		if err := exchange(refused, bufio.NewReader(refused), "b"); err == nil {
			t.Fatal("a new connection works")
		}
	}
	n.Heal()
	conn, reader = dial(t, address)
	if err := exchange(conn, reader, "c"); err != nil {
		t.Fatal(err)
	}
}

func TestHoldIsOneWayAndLosesNothing(t *testing.T) {
	for _, held := range []pair{{"dialer", "server"}, {"server", "dialer"}} {
		n, address := network(t)
		conn, reader := dial(t, address)
		if err := exchange(conn, reader, "a"); err != nil {
			t.Fatal(err)
		}
		n.Hold(held.from, held.to)
		io.WriteString(conn, "b\n")
		conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := reader.ReadString('\n'); err == nil {
			t.Fatal("it was not held")
		}
		n.Heal()
		conn.SetReadDeadline(time.Now().Add(patience))
		if text, err := reader.ReadString('\n'); err != nil || text != "b\n" {
			t.Fatalf("%q, %v", text, err)
		}
	}
}

func TestHalfOpenSilencesOldConnectionsOnly(t *testing.T) {
	n, address := network(t)
	conn, reader := dial(t, address)
	if err := exchange(conn, reader, "a"); err != nil {
		t.Fatal(err)
	}
	n.HalfOpen("dialer", "server")
	io.WriteString(conn, "b\n")
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := reader.ReadString('\n'); !os.IsTimeout(err) {
		t.Fatalf("the old connection: %v", err)
	}
	conn, reader = dial(t, address)
	if err := exchange(conn, reader, "c"); err != nil {
		t.Fatal(err)
	}
}

func TestDelayAndSlowAreAtLeastWhatTheySay(t *testing.T) {
	n, address := network(t)
	conn, reader := dial(t, address)
	n.Delay("dialer", "server", 30*time.Millisecond, 0)
	n.Delay("server", "dialer", 30*time.Millisecond, 0)
	began := time.Now()
	if err := exchange(conn, reader, "a"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Fatalf("a round trip of %v", took)
	}
	n.Heal()
	n.Slow("dialer", "server", 100_000)
	began = time.Now()
	if err := exchange(conn, reader, string(make([]byte, 10_000))); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Fatalf("10 kB at 100 kB/s in %v", took)
	}
}

func TestEndsTravel(t *testing.T) {
	n, address := network(t)
	conn, reader := dial(t, address)
	if err := exchange(conn, reader, "a"); err != nil {
		t.Fatal(err)
	}
	if got := n.Connections("server", "dialer"); got != 1 {
		t.Fatalf("%d connections", got)
	}
	conn.(*net.TCPConn).CloseWrite()
	if _, err := reader.ReadString('\n'); err != io.EOF {
		t.Fatalf("after the end: %v", err)
	}
}

func TestBothWaysToASocketsOwnerAgree(t *testing.T) {
	conn, _ := dial(t, echo(t))
	local, remote := conn.LocalAddr().(*net.TCPAddr), conn.RemoteAddr().(*net.TCPAddr)
	listed, err := listedInode(local, remote)
	if err != nil {
		t.Fatal(err)
	}
	if asked, err := askInode(local, remote); err != nil {
		t.Skipf("the kernel can't be asked: %v", err)
	} else if asked != listed {
		t.Fatalf("asked %s, listed %s", asked, listed)
	}
	if !holdsSocket(os.Getpid(), listed) {
		t.Fatal("this process does not hold its own socket")
	}
}
