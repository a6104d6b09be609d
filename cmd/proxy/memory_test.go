package main

import (
	"math"
	"os"
	"testing"

	"sluice/config"
)

func TestGroupMemory(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"none":                {nil, math.MaxInt64},
		"no limit":            {map[string]string{"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "max\n"}, math.MaxInt64},
		"its own":             {map[string]string{"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "1000\n"}, 1000},
		"one above":           {map[string]string{"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "1000\n", "/sys/fs/cgroup/a/memory.max": "500\n"}, 500},
		"in a container":      {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "700\n"}, 700},
		"outside of its view": {map[string]string{"/proc/self/cgroup": "0::/../x\n", "/sys/fs/cgroup/memory.max": "700\n"}, 700},
		"version 1": {map[string]string{"/proc/self/cgroup": "5:cpu:/a\n4:memory:/d\n", "/sys/fs/cgroup/memory/d/memory.limit_in_bytes": "900\n",
			"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 900},
	} {
		read := func(path string) ([]byte, error) {
			text, ok := test.files[path]
			if !ok {
				return nil, os.ErrNotExist
			}
			return []byte(text), nil
		}
		if got := groupMemory(read); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	if there := memoryThere(os.ReadFile); there <= 0 || there > 1<<50 {
		t.Errorf("this machine has %d bytes", there)
	}
}

func TestMemoryLimit(t *testing.T) {
	for _, test := range []struct {
		m           config.Memory
		there, want int64
	}{{config.Memory{Percent: 80}, 1000, 800}, {config.Memory{Percent: 80}, 0, 0}, {config.Memory{Percent: 80, Bytes: 5}, 1000, 5}, {config.Memory{}, 1000, 0}} {
		if got := memoryLimit(test.m, test.there); got != test.want {
			t.Errorf("%+v of %d: %d", test.m, test.there, got)
		}
	}
}
