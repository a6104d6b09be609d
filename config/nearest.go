package config

import (
	"maps"
	"slices"
	"strings"
)

func sortedKeys(known fields) []string { return slices.Sorted(maps.Keys(known)) }

// maxGuessed is the longest key that is compared with the known ones, of which none is longer.
const maxGuessed = 24

// nearest returns the known key that was probably meant, or "".
func nearest(key string, known fields) string {
	if len(key) > maxGuessed {
		return ""
	}
	word := strings.ReplaceAll(strings.ToLower(key), "-", "_")
	best, least := "", 1+len(word)/3
	for _, k := range sortedKeys(known) {
		if d := distance(word, k); d < least || d == least && best == "" {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters that have to be put in, taken out, replaced, or swapped with the next, to make b from a
// (optimal string alignment).
func distance(a, b string) int {
	var before, row []int
	next := make([]int, len(b)+1)
	for j := range next {
		next[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, row, next = row, next, make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			differ := 1
			if a[i-1] == b[j-1] {
				differ = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+differ)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
	}
	return next[len(b)]
}
