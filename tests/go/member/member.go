// Package member runs one server process of the etcd family, holdfast or the real etcd, for a
// test: on free loopback ports, in its own data directory, its log in a file.
//
// Which binary: Holdfast() is $HOLDFAST_BIN or build/release/bin/holdfast; Etcd() is $ETCD_BIN or
// build/tools/etcd (tests/tools/build-go makes it). Pointing HOLDFAST_BIN at an etcd proves a test
// against the reference itself.
package member

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	// startTimeout bounds the wait for a first linearizable answer. Generous: CI shares its cores.
	startTimeout = 60 * time.Second
	// stopTimeout bounds a graceful stop; a member that takes longer is a failure.
	stopTimeout = 30 * time.Second
	// maxMessageBytes lets a client receive any answer the tests ask for.
	maxMessageBytes = 1 << 30
)

// Options says what to start. Only Binary and Dir are required.
type Options struct {
	Binary string
	Dir    string   // holds the data directory and the log; must exist
	Name   string   // --name; "m" if empty
	Flags  []string // appended after the flags that every member gets
	// DataDir is used instead of Dir/data, for members started on restored data.
	DataDir string
	// Wrap, if set, is put in front of the command, for example {"taskset", "-c", "1"}.
	Wrap []string
	// TLS is how clients reach a member whose Flags give it certificates; nil: without TLS.
	TLS *tls.Config
	// Peers is the member's place in a cluster; nil makes it a cluster of its own.
	Peers *Peers
}

// Peers is how a member finds the others, and they it.
type Peers struct {
	Listen    string // host:port of the peer listener
	Advertise string // URL by which the others reach it, perhaps through a proxy; its scheme is Listen's too
	Cluster   string // --initial-cluster
	Existing  bool   // --initial-cluster-state=existing
}

// Member is one server process, which can be stopped, killed and started again on the same ports
// and data. Its methods are not safe for concurrent use, except ClientAddr and PeerURL.
type Member struct {
	options    Options
	clientAddr string
	log        *os.File

	process *exec.Cmd
	exited  chan struct{} // closed when process has been waited for
	exitErr error
}

// Root returns the repository's root: the nearest parent directory with a CMakePresets.json.
var Root = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "CMakePresets.json")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			panic("no CMakePresets.json above the working directory: run inside the repository")
		}
		dir = parent
	}
})

// Holdfast returns the path of the server under test.
func Holdfast() string { return fromEnv("HOLDFAST_BIN", "build/release/bin/holdfast") }

// Etcd returns the path of the reference server.
func Etcd() string { return fromEnv("ETCD_BIN", "build/tools/etcd") }

// Tool returns the path of a program made by tests/tools/build-go.
func Tool(name string) string { return filepath.Join(Root(), "build/tools", name) }

func fromEnv(variable, fallback string) string {
	if path := os.Getenv(variable); path != "" {
		return path
	}
	return filepath.Join(Root(), fallback)
}

// Start starts a member and waits until it answers a linearizable read.
func Start(options Options) (*Member, error) {
	m, err := New(options)
	if err != nil {
		return nil, err
	}
	if err := m.Restart(); err != nil {
		m.Kill()
		return nil, err
	}
	return m, nil
}

// New prepares a member without starting its process.
func New(options Options) (*Member, error) {
	if _, err := os.Stat(options.Binary); err != nil {
		return nil, fmt.Errorf("no server binary at %s: build it (cmake --preset release && ninja -C build/release holdfast; tests/tools/build-go etcd) or set HOLDFAST_BIN / ETCD_BIN", options.Binary)
	}
	if options.Name == "" {
		options.Name = "m"
	}
	if options.DataDir == "" {
		options.DataDir = filepath.Join(options.Dir, "data")
	}
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(options.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if options.Peers == nil {
		listen := fmt.Sprintf("127.0.0.1:%d", ports[1])
		options.Peers = &Peers{Listen: listen, Advertise: "http://" + listen, Cluster: options.Name + "=http://" + listen}
	}
	return &Member{options: options, clientAddr: fmt.Sprintf("127.0.0.1:%d", ports[0]), log: log}, nil
}

// ClientAddr returns host:port of the client listener.
func (m *Member) ClientAddr() string { return m.clientAddr }

// ClientURL returns the client URL.
func (m *Member) ClientURL() string {
	if m.options.TLS != nil {
		return "https://" + m.clientAddr
	}
	return "http://" + m.clientAddr
}

// PeerURL returns the advertised peer URL.
func (m *Member) PeerURL() string { return m.options.Peers.Advertise }

// Name returns the member's --name.
func (m *Member) Name() string { return m.options.Name }

// Binary returns the path of the program.
func (m *Member) Binary() string { return m.options.Binary }

// DataDir returns the data directory.
func (m *Member) DataDir() string { return m.options.DataDir }

// Pid returns the process id, for /proc.
func (m *Member) Pid() int { return m.process.Process.Pid }

// Exited is closed when the current process has ended.
func (m *Member) Exited() <-chan struct{} { return m.exited }

// Become makes the next start one of another program on other data: the same member otherwise.
func (m *Member) Become(binary, dataDir string) {
	m.options.Binary, m.options.DataDir = binary, dataDir
}

// Restart starts the process on the member's ports and data and waits until it serves.
func (m *Member) Restart() error {
	if err := m.Spawn(); err != nil {
		return err
	}
	return m.WaitReady()
}

// Spawn starts the process and returns at once.
func (m *Member) Spawn() error {
	peers, state := m.options.Peers, "new"
	peerScheme, _, _ := strings.Cut(peers.Advertise, "://")
	if peers.Existing {
		state = "existing"
	}
	args := append([]string{}, m.options.Wrap...)
	args = append(args, m.options.Binary,
		"--name="+m.options.Name,
		"--data-dir="+m.options.DataDir,
		"--listen-client-urls="+m.ClientURL(),
		"--advertise-client-urls="+m.ClientURL(),
		"--listen-peer-urls="+peerScheme+"://"+peers.Listen,
		"--initial-advertise-peer-urls="+peers.Advertise,
		"--initial-cluster="+peers.Cluster,
		"--initial-cluster-state="+state)
	args = append(args, m.options.Flags...)
	process := exec.Command(args[0], args[1:]...)
	process.Stdout, process.Stderr = m.log, m.log
	if err := StartTied(process); err != nil {
		return err
	}
	exited := make(chan struct{})
	m.process, m.exited = process, exited
	go func() {
		m.exitErr = process.Wait()
		close(exited)
	}()
	return nil
}

// StartTied starts a process that ends with the test, even if that is killed. It is forked from a
// thread that lives as long as the test: the parent death signal is sent when the *thread* that
// forked ends, not the process.
func StartTied(process *exec.Cmd) error {
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	reply := make(chan error)
	forks <- fork{process, reply}
	return <-reply
}

type fork struct {
	process *exec.Cmd
	reply   chan error
}

var forks = func() chan fork {
	requests := make(chan fork)
	go func() {
		runtime.LockOSThread()
		for request := range requests {
			request.reply <- request.process.Start()
		}
	}()
	return requests
}()

// WaitReady waits until the member answers a linearizable read.
func (m *Member) WaitReady() error {
	conn, err := m.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	kv := pb.NewKVClient(conn)
	deadline := time.Now().Add(startTimeout)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte("ready?")}, grpc.WaitForReady(true))
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-m.exited:
			return fmt.Errorf("%s ended while starting (%v); its log:\n%s", m.options.Binary, m.exitErr, m.LogTail(20))
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s not ready after %v (%v); its log:\n%s", m.options.Binary, startTimeout, err, m.LogTail(20))
		}
	}
}

// Dial opens a plain gRPC connection without client-side retries or message limits.
func (m *Member) Dial() (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+m.clientAddr,
		grpc.WithTransportCredentials(m.credentials()),
		grpc.WithDisableRetry(),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: fastBackoff, MinConnectTimeout: 5 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)))
}

func (m *Member) credentials() credentials.TransportCredentials {
	if m.options.TLS != nil {
		return credentials.NewTLS(m.options.TLS)
	}
	return insecure.NewCredentials()
}

// Stop asks for a graceful stop and waits. A member that does not stop in time, or whose exit
// status is not that of a clean stop, is an error.
func (m *Member) Stop() error {
	if m.process == nil {
		return nil
	}
	m.process.Process.Signal(syscall.SIGTERM)
	return m.AwaitStop()
}

// AwaitStop waits for the end that a signal has asked for, as Stop does.
func (m *Member) AwaitStop() error {
	select {
	case <-m.exited:
	case <-time.After(stopTimeout):
		m.Kill()
		return fmt.Errorf("%s did not stop within %v of SIGTERM; its log:\n%s", m.options.Binary, stopTimeout, m.LogTail(20))
	}
	// etcd raises the signal again after its clean-up; exit 0 is as good.
	var exit *exec.ExitError
	if errors.As(m.exitErr, &exit) {
		status := exit.Sys().(syscall.WaitStatus)
		if !status.Signaled() || status.Signal() != syscall.SIGTERM {
			return fmt.Errorf("%s ended with %v after SIGTERM; its log:\n%s", m.options.Binary, m.exitErr, m.LogTail(20))
		}
	}
	return nil
}

// Kill ends the process at once (SIGKILL) and waits for its end.
func (m *Member) Kill() {
	if m.process == nil {
		return
	}
	m.process.Process.Kill()
	<-m.exited
}

// Signal sends a signal, for SIGSTOP and SIGCONT.
func (m *Member) Signal(signal syscall.Signal) error { return m.process.Process.Signal(signal) }

// LogPath returns the file that holds everything that the member printed.
func (m *Member) LogPath() string { return m.log.Name() }

// ExitError returns how the process ended, nil after exit code 0; only once Exited is closed.
func (m *Member) ExitError() error { return m.exitErr }

// LogTail returns the last lines of the member's log.
func (m *Member) LogTail(lines int) string {
	content, err := os.ReadFile(m.log.Name())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// fastBackoff redials a restarting member quickly: the default grows to two minutes.
var fastBackoff = backoff.Config{
	BaseDelay:  20 * time.Millisecond,
	Multiplier: 1.3,
	MaxDelay:   250 * time.Millisecond,
}
