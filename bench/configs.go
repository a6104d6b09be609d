package main

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

const nginxProxy = nginxHead + `
{{- if .AccessLog}}    log_format json escape=json '{"time":"$time_iso8601","client":"$remote_addr","method":"$request_method","host":"$host",'
        '"path":"$uri","status":$status,"bytes":$body_bytes_sent,"duration_ms":$request_time,"service":"$server_name",'
        '"pool":"$proxy_host","backend":"$upstream_addr","upstream_ms":$upstream_response_time,"request_id":"$request_id"}';
{{end}}    access_log {{if .AccessLog}}{{.AccessLog}} json buffer=64k flush=1s{{else}}off{{end}};
    server_names_hash_max_size 65536;
    server_names_hash_bucket_size 128;
    upstream backend {
{{- range .Backends}}
        server {{.}};
{{- end}}
        keepalive {{.KeepAlive}};
        keepalive_requests 1000000000;
    }
{{- range .Services}}
    server {
        listen {{$.Listen}}{{if not .Hosts}} backlog=4096{{if gt $.Threads 1}} reuseport{{end}}{{end}};
{{- if .Hosts}}
        server_name {{join .Hosts " "}};
{{- end}}
        location / {
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Request-Id $request_id;
            client_body_buffer_size 128k;
{{- if $.Large}}
            proxy_buffers 16 64k;
            proxy_buffer_size 64k;
            proxy_busy_buffers_size 256k;
            proxy_max_temp_file_size 0;
{{- end}}
        }
    }
{{- end}}
}
`

// With strict limits HAProxy would not start where the machine allows fewer open files than two for each connection it
// might have; the load opens fewer.
const haproxyHead = `global
    nbthread {{.Threads}}
    maxconn {{.MaxConnections}}
    no strict-limits
{{- if .Large}}
    tune.bufsize 65536
{{- end}}
{{- if .Splice}}
    tune.pipesize 262144
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
{{- if .Splice}}
    option splice-response
{{- end}}
{{- if .AccessLog}}
    log global
    log-format '{"time":"%Tl","client":"%ci","method":"%HM","host":"%[capture.req.hdr(0),json(utf8s)]","path":%{+Q,+E}HP,"status":%ST,"bytes":%B,"duration_ms":%Ta,"service":"%f","pool":"%b","backend":"%s","upstream_ms":%Tr,"request_id":"%ID"}'
{{- end}}
frontend web
    bind {{.Listen}} backlog 4096
{{- if .AccessLog}}
    capture request header Host len 64
{{- end}}
    http-request set-header X-Forwarded-Proto http
{{- if gt (len .Services) 1}}
    use_backend %[req.hdr(host),host_only,lower,map_str({{.Dir}}/hosts.map,web)]
{{- end}}
    default_backend web
{{- range .Services}}
backend {{.Name}}
    option httpchk GET /
{{- range $i, $address := $.Backends}}
    server s{{$i}} {{$address}} check
{{- end}}
{{- end}}
`

const haproxyHosts = `{{range .Services}}{{$name := .Name}}{{range .Hosts}}{{.}} {{$name}}
{{end}}{{end}}`

const sluiceProxy = `listen: http://{{.Listen}}
admin: unix://{{.Dir}}/admin.sock
state: {{.Dir}}/state
access_log: "{{if .AccessLog}}{{.AccessLog}}{{else}}off{{end}}"
limits: {connections: 16384}
services:
{{- range .Services}}
  {{.Name}}:
{{- if .Hosts}}
    hosts: [{{join .Hosts ", "}}]
{{- end}}
    backends: [{{join $.Backends ", "}}]
    health: {path: /}
{{- end}}
`

const caddyProxy = `{
	admin off
	servers {
		metrics
	}
	auto_https off
	storage file_system {{.Dir}}/storage
}
http://:{{.Port .Listen}} {
	bind 127.0.0.1
{{- if .AccessLog}}
	log {
		output file {{.AccessLog}} {
			roll_disabled
		}
		format json
	}
{{- end}}
	reverse_proxy {{join .Backends " "}} {
		header_up X-Request-Id {http.request.uuid}
		health_uri /
		health_interval 2s
		transport http {
			keepalive_idle_conns_per_host {{.KeepAlive}}
		}
	}
}
`

// Traefik has no way to give a request an id.
const traefikStatic = `global:
  checkNewVersion: false
  sendAnonymousUsage: false
log:
  level: ERROR
entryPoints:
  web:
    address: {{.Listen}}
{{- if .AccessLog}}
accessLog:
  filePath: {{.AccessLog}}
  format: json
  bufferingSize: 1000
{{- end}}
metrics:
  prometheus:
    manualRouting: true
providers:
  file:
    filename: {{.Dir}}/routes.yaml
serversTransport:
  maxIdleConnsPerHost: {{.KeepAlive}}
`

const traefikRoutes = `http:
  routers:
    web:
      rule: PathPrefix(` + "`/`" + `)
      service: web
  services:
    web:
      loadBalancer:
        passHostHeader: true
        healthCheck:
          path: /
          interval: 2s
        servers:
{{- range .Backends}}
          - url: http://{{.}}
{{- end}}
`

// kamalProxy is no file but its words, one a line: kamal-proxy has no file. It logs every request, in JSON, always.
const kamalProxy = `run
--http-port
{{.Port .Listen}}
--https-port
{{.Port (index .Spares 0)}}
--metrics-port
{{.Port (index .Spares 1)}}
`

const kamalDeploy = `deploy
web
--target
{{join .Backends ","}}
--health-check-path
/
--health-check-interval
2s
--deploy-timeout
10s
`

const nginxBackend = nginxHead + `    access_log off;
    sendfile on;
    open_file_cache max=16;
    server {
{{- range .Listens}}
        listen {{.}} backlog=4096;
{{- end}}
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
