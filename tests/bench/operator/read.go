package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"holdfast/tests/go/fleet"
)

// histogram is the cumulative counts of a Prometheus histogram, by upper bound.
type histogram map[float64]float64

func (h histogram) minus(before histogram) histogram {
	out := histogram{}
	for bound, count := range h {
		out[bound] = count - before[bound]
	}
	return out
}

func (h histogram) count() float64 { return h[math.Inf(1)] }

// quantile interpolates within the bucket, as Prometheus does; 0 if there is nothing.
func (h histogram) quantile(q float64) float64 {
	if h.count() == 0 {
		return 0
	}
	var bounds []float64
	for bound := range h {
		bounds = append(bounds, bound)
	}
	slices.Sort(bounds)
	rank, lower, below := q*h.count(), 0.0, 0.0
	for _, bound := range bounds {
		if h[bound] >= rank && h[bound] > below {
			if math.IsInf(bound, 1) {
				return lower
			}
			return lower + (bound-lower)*(rank-below)/(h[bound]-below)
		}
		lower, below = bound, h[bound]
	}
	return lower
}

// reading is what an operator's metrics page says of its passes and of its requests to the API server.
type reading struct {
	passes   histogram
	requests map[string]float64
}

func scrape() (reading, error) {
	page, err := fleet.Get("http://" + pages + "/metrics")
	if err != nil {
		return reading{}, err
	}
	passes, requests, verb := "holdfast_operator_pass_seconds_bucket{", "holdfast_operator_kube_requests_total{", "verb"
	if *dialect == "controller-runtime" {
		passes, requests, verb = "controller_runtime_reconcile_time_seconds_bucket{", "rest_client_requests_total{", "method"
	}
	out := reading{histogram{}, map[string]float64{}}
	for line := range strings.SplitSeq(page, "\n") {
		value, _ := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
		if strings.HasPrefix(line, passes) {
			bound, err := strconv.ParseFloat(label(line, "le"), 64)
			if err == nil {
				out.passes[bound] += value
			}
		} else if strings.HasPrefix(line, requests) {
			out.requests[label(line, verb)] += value
		}
	}
	return out, nil
}

func label(line, name string) string {
	_, after, _ := strings.Cut(line, name+`="`)
	value, _, _ := strings.Cut(after, `"`)
	return value
}

// memory returns a figure of the operator's /proc status, in MiB.
func memory(field string) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", operatorIs.Process.Pid))
	for line := range strings.SplitSeq(string(text), "\n") {
		if after, ok := strings.CutPrefix(line, field+":"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(after)[0], 64)
			return kib / 1024
		}
	}
	return math.NaN()
}

// cpuSeconds returns the processor time that the operator has used.
func cpuSeconds() float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", operatorIs.Process.Pid))
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const ticksPerSecond = 100
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticksPerSecond
}
