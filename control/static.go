package control

import (
	"net/url"

	"sluice/config"
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

// before is the folder of the release before, while a rollback could bring that back.
func (svc *Service) before() *static.Folder {
	p := svc.Pool(svc.Previous)
	if p == nil || p.File.Root == "" || len(svc.File.Assets) == 0 {
		return nil
	}
	for _, b := range p.Backends {
		if b.Eligible() {
			return static.New(b.Dial, rulesOf(svc.File))
		}
	}
	return nil
}
