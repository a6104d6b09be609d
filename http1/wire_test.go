package http1

// post is a request with the fields given, and a body behind it.
func post(fields, body string) string {
	return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body
}

func get(line string) string { return line + "\r\nHost: a\r\n\r\n" }

func ok(fields, body string) string { return "HTTP/1.1 200 OK\r\n" + fields + "\r\n" + body }

func status(line string) string { return line + "\r\nContent-Length: 0\r\n\r\n" }

const chunked = "Transfer-Encoding: chunked\r\n"
