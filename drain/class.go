package drain

import "fmt"

// Class says how a piece of work ends when it is drained. The order is that of the tables people see.
type Class uint8

const (
	Request   Class = iota // an ordinary request: finishes, up to Policy.Timeout
	Upload                 // its body is still arriving: finishes, up to Policy.Timeout
	Stream                 // an event stream, or a download of unknown length: up to Policy.Stream
	WebSocket              // an upgraded WebSocket: up to Policy.WebSocket, then Close 1001
	Tunnel                 // any other upgrade: up to Policy.WebSocket
	Held                   // waits for a backend, and so is inside of none: answered with 503, at Policy.Timeout of Sluice's own exit
	numClasses
)

var classNames = [numClasses]string{"request", "upload", "stream", "websocket", "tunnel", "held"}

// Classes lists all classes in table order.
func Classes() []Class { return []Class{Request, Upload, Stream, WebSocket, Tunnel, Held} }

func (c Class) String() string {
	if c < numClasses {
		return classNames[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// MarshalText writes the class as its name.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a class by its name.
func (c *Class) UnmarshalText(text []byte) error {
	for i, name := range classNames {
		if name == string(text) {
			*c = Class(i)
			return nil
		}
	}
	return fmt.Errorf("drain: no class %q; write one of %v", text, classNames)
}
