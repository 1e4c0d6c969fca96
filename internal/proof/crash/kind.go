//go:build unix

package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A kind of fault, and how often it comes.
type kind struct {
	name   string
	weight float64
	needs  string // the script without which it cannot be made: kafka, cluster or redis
	about  string
}

var kinds = []kind{
	{"kill", 10, "", "SIGKILL a worker, start it on the same directory, at once or after its session is over"},
	{"wipe", 2, "", "SIGKILL a worker, start it on an empty directory"},
	{"damage", 2, "", "SIGKILL a worker, flip a bit, zero a page, cut or remove a file in its directory, start it"},
	{"kill-all", 0.5, "", "SIGKILL all workers, start them together when their sessions are over"},
	{"term", 4, "", "SIGTERM a worker, start it later"},
	{"freeze", 1, "", "SIGSTOP a worker until its session is over, then SIGCONT"},
	{"stall", 4, "", "hold what workers send to Redis for 1 to 3 s, deliver it late, half the time after cutting them off"},
	{"flush", 2, "", "FLUSHALL"},
	{"redis-kill", 1, "redis", "SIGKILL Redis, start it empty"},
	{"redis-away", 1, "redis", "stop Redis for 2 to 5 s, start it empty"},
	{"broker-kill", 1, "kafka", "SIGKILL the broker, start it again"},
	{"broker-away", 0.5, "kafka", "stop the broker for 20 s (short: 6 s)"},
	{"one-kill", 1.5, "cluster", "SIGKILL one of three brokers, start it 1 to 15 s later"},
	{"one-freeze", 1, "cluster", "SIGSTOP one of three brokers for 5 to 20 s"},
	{"move", 2, "cluster", "give every partition another leader"},
}

// kills tells whether the kind is counted by -kills.
func (k kind) kills() bool { return k.name == "kill" || k.name == "wipe" }

func chooseKinds(text string) (chosen []kind, err error) {
	if text == "all" {
		return kinds, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, weight, weighted := strings.Cut(part, ":")
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-faults %q: there is no such kind: see -h", name)
		}
		k := kinds[i]
		if weighted {
			if k.weight, err = strconv.ParseFloat(weight, 64); err != nil || k.weight <= 0 {
				return nil, fmt.Errorf("-faults %q: the weight is not a number above 0", part)
			}
		}
		chosen = append(chosen, k)
	}
	return chosen, nil
}

// A fault is one thing that will go wrong.
type fault struct {
	kind
	at     time.Duration // after the start
	victim int           // which worker
	down   time.Duration // how long it lasts, or the victim stays away
	life   time.Duration // how long the victim is left alone after it
	cut    bool          // a stall cuts the connections
	seed   uint64        // of what is drawn when it is made
}

// schedule draws the faults of a run, at least one of each kind, evenly spread;
// those of one victim come one after the other. It also returns how long all
// that takes, which may be longer than was asked for.
func (o options) schedule() ([]fault, time.Duration) {
	random := rand.New(rand.NewPCG(o.seed, 1))
	faults := o.draw()
	random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	gap := o.length * 95 / 100 / time.Duration(len(faults))
	free, end := map[string]time.Duration{}, o.length
	for i := range faults {
		f := &faults[i]
		f.at = time.Duration(i)*gap + between(random, 0, gap)
		f.victim = random.IntN(o.instances)
		f.down = o.lasts(f.kind, random)
		f.cut = random.IntN(2) == 0
		f.seed = random.Uint64()
		if random.IntN(5) > 0 { // else the next one meets a start or a restore
			f.life = between(random, 500*time.Millisecond, 3*time.Second)
		}
		whom := f.needs
		if whom == "" {
			whom = fmt.Sprint(f.victim)
		}
		f.at = max(f.at, free[whom])
		free[whom] = f.at + f.down + f.life
		end = max(end, free[whom])
	}
	slices.SortStableFunc(faults, func(a, b fault) int { return cmp.Compare(a.at, b.at) })
	return faults, end
}

// draw returns as many faults of each kind as there must be.
func (o options) draw() (faults []fault) {
	all, counted := 0.0, 0.0
	for _, k := range o.kinds {
		all += k.weight
		if k.kills() {
			counted += k.weight
		}
	}
	if counted == 0 {
		counted = all // no workers are killed: -kills is the number of faults
	}
	for _, k := range o.kinds {
		for range max(1, int(float64(o.kills)*k.weight/counted+0.5)) {
			faults = append(faults, fault{kind: k})
		}
	}
	return faults
}

func (o options) lasts(k kind, random *rand.Rand) time.Duration {
	long := random.IntN(10) < 3 && o.instances > 1 // others take over
	switch k.name {
	case "freeze":
		return between(random, sessionTimeout+2*time.Second, sessionTimeout+5*time.Second)
	case "kill-all":
		return between(random, sessionTimeout+time.Second, sessionTimeout+4*time.Second)
	case "one-kill":
		return between(random, time.Second, 15*time.Second)
	case "one-freeze":
		return between(random, 5*time.Second, 20*time.Second)
	case "stall":
		return between(random, time.Second, 3*time.Second)
	case "redis-away":
		return between(random, 2*time.Second, 5*time.Second)
	case "broker-away":
		if o.short {
			return 6 * time.Second
		}
		return 20 * time.Second
	}
	if long {
		return between(random, sessionTimeout+time.Second, sessionTimeout+4*time.Second)
	}
	return between(random, 50*time.Millisecond, 1500*time.Millisecond)
}

func between(random *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(random.Int64N(int64(to-from)+1))
}
