package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// composeFile is what of the Compose specification the example uses.
type composeFile struct {
	Name     string             `yaml:"name"`
	App      service            `yaml:"x-app"`
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
}

type service struct {
	Image           string            `yaml:"image"`
	Build           build             `yaml:"build"`
	Restart         string            `yaml:"restart"`
	Ports           []string          `yaml:"ports"`
	Volumes         []string          `yaml:"volumes"`
	Tmpfs           []string          `yaml:"tmpfs"`
	ReadOnly        bool              `yaml:"read_only"`
	CapDrop         []string          `yaml:"cap_drop"`
	SecurityOpt     []string          `yaml:"security_opt"`
	StopGracePeriod time.Duration     `yaml:"stop_grace_period"`
	Healthcheck     healthcheck       `yaml:"healthcheck"`
	Environment     map[string]string `yaml:"environment"`
	Scale           string            `yaml:"scale"`
}

type build struct {
	Context    string `yaml:"context"`
	Dockerfile string `yaml:"dockerfile"`
}

type healthcheck struct {
	Test        []string      `yaml:"test"`
	Interval    time.Duration `yaml:"interval"`
	Timeout     time.Duration `yaml:"timeout"`
	StartPeriod time.Duration `yaml:"start_period"`
}

// variable is ${NAME:-default}.
var variable = regexp.MustCompile(`\$\{([A-Z_]+):-([^}]*)\}`)

// readFile reads a compose file with its variables filled in. A key that it does not know is an error.
func readFile(name string) (f composeFile, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return f, err
	}
	text = variable.ReplaceAllFunc(text, fill)
	if i := bytes.IndexByte(text, '$'); i >= 0 {
		return f, fmt.Errorf("%s: a variable that is not ${NAME:-default}: %.20s", name, text[i:])
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	return f, dec.Decode(&f)
}

// fill takes a variable from the environment, or else from .env.
func fill(found []byte) []byte {
	parts := variable.FindSubmatch(found)
	if value, ok := os.LookupEnv(string(parts[1])); ok {
		return []byte(value)
	}
	env, _ := os.ReadFile(".env")
	for line := range strings.Lines(string(env)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && name == string(parts[1]) {
			return []byte(value)
		}
	}
	return parts[2]
}

func (s service) count() (int, error) {
	if s.Scale == "" {
		return 1, nil
	}
	return strconv.Atoi(s.Scale)
}

// check looks at what a key alone does not show.
func (f composeFile) check() error {
	for name, s := range f.Services {
		if err := f.checkService(s); err != nil {
			return fmt.Errorf("service %s: %w", name, err)
		}
	}
	return nil
}

var portPair = regexp.MustCompile(`^[0-9]{1,5}:[0-9]{1,5}$`)

func (f composeFile) checkService(s service) error {
	if _, err := s.count(); err != nil {
		return err
	}
	if s.Image == "" {
		return fmt.Errorf("no image")
	}
	if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
		return err
	}
	for _, port := range s.Ports {
		if !portPair.MatchString(port) {
			return fmt.Errorf("port %q is not HOST:CONTAINER", port)
		}
	}
	if t := s.Healthcheck.Test; len(t) > 0 && (t[0] != "CMD" || len(t) < 2) {
		return fmt.Errorf("a check without a shell begins with CMD: %q", t)
	}
	for _, v := range s.Volumes {
		if err := f.checkVolume(v); err != nil {
			return err
		}
	}
	return nil
}

func (f composeFile) checkVolume(v string) error {
	source, target, _ := strings.Cut(v, ":")
	if !strings.HasPrefix(target, "/") {
		return fmt.Errorf("volume %q has no place in the container", v)
	}
	if strings.HasPrefix(source, ".") {
		_, err := os.Stat(source)
		return err
	}
	if _, known := f.Volumes[source]; !known {
		return fmt.Errorf("volume %q is not under volumes", source)
	}
	return nil
}
