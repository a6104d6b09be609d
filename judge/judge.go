// Package judge says from figures whether one release serves worse than another, and how sure that is. It may be asked at
// any moment and as often as one likes: that makes no false alarm more likely. It refuses to know where figures come from,
// the time, and what follows from a verdict.
package judge
