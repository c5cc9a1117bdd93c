package workload

import (
	"os"
	"slices"
	"sync"
	"time"
)

const (
	beat = 10 * time.Millisecond
	// lateBeat is what a shared machine does to a sleeping thread without meaning much.
	lateBeat = 30 * time.Millisecond
)

// metronome tells how long the machine stood still: its beat, one write and sync to the disk each,
// should take hardly longer than the pause between two. What is late is taken off the gaps for which
// a cluster is blamed, so that a busy machine fails no test.
type metronome struct {
	mu    sync.Mutex
	stops []standstill
}

type standstill struct{ from, to time.Time }

func startMetronome(stop chan struct{}) *metronome {
	m := &metronome{}
	file, err := os.CreateTemp("", "holdfast-metronome-")
	if err == nil {
		os.Remove(file.Name())
		go m.run(stop, func() { file.WriteAt([]byte("beat"), 0); file.Sync() }, file.Close)
	}
	go m.run(stop, func() {}, func() error { return nil })
	return m
}

func (m *metronome) run(stop chan struct{}, act func(), end func() error) {
	defer end()
	for {
		began := time.Now()
		select {
		case <-stop:
			return
		case <-time.After(beat):
		}
		act()
		if took := time.Since(began); took > lateBeat {
			m.mu.Lock()
			m.stops = append(m.stops, standstill{began.Add(beat), began.Add(took)})
			m.mu.Unlock()
		}
	}
}

// stoodStill returns the part of [from, to) in which the machine did not do what it was asked for.
func (m *metronome) stoodStill(from, to time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum time.Duration
	slices.SortFunc(m.stops, func(a, b standstill) int { return a.from.Compare(b.from) })
	for _, s := range m.stops {
		begin, end := s.from, s.to
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		if end.After(begin) {
			sum += end.Sub(begin)
			from = end // what two beats tell counts once
		}
	}
	return sum
}
