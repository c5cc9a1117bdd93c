// Package fleet plays everything around an operator that would need machines: for hundreds of members it
// answers what an operator asks (fleet.go, server.go), and it does to Pods and claims what a scheduler, a
// kubelet and a provisioner do (kubelet.go). The API server is a real one, and no process runs a member.
//
// A member is an address of its own in 127.64.0.0/10 behind one wildcard listener for gRPC (2379) and one
// for pages (2381): who was dialled says which member answers. Ports are those that the operator takes for
// granted, so everything runs in a network namespace of its own (see the run scripts).
//
// What it is not: there is no log, no election and no lag. A quorum is the number of voters whose Pods run,
// the first of them leads, a learner has caught up as soon as it runs, and every write succeeds. It says
// what an operator costs, never whether it is right.
package fleet

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Fleet is all simulated members. Its methods are safe for concurrent use.
type Fleet struct {
	page []byte // a real member's metrics page, served by each

	mu        sync.Mutex // guards all below
	clusters  map[string]*cluster
	processes map[netip.Addr]*process
	addresses uint32
	asked     map[string]int // requests by method
}

// cluster is what its members have agreed on.
type cluster struct {
	key     string
	id      uint64
	members []*registration
	data    map[string]uint64 // member IDs by name: what stands on volumes
	serial  uint64
}

type registration struct {
	id       uint64
	name     string
	peerURLs []string
	learner  bool
}

// process is a member that runs in a Pod.
type process struct {
	cluster *cluster
	id      uint64
	name    string
	address netip.Addr
	tls     *identity // nil: clients are answered without TLS
}

// New makes a Fleet whose members all serve page beside what is their own.
func New(page []byte) *Fleet {
	return &Fleet{page: page, clusters: map[string]*cluster{}, processes: map[netip.Addr]*process{}, asked: map[string]int{}}
}

// Asked returns how often each method and page was asked for.
func (f *Fleet) Asked() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := map[string]int{}
	for method, count := range f.asked {
		counts[method] = count
	}
	return counts
}

// start starts a member with the arguments of its Pod's container and returns its address.
func (f *Fleet) start(key string, arguments []string, identity *identity) (netip.Addr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	flags := map[string]string{}
	for _, argument := range arguments {
		name, value, _ := strings.Cut(argument, "=")
		flags[strings.TrimPrefix(name, "--")] = value
	}
	c := f.clusters[key]
	if c == nil {
		c = &cluster{key: key, id: hash(key), data: map[string]uint64{}}
		f.clusters[key] = c
	}
	id, err := c.join(flags)
	if err != nil {
		return netip.Addr{}, err
	}
	f.addresses++
	n := f.addresses
	p := &process{c, id, flags["name"], netip.AddrFrom4([4]byte{127, 64 + byte(n>>16), byte(n >> 8), byte(n)}), identity}
	f.processes[p.address] = p
	return p.address, nil
}

// join finds the member's place: on its volume, in a new cluster, or where it was added before.
func (c *cluster) join(flags map[string]string) (uint64, error) {
	name := flags["name"]
	if id, ok := c.data[name]; ok && c.find(id) != nil {
		return id, nil
	}
	if flags["initial-cluster-state"] == "new" && len(c.members) == 0 {
		for _, each := range strings.Split(flags["initial-cluster"], ",") {
			member, url, _ := strings.Cut(each, "=")
			c.add(member, []string{url}, false)
		}
	}
	url := flags["initial-advertise-peer-urls"]
	for _, r := range c.members {
		if slices.Contains(r.peerURLs, url) {
			r.name, c.data[name] = name, r.id
			return r.id, nil
		}
	}
	return 0, fmt.Errorf("%s: no member of %s has %s", name, c.key, url)
}

// stop ends the member at the address; its volume stays.
func (f *Fleet) stop(address netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.processes, address)
}

// forget wipes a volume.
func (f *Fleet) forget(key, member string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.clusters[key]; c != nil {
		delete(c.data, member)
	}
}

func (c *cluster) add(name string, peerURLs []string, learner bool) *registration {
	c.serial++
	r := &registration{hash(fmt.Sprint(c.key, name, peerURLs, c.serial)), name, peerURLs, learner}
	c.members = append(c.members, r)
	return r
}

func (c *cluster) find(id uint64) *registration {
	for _, r := range c.members {
		if r.id == id {
			return r
		}
	}
	return nil
}

// leader returns the first voter that runs, or 0 without a quorum. The Fleet is locked.
func (f *Fleet) leader(c *cluster) uint64 {
	running := map[uint64]bool{}
	for _, p := range f.processes {
		if p.cluster == c {
			running[p.id] = true
		}
	}
	voters, alive, first := 0, 0, uint64(0)
	for _, r := range c.members {
		if r.learner {
			continue
		}
		voters++
		if running[r.id] {
			alive++
			if first == 0 {
				first = r.id
			}
		}
	}
	if alive < voters/2+1 {
		return 0
	}
	return first
}

// size is how much a cluster holds: something between 16 MiB and 1.9 GiB, always the same.
func (c *cluster) size() int64 { return 16<<20 + int64(c.id%120)*(16<<20) }

func hash(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64() | 1
}
