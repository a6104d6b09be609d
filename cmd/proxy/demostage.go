package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sluice/admin"
	"sluice/config"
	"sluice/control"
	"sluice/demo"
	"sluice/telemetry"
)

// stage is a whole demo: two releases, a Sluice before them, traffic, and someone who flips.
type stage struct {
	dir      string
	apps     []*demo.App
	serving  sync.WaitGroup
	process  *process
	ended    chan struct{} // the process has ended
	client   *admin.Client
	traffic  *demo.Traffic
	director *director
	address  string
}

// demoConfig lets streams and WebSockets end within two seconds, so that one sees them move over. The traffic is trusted,
// so that the ids it gives its requests are those that the receipts name.
const demoConfig = `listen: http://%s
admin: unix://%s
state: %s
access_log: "off"
trusted: [127.0.0.0/8]
shutdown: {grace: 200ms, timeout: 5s}
services:
  web:
    live: blue
    pools:
      blue: [%s]
      green: [%s]
    health: {path: /health, interval: 500ms, timeout: 400ms}
    drain: {timeout: 10s, stream: 2s, websocket: 2s}
`

// releases says which pool has which.
var releases = map[string]string{"blue": "v1", "green": "v2"}

// raise brings a demo up, or nothing.
func raise(listen string, every time.Duration) (s *stage, err error) {
	s = &stage{ended: make(chan struct{})}
	defer func() {
		if err != nil {
			s.clear()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "sluice-demo"); err != nil {
		return nil, err
	}
	blue, err := s.startApp("v1")
	if err != nil {
		return nil, err
	}
	green, err := s.startApp("v2")
	if err != nil {
		return nil, err
	}
	if err := s.startSluice(listen, blue, green); err != nil {
		return nil, err
	}
	if s.traffic, err = demo.Start(context.Background(), demo.Config{Address: s.address, Host: "demo.example", Seed: 1}); err != nil {
		return nil, err
	}
	s.director = newDirector(s.client, every)
	return s, nil
}

func (s *stage) startApp(release string) (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	app := demo.NewApp(release)
	s.apps = append(s.apps, app)
	s.serving.Add(1)
	go s.serve(app, l)
	return l.Addr().String(), nil
}

// serve is the goroutine of an app; it ends with the app.
func (s *stage) serve(app *demo.App, l net.Listener) {
	defer s.serving.Done()
	app.Serve(l)
}

func (s *stage) startSluice(listen, blue, green string) error {
	socket := filepath.Join(s.dir, "admin.sock")
	text := fmt.Sprintf(demoConfig, listen, socket, filepath.Join(s.dir, "state"), blue, green)
	cfg, err := config.Parse("demo", []byte(text))
	if err != nil {
		return err
	}
	p, err := start(settings{config: cfg, events: telemetry.NewEvents(io.Discard, false), version: versionText()})
	if err != nil {
		return err
	}
	s.process, s.address = p, p.addresses[0].String()
	go s.runSluice()
	s.client, err = admin.NewClient("unix://"+socket, "")
	return err
}

// runSluice is the goroutine of the Sluice; it ends with its exit.
func (s *stage) runSluice() {
	defer close(s.ended)
	s.process.serve(nil)
}

// lower ends the traffic, then the Sluice, then the apps, and returns what came of it all.
func (s *stage) lower() demoResult {
	s.director.close()
	counts := s.traffic.Stop()
	flips, failed := s.director.sum()
	r := newDemoResult(counts, flips, failed)
	r.lost = s.traffic.Lost()
	s.clear()
	return r
}

// clear takes down what there is.
func (s *stage) clear() {
	if s.process != nil {
		s.process.stop(control.Cause{By: "demo", Via: "api", Verb: "stop"})
		<-s.ended
	}
	if s.client != nil {
		s.client.Close()
	}
	for _, app := range s.apps {
		app.Close()
	}
	s.serving.Wait()
	os.RemoveAll(s.dir)
}
