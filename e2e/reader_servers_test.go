package e2e

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const nodeReader = `
const http = require('http');
const say = (req, what) => console.log((req.headers['x-request-id'] || '-') + ' ' + req.method + ' ' + req.url + ' ' + what);
const answer = (req, res) => { say(req, 'request'); req.resume(); req.on('end', () => res.end('node')); req.on('error', () => {}); };
const server = http.createServer({ keepAliveTimeout: 60000, requestTimeout: 0 }, answer);
server.on('checkContinue', answer);
server.on('checkExpectation', answer);
server.on('upgrade', (req, socket) => { say(req, 'upgrade'); socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'); });
server.on('connect', (req, socket) => { say(req, 'connect'); socket.destroy(); });
server.on('clientError', (err, socket) => { if (err.code !== 'ECONNRESET' && err.code !== 'HPE_INVALID_EOF_STATE') console.log('- malformed ' + err.code + ' ' + JSON.stringify(String(err.rawPacket))); socket.destroy(); });
server.listen(Number(process.argv[1]), '127.0.0.1');`

// pythonReader decodes chunks by itself: http.server leaves that to whoever uses it.
const pythonReader = `
import os, sys, http.server
def say(*words): os.write(1, (' '.join(words) + '\n').encode())
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = sys.argv[2]
    def parse_request(self):
        ok = super().parse_request()
        if ok: say(self.headers.get('X-Request-Id', '-'), self.command, self.path)
        else: say('- malformed', repr(self.raw_requestline))
        return ok
    def __getattr__(self, name):
        if name.startswith('do_'): return self.answer
        raise AttributeError(name)
    def body(self):
        if 'chunked' in self.headers.get('Transfer-Encoding', ''):
            while True:
                size = int(self.rfile.readline().split(b';')[0], 16)
                self.rfile.read(size)
                if size == 0:
                    while self.rfile.readline().strip(): pass
                    return
                self.rfile.readline()
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
    def answer(self):
        try: self.body()
        except ValueError: self.close_connection = True; return
        self.send_response(200)
        self.send_header('Content-Length', '6')
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(b'python')
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    def handle_error(self, *args): pass
Server(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()`

// startReader starts a program whose output is the log.
func startReader(t *testing.T, address string, log io.Writer, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v (make tools installs it)", name, err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	awaitListener(t, address)
}

func awaitListener(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if nc, err := net.Dial("tcp", address); err == nil {
			nc.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing listens on %s", address)
		}
	}
}

func startNodeReader(t *testing.T, address string, log *lockedBuffer) {
	startReader(t, address, log, "node", "-e", nodeReader, port(address))
}

func startPythonReader(version string) func(*testing.T, string, *lockedBuffer) {
	return func(t *testing.T, address string, log *lockedBuffer) {
		startReader(t, address, log, "python3", "-c", pythonReader, port(address), version)
	}
}

func startGoReader(t *testing.T, address string, to *lockedBuffer) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(to, "%s %s %s\n", orDash(r.Header.Get("X-Request-Id")), r.Method, r.RequestURI)
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "go")
	})}
	go server.Serve(refusals{l, to})
	t.Cleanup(func() { server.Close() })
}

// refusals tells of what net/http refuses before a handler sees it: the handler answers with nothing but 200.
type refusals struct {
	net.Listener
	to io.Writer
}

func (r refusals) Accept() (net.Conn, error) {
	nc, err := r.Listener.Accept()
	return refusingConn{nc, r.to}, err
}

type refusingConn struct {
	net.Conn
	to io.Writer
}

func (c refusingConn) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("HTTP/1.1 ")) && !bytes.HasPrefix(p, []byte("HTTP/1.1 200 ")) {
		fmt.Fprintf(c.to, "- malformed: %q\n", p)
	}
	return c.Conn.Write(p)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func startNginxReader(t *testing.T, address string, log *lockedBuffer) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	os.WriteFile(conf, fmt.Appendf(nil, `daemon off; master_process off; user root; pid %[1]s/pid; error_log /dev/null;
events {}
http {
  log_format read '$http_x_request_id $request_method $request_uri $status "$request"';
  access_log /dev/stdout read;
  keepalive_timeout 60s; keepalive_requests 1000000; client_header_buffer_size 64k; large_client_header_buffers 4 128k; client_max_body_size 0;
  client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server { listen %[2]s; location / { return 200 nginx; } }
}
`, dir, address), 0o600)
	startReader(t, address, log, "nginx", "-p", dir, "-c", conf, "-e", "/dev/null")
}

// startApacheReader refuses all: it has read the request by then.
func startApacheReader(t *testing.T, address string, log *lockedBuffer) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "httpd.conf")
	os.WriteFile(conf, fmt.Appendf(nil, `ServerRoot %[1]s
ServerName localhost
PidFile %[1]s/pid
DefaultRuntimeDir %[1]s
ErrorLog /dev/null
Listen %[2]s
User nobody
Group nogroup
LoadModule mpm_event_module %[3]s/mod_mpm_event.so
LoadModule authz_core_module %[3]s/mod_authz_core.so
DocumentRoot %[1]s
KeepAliveTimeout 60
MaxKeepAliveRequests 0
LimitRequestLine 70000
LimitRequestFieldSize 70000
LimitRequestFields 300
AllowEncodedSlashes NoDecode
LogFormat "%%{X-Request-Id}i %%m %%U %%>s \"%%r\"" read
CustomLog /dev/stdout read
<Location "/">
  Require all denied
</Location>
`, dir, address, "/usr/lib/apache2/modules"), 0o600)
	startReader(t, address, log, "apache2", "-f", conf, "-X")
}
