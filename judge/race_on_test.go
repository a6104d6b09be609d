//go:build race

package judge

// raced reports that the race detector is on, which makes arithmetic many times slower.
const raced = true
