package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseCPUList(t *testing.T) {
	for list, want := range map[string]cpuList{
		"0": {0}, "0-1": {0, 1}, "0,2": {0, 2}, "0-2,7": {0, 1, 2, 7}, "3-3": {3},
	} {
		if got, err := parseCPUList(list); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %v, %v; want %v", list, got, err, want)
		}
	}
	for _, list := range []string{"", "a", "2-1", "-1", "0-", "0,,1", "0-99999999999", "0-9999999"} {
		if got, err := parseCPUList(list); err == nil {
			t.Errorf("%q: got %v, want an error", list, got)
		}
	}
}

func FuzzParseCPUList(f *testing.F) {
	f.Add("0-2,7")
	f.Add("0-65535")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseCPUList(s)
		if err != nil || len(got) > 1000 {
			return // refused, or too long to print again at leisure
		}
		again, err := parseCPUList(got.commas())
		if err != nil || !slices.Equal(got, again) {
			t.Errorf("%q is %v, and printed again %v, %v", s, got, again, err)
		}
	})
}

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		reason      string
		allowed     cpuList
		proxyCPUs   int
		proxy, load cpuList
		shared      bool
		says        string
	}{
		{"one core: no choice to make", cpuList{0}, 1, nil, nil, true, "nothing is pinned"},
		{"two cores: one each", cpuList{0, 1}, 1, cpuList{0}, cpuList{1}, false, "proxy on core 0; load and backend on core 1"},
		{"the cores we may use need not be the first", cpuList{4, 6, 8}, 1, cpuList{4}, cpuList{6}, false, "core 4"},
		{"two of two for the proxy: the load shares them", cpuList{0, 1}, 2, cpuList{0, 1}, cpuList{0, 1}, true, "share core 0,1"},
		{"two of three", cpuList{0, 1, 2}, 2, cpuList{0, 1}, cpuList{2}, false, "core 2"},
		{"two of four: the load gets as many", cpuList{0, 1, 2, 3}, 2, cpuList{0, 1}, cpuList{2, 3}, false, "core 2,3"},
	} {
		got, err := place(c.allowed, c.proxyCPUs)
		if err != nil || !slices.Equal(got.proxy, c.proxy) || !slices.Equal(got.load, c.load) || got.shared != c.shared {
			t.Errorf("%s: got %+v, %v", c.reason, got, err)
		}
		if !strings.Contains(got.String(), c.says) {
			t.Errorf("%s: it says %q, want %q in it", c.reason, got.String(), c.says)
		}
	}
	if got, err := place(cpuList{0}, 2); err == nil {
		t.Errorf("two cores for the proxy out of one: got %+v, want an error", got)
	}
}

func TestPin(t *testing.T) {
	args := []string{"nginx", "-v"}
	if got := (cpuList{}).pin(args); !slices.Equal(got, args) {
		t.Errorf("pinned to nothing: %v", got)
	}
	if got := (cpuList{1, 3}).pin(args); !slices.Equal(got, []string{"taskset", "-c", "1,3", "nginx", "-v"}) {
		t.Errorf("pinned to 1 and 3: %v", got)
	}
}

func TestAllowedCPUs(t *testing.T) {
	if got, err := allowedCPUs(); err != nil || len(got) == 0 {
		t.Errorf("got %v, %v: this test runs somewhere", got, err)
	}
}

const procStatText = `cpu  1 0 9077 598112 1688 0 1506 9896 0 0
cpu0 100 1 10 1000 5 2 3 7 0 0
cpu1 200 0 20 2000 0 0 0 9 0 0
intr 898663 0 0
`

func TestParseCoreTime(t *testing.T) {
	for _, c := range []struct {
		reason string
		cpus   cpuList
		want   coreTime
	}{
		{"one core", cpuList{0}, coreTime{busy: 116 * tick, idle: 1005 * tick, steal: 7 * tick}},
		{"the sum's line begins with a 1 and is still not core 1", cpuList{1}, coreTime{busy: 220 * tick, idle: 2000 * tick, steal: 9 * tick}},
		{"both", cpuList{0, 1}, coreTime{busy: 336 * tick, idle: 3005 * tick, steal: 16 * tick}},
		{"nothing pinned, nothing counted", nil, coreTime{}},
	} {
		if got, err := parseCoreTime([]byte(procStatText), c.cpus); err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", c.reason, got, err, c.want)
		}
	}
	if _, err := parseCoreTime([]byte(procStatText), cpuList{2}); err == nil {
		t.Error("a core that is not there was found")
	}
	if _, err := parseCoreTime([]byte("cpu0 1 2 x 4 5 6 7 8 9 10\n"), cpuList{0}); err == nil {
		t.Error("a time that is no number was read")
	}
}

func TestCoreTimeShares(t *testing.T) {
	d := coreTime{busy: 90, idle: 200, steal: 10}.since(coreTime{busy: 30, idle: 170, steal: 0})
	if d != (coreTime{busy: 60, idle: 30, steal: 10}) {
		t.Fatalf("the difference is %+v", d)
	}
	if got := d.stealShare(); got != 0.1 {
		t.Errorf("a tenth was stolen, got %v", got)
	}
	if got := (coreTime{}).share(time.Second); got != 0 {
		t.Errorf("of no time the share is 0, got %v", got)
	}
}
