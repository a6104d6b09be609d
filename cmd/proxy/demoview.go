package main

import (
	"context"
	"errors"
	"time"

	tea "charm.land/bubbletea/v2"

	"sluice/control"
	"sluice/demo"
)

// scene is all that the view shows, at one moment.
type scene struct {
	at      time.Time
	counts  demo.Counts
	status  control.Status
	act     directorView
	address string
}

const (
	// frameEvery is how often a scene is taken; quick enough to see a flip go through the classes.
	frameEvery = 200 * time.Millisecond
	// sparkCells is how many seconds of rates are kept, and ribbonCells how many frames of who answered.
	sparkCells  = 24
	ribbonCells = 60
)

// demoModel is the live view. It is owned by the program's goroutine.
type demoModel struct {
	stage  *stage
	ctx    context.Context
	scene  scene
	rates  map[demo.Class][]float64 // per second, the latest last
	ribbon []string                 // which release answered, frame by frame
	marked demo.Counts              // the counts at the last whole second
	width  int
}

func (c *cli) watchDemo(ctx context.Context, s *stage) error {
	m := &demoModel{stage: s, ctx: ctx, rates: map[demo.Class][]float64{}, width: 100}
	m.show(s.scene(ctx))
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(c.in), tea.WithOutput(c.out)).Run()
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, tea.ErrInterrupted) || ctx.Err() != nil {
		return nil // its time was up
	}
	return err
}

func (s *stage) scene(ctx context.Context) scene {
	ctx, cancel := context.WithTimeout(ctx, frameEvery)
	defer cancel()
	status, err := s.client.Status(ctx)
	if err != nil {
		status = control.Status{}
	}
	return scene{at: time.Now(), counts: s.traffic.Count(), status: status, act: s.director.view(), address: s.address}
}

// Init begins the taking of scenes.
func (m *demoModel) Init() tea.Cmd { return m.next() }

func (m *demoModel) next() tea.Cmd {
	return tea.Tick(frameEvery, func(time.Time) tea.Msg { return m.stage.scene(m.ctx) })
}

// Update takes a scene or a key.
func (m *demoModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case scene:
		m.show(msg)
		return m, m.next()
	case tea.WindowSizeMsg:
		m.width = msg.Width
	case tea.KeyPressMsg:
		return m, m.press(msg.String())
	}
	return m, nil
}

func (m *demoModel) press(key string) tea.Cmd {
	switch key {
	case "q", "esc", "ctrl+c":
		return tea.Quit
	case "f":
		m.stage.director.ask("flip")
	case "r":
		m.stage.director.ask("rollback")
	}
	return nil
}

// show takes a scene in. A scene without a status, when Sluice was too busy to tell in time, leaves the last one standing.
func (m *demoModel) show(s scene) {
	if len(s.status.Services) == 0 {
		s.status = m.scene.status
	}
	m.scene = s
	if since := s.counts.Elapsed - m.marked.Elapsed; since >= time.Second {
		for class, n := range s.counts.Classes {
			rate := float64(moved(n)-moved(m.marked.Classes[class])) / since.Seconds()
			m.rates[class] = lastOf(append(m.rates[class], rate), sparkCells)
		}
		m.marked = s.counts
	}
	m.ribbon = lastOf(append(m.ribbon, s.counts.Classes[demo.Get].Release), ribbonCells)
}

// moved counts requests; of sessions, which last, their messages.
func moved(n demo.Count) int {
	if n.Messages > 0 {
		return n.Messages
	}
	return n.Done
}

func lastOf[T any](all []T, n int) []T { return all[max(0, len(all)-n):] }

// View draws it.
func (m *demoModel) View() tea.View {
	v := tea.NewView(m.render())
	v.AltScreen = true
	v.WindowTitle = "sluice demo"
	return v
}
