package main

import "time"

// A row is one piece of work, done by both servers in turn.
type row struct {
	name    string // short and stable: what the command line takes
	work    string
	figures []figure // the first decides which round counts
	members int      // of the cluster; 0 is 1
	rounds  int      // of both servers in turn; the better one of each counts. 0 is 1
	measure func(b *bench, s *side) (values, error)
}

// values are what a row measured on one server, by figure name.
type values map[string]float64

// A figure is one line of the table: what is compared, and what the issue demands of it.
type figure struct {
	name   string
	unit   string
	higher bool // higher is better
	// demand and aim are factors by which holdfast must beat etcd; 0 is none.
	demand, aim float64
	// limit and aimLimit bound holdfast's own value from above; 0 is none.
	limit, aimLimit float64
}

// A line is a figure with both servers' values.
type line struct {
	Row     string  `json:"row"`
	Figure  string  `json:"figure"`
	Unit    string  `json:"unit"`
	Etcd    float64 `json:"etcd"`
	Ours    float64 `json:"holdfast"`
	Factor  float64 `json:"factor"` // by which holdfast is better
	Demand  string  `json:"demanded,omitempty"`
	Aim     string  `json:"aim,omitempty"`
	Verdict string  `json:"verdict"`
}

// better returns the round that counts: the disk is shared, and a bad moment is not the server's.
func (r row) better(a, b values) values {
	f := r.figures[0]
	if a == nil || (b[f.name] > a[f.name]) == f.higher {
		return b
	}
	return a
}

// compare makes the table lines of a row.
func (r row) compare(etcd, ours values) []line {
	lines := make([]line, 0, len(r.figures))
	for _, f := range r.figures {
		l := line{Row: r.name, Figure: f.name, Unit: f.unit, Etcd: etcd[f.name], Ours: ours[f.name]}
		l.Factor = ratio(l.Etcd, l.Ours)
		if f.higher {
			l.Factor = ratio(l.Ours, l.Etcd)
		}
		l.Demand = f.describe(f.demand, f.limit)
		l.Aim = f.describe(f.aim, f.aimLimit)
		l.Verdict = f.judge(l)
		lines = append(lines, l)
	}
	return lines
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (f figure) describe(factor, limit float64) string {
	switch {
	case limit > 0:
		return "≤ " + short(limit) + " " + f.unit
	case factor == 0:
		return ""
	case f.higher:
		return "≥ " + short(factor) + "×"
	default:
		return "≤ 1/" + short(factor)
	}
}

func (f figure) judge(l line) string {
	reached := func(factor, limit float64) bool {
		return (factor > 0 || limit > 0) && l.Factor >= factor && (limit == 0 || l.Ours <= limit)
	}
	switch {
	case reached(f.aim, f.aimLimit):
		return "aim"
	case reached(f.demand, f.limit):
		return "yes"
	case f.demand > 0 || f.limit > 0:
		return "NO"
	default:
		return ""
	}
}

// requestFigures are the two lines of a throughput row.
func requestFigures(rate, rateAim, cpu, cpuAim float64) []figure {
	return []figure{
		{name: "requests", unit: "/s", higher: true, demand: rate, aim: rateAim},
		{name: "CPU per request", unit: "µs", demand: cpu, aim: cpuAim},
		{name: "p99", unit: "ms"},
	}
}

// sized returns full in a full run and quick in a quick one.
func sized[T int | uint64 | time.Duration](b *bench, full, quick T) T {
	if b.quick {
		return quick
	}
	return full
}
