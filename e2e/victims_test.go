package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// victims send plain requests on kept connections while others attack, and know which answer is theirs.
type victims struct {
	stop   chan struct{}
	wg     sync.WaitGroup
	mu     sync.Mutex
	served int
	wrong  []string
}

const (
	victimCount    = 4
	perConnection  = 50 // requests a victim sends on one connection
	betweenVictims = time.Millisecond
)

func startVictims(server string, r *recorder) *victims {
	v := &victims{stop: make(chan struct{})}
	for i := range victimCount {
		v.wg.Go(func() { v.run(server, fmt.Sprintf("127.8.0.%d", i+1), r) })
	}
	return v
}

func (v *victims) end() (served int, wrong []string) {
	close(v.stop)
	v.wg.Wait()
	return v.served, v.wrong
}

func (v *victims) run(server, client string, r *recorder) {
	for n := 0; ; {
		select {
		case <-v.stop:
			return
		default:
		}
		if err := v.connection(server, client, &n, r); err != nil {
			v.mu.Lock()
			v.wrong = append(v.wrong, fmt.Sprintf("%s at request %d: %v", client, n, err))
			v.mu.Unlock()
			time.Sleep(10 * betweenVictims)
		}
	}
}

func (v *victims) connection(server, client string, n *int, r *recorder) error {
	nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}, Timeout: 10 * time.Second}).Dial("tcp", server)
	if err != nil {
		return err
	}
	defer nc.Close()
	br := bufio.NewReader(nc)
	for range perConnection {
		*n++
		if err := askAsVictim(nc, br, client, *n); err != nil {
			return err
		}
		if r != nil {
			if got := r.of(client); len(got) != 1 {
				return fmt.Errorf("%d requests arrived for one", len(got))
			}
		}
		v.mu.Lock()
		v.served++
		v.mu.Unlock()
		time.Sleep(betweenVictims)
	}
	return nil
}

// askAsVictim sends one request, and takes the answer that names it and its sender.
func askAsVictim(nc net.Conn, br *bufio.Reader, client string, n int) error {
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	path := fmt.Sprintf("/victim/%s/%d", client, n)
	if _, err := fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: victim\r\n\r\n", path); err != nil {
		return err
	}
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || res.Header.Get("X-For") != client || !strings.Contains(string(body), "GET "+path+" ") {
		return fmt.Errorf("the answer to %s was %d %v %q, %v", path, res.StatusCode, res.Header, body, err)
	}
	return nil
}
