package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/tests/go/member"
)

const tableHead = "| row | figure | etcd | holdfast | better by | demanded | aim | verdict |\n|---|---|--:|--:|--:|---|---|---|"

func (l line) table() string {
	return fmt.Sprintf("| %s | %s | %s %s | %s %s | %s× | %s | %s | %s |",
		l.Row, l.Figure, short(l.Etcd), l.Unit, short(l.Ours), l.Unit, short(l.Factor), l.Demand, l.Aim, l.Verdict)
}

// short formats with three significant digits.
func short(value float64) string {
	if math.Abs(value) >= 1000 {
		text := strconv.FormatFloat(math.Round(value), 'f', 0, 64)
		for at := len(text) - 3; at > 0; at -= 3 {
			text = text[:at] + "," + text[at:]
		}
		return text
	}
	return strconv.FormatFloat(value, 'g', 3, 64)
}

func loadAverage() string {
	content, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(strings.Fields(string(content))[:min(1, len(content))], " ")
}

// published is results.json.
type published struct {
	Date     string `json:"date"`
	Machine  string `json:"machine"`
	Holdfast string `json:"holdfast"`
	Etcd     string `json:"etcd"`
	Lines    []line `json:"lines"`
}

// publish writes results.json and results.md. Rows measured by an earlier run and not by this one
// stay, so that one row can be repeated.
func publish(lines []line) error {
	dir := filepath.Join(member.Root(), "tests/bench")
	now := published{
		Date:     time.Now().UTC().Format("2006-01-02 15:04 MST"),
		Machine:  machine(),
		Holdfast: commit(),
		Etcd:     "3.7.1",
		Lines:    lines,
	}
	var earlier published
	if content, err := os.ReadFile(filepath.Join(dir, "results.json")); err == nil {
		if err := json.Unmarshal(content, &earlier); err != nil {
			return fmt.Errorf("results.json cannot be read, remove it: %w", err)
		}
	}
	for _, l := range earlier.Lines {
		if !slices.ContainsFunc(lines, func(m line) bool { return m.Row == l.Row }) {
			now.Lines = append(now.Lines, l)
		}
	}
	order := rowOrder()
	slices.SortStableFunc(now.Lines, func(a, b line) int { return order[a.Row] - order[b.Row] })
	content, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.json"), append(content, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "results.md"), []byte(now.markdown()), 0o644)
}

func rowOrder() map[string]int {
	order := map[string]int{}
	for i, r := range rows() {
		order[r.name] = i
	}
	return order
}

func (p published) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "# Measured side by side\n\n%s, %s. holdfast %s, etcd %s; server on core 0, load on core 1, fsync on, default flags.\n"+
		"Made by `tests/bench/run`; README.md says what the rows do.\n\n%s\n", p.Date, p.Machine, p.Holdfast, p.Etcd, tableHead)
	for _, l := range p.Lines {
		fmt.Fprintln(&text, l.table())
	}
	return text.String()
}

func machine() string {
	content, _ := os.ReadFile("/proc/cpuinfo")
	model, cores := "", 0
	for l := range strings.Lines(string(content)) {
		if name, value, found := strings.Cut(l, ":"); found && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			cores++
		}
	}
	return fmt.Sprintf("%d × %s", cores, model)
}

func commit() string {
	out, err := exec.Command("git", "-C", member.Root(), "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
