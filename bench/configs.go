package main

import (
	"fmt"
	"strings"
	"text/template"
)

// site is what a configuration is made from. Every peer's configuration sets the same fields on a request
// (Host kept, X-Forwarded-For, X-Forwarded-Proto, X-Request-Id) and keeps its connections to the backend.
type site struct {
	Listen      string // host:port this server listens on
	Backend     string // host:port it forwards to
	Dir         string // a folder of its own
	Threads     int    // workers or threads
	Connections int    // how many the load opens
	AccessLog   string // a file, or "" for none
	Large       bool   // responses are far larger than one buffer
}

// Limits on requests per connection are out of the way everywhere: the default of 1000 would close connections
// in the middle of a measurement, for some peers and not for others.

const nginxHead = `daemon off;
worker_processes {{.Threads}};
pid {{.Dir}}/nginx.pid;
error_log stderr error;
events {
    worker_connections 16384;
    multi_accept on;
}
http {
    keepalive_requests 1000000000;
    client_body_temp_path {{.Dir}}/body;
    proxy_temp_path {{.Dir}}/proxy;
    fastcgi_temp_path {{.Dir}}/fastcgi;
    uwsgi_temp_path {{.Dir}}/uwsgi;
    scgi_temp_path {{.Dir}}/scgi;
`

const nginxProxy = nginxHead + `    access_log {{if .AccessLog}}{{.AccessLog}} combined buffer=64k flush=1s{{else}}off{{end}};
    upstream backend {
        server {{.Backend}};
        keepalive {{.Connections}};
        keepalive_requests 1000000000;
    }
    server {
        listen {{.Listen}} backlog=4096{{if gt .Threads 1}} reuseport{{end}};
        location / {
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Request-Id $request_id;
            client_body_buffer_size 128k;
{{- if .Large}}
            proxy_buffers 16 64k;
            proxy_buffer_size 64k;
            proxy_busy_buffers_size 256k;
            proxy_max_temp_file_size 0;
{{- end}}
        }
    }
}
`

const haproxyHead = `global
    nbthread {{.Threads}}
    maxconn 4096
{{- if .Large}}
    tune.bufsize 65536
{{- end}}
`

const haproxyProxy = haproxyHead + `{{if .AccessLog}}    log stdout format raw local0
{{end}}defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    option forwardfor
    http-reuse always
    unique-id-format %[uuid()]
    unique-id-header X-Request-Id
{{- if .AccessLog}}
    log global
    option httplog
{{- end}}
frontend web
    bind {{.Listen}} backlog 4096
    http-request set-header X-Forwarded-Proto http
    default_backend backend
backend backend
    option httpchk GET /
    server one {{.Backend}} check
`

const sluiceProxy = `listen: http://{{.Listen}}
admin: unix://{{.Dir}}/admin.sock
state: {{.Dir}}/state
access_log: "{{if .AccessLog}}{{.AccessLog}}{{else}}off{{end}}"
services:
  web:
    backends: [{{.Backend}}]
    health: {path: /}
`

const nginxBackend = nginxHead + `    access_log off;
    sendfile on;
    open_file_cache max=16;
    server {
        listen {{.Listen}} backlog=4096;
{{- if .Large}}
        location = / { root {{.Dir}}/www; try_files /large =404; }
{{- else}}
        location / { default_type text/plain; return 200 "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"; }
{{- end}}
    }
}
`

// haproxySink answers only when it has the whole body, so that no peer gains by answering an upload early. Its
// buffer holds one upload.
const haproxySink = haproxyHead + `    tune.bufsize 131072
defaults
    mode http
    timeout client 60s
frontend sink
    bind {{.Listen}} backlog 4096
    http-request wait-for-body time 10s if { method POST }
    http-request return status 200 content-type text/plain string "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
`

func (s site) render(text string) (string, error) {
	t, err := template.New("config").Parse(text)
	if err != nil {
		return "", fmt.Errorf("our template: %w", err)
	}
	var out strings.Builder
	if err := t.Execute(&out, s); err != nil {
		return "", fmt.Errorf("our template: %w", err)
	}
	return out.String(), nil
}
