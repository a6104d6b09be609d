package main

import (
	"cmp"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"sluice/admin"
)

// causeFlags say who changes something, why, and what is deployed by it. Every command that changes something has them.
type causeFlags struct{ note, by, commit string }

func (f *causeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.note, "note", "", "`TEXT` for the history: why")
	cmd.Flags().StringVar(&f.by, "by", "", "`NAME` for the history: who (default: who started the pipeline, or USER@host)")
	cmd.Flags().StringVar(&f.commit, "commit", "", "`HASH` for the history: what is deployed (default: that of the pipeline)")
}

// because is a call with who asks, why, and what for.
func (c *cli) because(f causeFlags) admin.Want {
	by, commit := c.pipeline()
	return admin.Want{
		Note:   f.note,
		By:     cmp.Or(f.by, plain(c.getenv("SLUICE_BY")), by, c.person()),
		Commit: cmp.Or(f.commit, plain(c.getenv("SLUICE_COMMIT")), commit),
	}
}

// pipelines are the build servers that say who started a build, and of which commit. The sign tells that a command runs in one:
// GIT_COMMIT alone may be anybody's variable.
var pipelines = []struct {
	sign   string
	by     []string
	commit string
}{
	{"GITHUB_ACTIONS", []string{"GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR"}, "GITHUB_SHA"}, // Gitea and Forgejo as well
	{"GITLAB_CI", []string{"GITLAB_USER_LOGIN"}, "CI_COMMIT_SHA"},
	{"BUILDKITE", []string{"BUILDKITE_BUILD_CREATOR"}, "BUILDKITE_COMMIT"},
	{"CIRCLECI", []string{"CIRCLE_USERNAME"}, "CIRCLE_SHA1"},
	{"TF_BUILD", []string{"BUILD_REQUESTEDFOR"}, "BUILD_SOURCEVERSION"},
	{"JENKINS_URL", []string{"BUILD_USER_ID"}, "GIT_COMMIT"},
}

// pipeline is who started the pipeline that this command runs in, and its commit; empty where it runs in none.
func (c *cli) pipeline() (by, commit string) {
	for _, p := range pipelines {
		if c.getenv(p.sign) == "" {
			continue
		}
		for _, name := range p.by {
			by = cmp.Or(by, plain(c.getenv(name)))
		}
		return by, plain(c.getenv(p.commit))
	}
	return "", ""
}

// person is the user at the terminal and the machine, for many come from other ones. Behind sudo every user is root, and of
// this machine. Empty: Sluice knows better, from the socket.
func (c *cli) person() string {
	if user := plain(c.getenv("SUDO_USER")); user != "" {
		return user
	}
	user := plain(cmp.Or(c.getenv("USER"), c.getenv("LOGNAME")))
	host, err := os.Hostname()
	if user == "" || err != nil {
		return user
	}
	return user + "@" + plain(host)
}

// longestDefault is well within what Sluice takes.
const longestDefault = 100

// plain is what the environment says, as it may stand in the history: nobody has written it there for that, so it must not make
// a deployment fail.
func plain(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) && b.Len() < longestDefault {
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(b.String())
}
