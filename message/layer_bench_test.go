package message

import "testing"

// usual are field names as browsers and servers write them, and one that nobody knows.
var usual = [][]byte{[]byte("Host"), []byte("User-Agent"), []byte("Accept-Encoding"), []byte("Connection"), []byte("Content-Length"),
	[]byte("Transfer-Encoding"), []byte("X-Forwarded-For"), []byte("Sec-Fetch-Dest")}

var (
	agent = []byte("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	list  = []byte("keep-alive, Upgrade, X-Other")
)

func BenchmarkLookup(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		for _, name := range usual {
			Lookup(name)
		}
	}
}

func BenchmarkIsValue(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(agent)))
	for b.Loop() {
		IsValue(agent)
	}
}

func BenchmarkNextToken(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		for _, rest := NextToken(list); len(rest) > 0; {
			_, rest = NextToken(rest)
		}
	}
}
