package control

import (
	"net/url"

	"sluice/config"
	"sluice/proxy"
	"sluice/static"
	"sluice/upstream"
)

// folderOf is what the backend of a static pool serves: the folder it had, where that is still the right one.
func folderOf(file *config.Service, b *Backend, old *upstream.Backend) *static.Folder {
	if b.Network != config.NetworkRoot {
		return nil
	}
	rules := rulesOf(file)
	if old != nil && old.Files != nil && old.Files.Is(b.Dial, rules) {
		return old.Files
	}
	return static.New(b.Dial, rules)
}

func rulesOf(file *config.Service) static.Rules {
	rules := static.Rules{Prefix: file.Path, Index: file.Files.Index, Fallback: file.Files.Fallback, Assets: file.Assets}
	if plain, err := url.PathUnescape(file.Path); err == nil {
		rules.Prefix = plain
	}
	for _, c := range file.Files.Cache {
		rules.Cache = append(rules.Cache, static.Cache{Pattern: c.Pattern, Control: c.Control})
	}
	return rules
}

// answersAssets reports whether a pool is asked for assets that the live one has not: a rollback could bring it back.
func (svc *Service) answersAssets(pool string) bool {
	return len(svc.File.Assets) > 0 && pool == svc.Previous && pool != svc.Live
}

// before is the release before, as far as it is up and ready. Nobody is pinned to what it answers.
func (one *builtService) before() *proxy.Before {
	p := one.from.Pool(one.from.Previous)
	if p == nil || !one.from.answersAssets(p.Name) {
		return nil
	}
	pool := one.asidePool(p, false)
	if len(pool.Backends()) == 0 {
		return nil
	}
	rules := rulesOf(one.from.File)
	return &proxy.Before{Pool: pool, Asset: rules.Asset}
}
