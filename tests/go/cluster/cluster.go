// Package cluster runs a cluster of real server processes on loopback for a test: holdfasts, etcds,
// or both. All traffic between members passes the test's own links (package links), and members can
// be killed, paused, stopped, wiped, added, promoted and removed. Everything that waits has a bound,
// and only processes that the cluster started are ever signalled.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"holdfast/tests/go/links"
	"holdfast/tests/go/member"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

const (
	// Patience bounds each wait for the cluster; reaching it is a failure, never the expected way.
	Patience = 60 * time.Second
	// maxMembers bounds how many members one test may start, the removed ones counted.
	maxMembers = 32
	// pollEvery is how often a condition is looked at.
	pollEvery = 20 * time.Millisecond
)

// Options says what to start. Programs and Dir are required.
type Options struct {
	// Programs has one entry per member: "etcd", "holdfast" or a path.
	Programs []string
	Dir      string
	// Heartbeat and Election are the timers of all members; 50 ms and 500 ms if zero.
	Heartbeat, Election time.Duration
	Flags               []string
}

// Cluster is a set of members and the links between them.
type Cluster struct {
	Network *links.Network
	options Options
	admin   *clientv3.Client

	placed int // members so far

	mu       sync.Mutex
	nodes    []*Node // those removed too
	onChange func(endpoints []string)
}

// State is what the test has done to a member's process.
type State int

// A paused member's process exists and does nothing.
const (
	Down State = iota
	Running
	Paused
)

// Node is one member.
type Node struct {
	*member.Member
	ID      uint64
	listen  string // host:port of its peer listener, behind its proxy
	state   State
	learner bool
	removed bool
	conn    *grpc.ClientConn
}

// Program returns the path of a server named "etcd", "holdfast" or by its path.
func Program(name string) string {
	switch name {
	case "etcd":
		return member.Etcd()
	case "holdfast":
		return member.Holdfast()
	}
	return name
}

// Start starts a new cluster and waits until all its members serve.
func Start(options Options) (*Cluster, error) {
	if options.Heartbeat == 0 {
		options.Heartbeat = 50 * time.Millisecond
	}
	if options.Election == 0 {
		options.Election = 500 * time.Millisecond
	}
	c := &Cluster{Network: links.New(), options: options}
	if err := c.bootstrap(); err != nil {
		err = fmt.Errorf("%w\n%s", err, c.LogTails(15))
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) bootstrap() error {
	var names, initial []string
	var places []*member.Peers
	for range c.options.Programs {
		name, peers, err := c.place()
		if err != nil {
			return err
		}
		names, places = append(names, name), append(places, peers)
		initial = append(initial, name+"="+peers.Advertise)
	}
	for i, peers := range places {
		peers.Cluster = strings.Join(initial, ",")
		if _, err := c.create(names[i], c.options.Programs[i], peers); err != nil {
			return err
		}
	}
	for _, n := range c.Nodes() {
		if err := c.Spawn(n); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return errors.Join(c.learnIDs(ctx), c.WaitHealthy(ctx))
}

// place names the next member and makes its proxy.
func (c *Cluster) place() (string, *member.Peers, error) {
	if c.placed++; c.placed > maxMembers {
		return "", nil, fmt.Errorf("more than %d members in one test", maxMembers)
	}
	name := fmt.Sprintf("m%d", c.placed)
	ports, err := member.FreePorts(1)
	if err != nil {
		return "", nil, err
	}
	listen := fmt.Sprintf("127.0.0.1:%d", ports[0])
	proxy, err := c.Network.Add(name, listen)
	if err != nil {
		return "", nil, err
	}
	return name, &member.Peers{Listen: listen, Advertise: "http://" + proxy}, nil
}

// create prepares a member without starting it.
func (c *Cluster) create(name, program string, peers *member.Peers) (*Node, error) {
	dir := filepath.Join(c.options.Dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	flags := append([]string{
		fmt.Sprintf("--heartbeat-interval=%d", c.options.Heartbeat.Milliseconds()),
		fmt.Sprintf("--election-timeout=%d", c.options.Election.Milliseconds()),
	}, c.options.Flags...)
	m, err := member.New(member.Options{Binary: Program(program), Dir: dir, Name: name, Flags: flags, Peers: peers})
	if err != nil {
		return nil, err
	}
	n := &Node{Member: m, listen: peers.Listen}
	if n.conn, err = m.Dial(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.nodes = append(c.nodes, n)
	c.mu.Unlock()
	return n, nil
}

// Close kills all members and ends the links.
func (c *Cluster) Close() {
	c.mu.Lock()
	nodes := append([]*Node{}, c.nodes...)
	c.mu.Unlock()
	for _, n := range nodes {
		n.Kill()
		n.conn.Close()
	}
	if c.admin != nil {
		c.admin.Close()
	}
	c.Network.Close()
}

// Election returns the members' election timeout.
func (c *Cluster) Election() time.Duration { return c.options.Election }

// Nodes returns the members, without those removed.
func (c *Cluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	var nodes []*Node
	for _, n := range c.nodes {
		if !n.removed {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// Voters returns the members that vote.
func (c *Cluster) Voters() []*Node { return c.where(func(n *Node) bool { return !n.learner }) }

// Serving returns the voters whose processes run.
func (c *Cluster) Serving() []*Node {
	return c.where(func(n *Node) bool { return !n.learner && n.state == Running })
}

func (c *Cluster) where(accept func(*Node) bool) []*Node {
	var chosen []*Node
	for _, n := range c.Nodes() {
		c.mu.Lock()
		if accept(n) {
			chosen = append(chosen, n)
		}
		c.mu.Unlock()
	}
	return chosen
}

// Endpoints returns the client addresses of all voters, those that are down too: clients must cope.
func (c *Cluster) Endpoints() []string {
	var endpoints []string
	for _, n := range c.Voters() {
		endpoints = append(endpoints, n.ClientAddr())
	}
	return endpoints
}

// OnChange has f called with the voters' addresses now and whenever they change.
func (c *Cluster) OnChange(f func(endpoints []string)) {
	c.mu.Lock()
	c.onChange = f
	c.mu.Unlock()
	c.tell()
}

func (c *Cluster) tell() {
	endpoints := c.Endpoints()
	c.mu.Lock()
	f := c.onChange
	c.mu.Unlock()
	if f != nil {
		f(endpoints)
	}
}

// Client returns a new official client of the given addresses.
func Client(endpoints []string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
}

// Admin returns the cluster's own official client, for the voters that run. Not for concurrent use.
func (c *Cluster) Admin() (*clientv3.Client, error) {
	var endpoints []string
	for _, n := range c.Serving() {
		endpoints = append(endpoints, n.ClientAddr())
	}
	if len(endpoints) == 0 {
		return nil, errors.New("no member is running")
	}
	if c.admin == nil {
		var err error
		c.admin, err = Client(endpoints)
		return c.admin, err
	}
	c.admin.SetEndpoints(endpoints...)
	return c.admin, nil
}

// --- what happens to processes -------------------------------------------------------------------

func (c *Cluster) setState(n *Node, state State) {
	c.mu.Lock()
	n.state = state
	c.mu.Unlock()
}

// StateOf returns what was last done to the member's process.
func (c *Cluster) StateOf(n *Node) State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return n.state
}

// Spawn starts the member's process and returns at once.
func (c *Cluster) Spawn(n *Node) error {
	if err := n.Spawn(); err != nil {
		return err
	}
	c.Network.SetProcess(n.Name(), n.Pid())
	c.setState(n, Running)
	return nil
}

// Kill ends the member's process with SIGKILL.
func (c *Cluster) Kill(n *Node) {
	c.setState(n, Down)
	n.Kill()
}

// Stop ends the member's process with SIGTERM and waits.
func (c *Cluster) Stop(n *Node) error {
	c.setState(n, Down)
	return n.Stop()
}

// Pause stops the member's process in its tracks (SIGSTOP).
func (c *Cluster) Pause(n *Node) error {
	c.setState(n, Paused)
	return n.Signal(syscall.SIGSTOP)
}

// Resume lets a paused process go on.
func (c *Cluster) Resume(n *Node) error {
	c.setState(n, Running)
	return n.Signal(syscall.SIGCONT)
}

// --- logs ----------------------------------------------------------------------------------------

// LogTails returns the last lines of every member's log.
func (c *Cluster) LogTails(lines int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text strings.Builder
	for _, n := range c.nodes {
		fmt.Fprintf(&text, "--- %s (%x, %s) ends with\n%s\n", n.Name(), n.ID, filepath.Base(n.Binary()), n.LogTail(lines))
	}
	return text.String()
}

// SaveLogs copies every member's log into a folder.
func (c *Cluster) SaveLogs(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var failures []error
	for _, n := range c.nodes {
		failures = append(failures, copyFile(n.LogPath(), filepath.Join(folder, n.Name()+".log")))
	}
	return errors.Join(failures...)
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	sink, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(sink, source)
	return errors.Join(err, sink.Close())
}

// --- waiting -------------------------------------------------------------------------------------

// Final is an error that no waiting will mend: Until returns it at once.
type Final struct{ Err error }

func (f Final) Error() string { return f.Err.Error() }
func (f Final) Unwrap() error { return f.Err }

// Until waits for a condition, which says what it still waits for. The context and Patience bound it.
func Until(ctx context.Context, condition func() error) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		var final Final
		if errors.As(err, &final) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up: %w", err)
		case <-time.After(pollEvery):
		}
	}
}

// Status asks a member for its own view.
func (n *Node) Status(ctx context.Context) (*pb.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return pb.NewMaintenanceClient(n.conn).Status(ctx, &pb.StatusRequest{})
}

// Conn returns a connection to this member alone.
func (n *Node) Conn() *grpc.ClientConn { return n.conn }

// Leader waits until a majority of the voters agrees on a leader whose process runs.
func (c *Cluster) Leader(ctx context.Context) (*Node, error) {
	var leader *Node
	err := Until(ctx, func() error {
		votes := map[uint64]int{}
		for _, n := range c.Serving() {
			if s, err := n.Status(ctx); err == nil && s.Leader != 0 {
				votes[s.Leader]++
			}
		}
		for _, n := range c.Serving() {
			if votes[n.ID] > len(c.Voters())/2 {
				leader = n
				return nil
			}
		}
		return fmt.Errorf("no leader: %v", votes)
	})
	return leader, err
}

// WaitHealthy waits until there is a leader and every running member answers: voters a linearizable
// read, learners a local one.
func (c *Cluster) WaitHealthy(ctx context.Context) error {
	if _, err := c.Leader(ctx); err != nil {
		return err
	}
	for _, n := range c.where(func(n *Node) bool { return n.state == Running }) {
		if err := c.WaitServing(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// WaitServing waits until one member answers.
func (c *Cluster) WaitServing(ctx context.Context, n *Node) error {
	return Until(ctx, func() error {
		if n.hasEnded() {
			return Final{Err: fmt.Errorf("%s has ended: %v", n.Name(), n.ExitError())}
		}
		if _, err := n.Revision(ctx, c.isLearner(n)); err != nil {
			return fmt.Errorf("%s does not serve: %w", n.Name(), err)
		}
		// A member that has not joined yet may answer a local read from its empty store.
		if s, err := n.Status(ctx); err != nil || s.Leader == 0 || s.IsLearner != c.isLearner(n) {
			return fmt.Errorf("%s has not joined yet: %v, %w", n.Name(), s, err)
		}
		return nil
	})
}

func (n *Node) hasEnded() bool {
	select {
	case <-n.Exited():
		return true
	default:
		return false
	}
}

func (c *Cluster) isLearner(n *Node) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return n.learner
}

// Revision returns the store's revision as the member sees it: by a linearizable read, or its own.
func (n *Node) Revision(ctx context.Context, own bool) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	response, err := pb.NewKVClient(n.conn).Range(ctx, &pb.RangeRequest{Key: []byte("revision?"), Serializable: own})
	if err != nil {
		return 0, err
	}
	return response.Header.Revision, nil
}

// learnIDs finds the members' IDs by their names.
func (c *Cluster) learnIDs(ctx context.Context) error {
	return Until(ctx, func() error {
		for _, n := range c.Nodes() {
			s, err := n.Status(ctx)
			if n.hasEnded() {
				return Final{Err: fmt.Errorf("%s has ended: %v", n.Name(), n.ExitError())}
			}
			if err != nil {
				return fmt.Errorf("%s does not tell its ID: %w", n.Name(), err)
			}
			c.mu.Lock()
			n.ID = s.Header.MemberId
			c.mu.Unlock()
		}
		return nil
	})
}
