package config

import (
	"net/url"
	"strings"

	"gopkg.in/yaml.v3"
)

const certificateFix = "write certificates: [{cert: cert.pem, key: key.pem}]"

func (v value) tls(c *Config) {
	v.object("write tls: {certificates: [{cert: cert.pem, key: key.pem}]}", fields{
		"certificates": func(v value) { v.certificateList(c) },
		"acme":         func(v value) { v.acme(&c.TLS) },
	})
}

func (v value) certificateList(c *Config) {
	v.in.certificates = true // that there are none would be a second word on the same fault
	if v.node.Kind == yaml.MappingNode {
		v.certificate(c)
		return
	}
	for _, item := range v.list(certificateFix) {
		item.certificate(c)
	}
}

func (v value) certificate(c *Config) {
	var pair Certificate
	ok := v.object(certificateFix, fields{
		"cert": func(v value) { v.file(&pair.Cert, "certificate", c) },
		"key":  func(v value) { v.file(&pair.Key, "key", c) },
	})
	if ok && !(hasKey(v, "cert") && hasKey(v, "key")) {
		v.refuse(certificateFix, "a certificate needs both `cert` and `key`")
	}
	c.TLS.Certificates = append(c.TLS.Certificates, pair)
}

func (v value) file(to *string, what string, c *Config) {
	text, ok := v.text()
	if !ok {
		return
	}
	if text == "" || strings.HasSuffix(text, "/") {
		v.refuse("write the path of a PEM file", "%s is %s, which names no file", v.title(), show(text))
		return
	}
	*to = v.in.beside(text)
	c.files = append(c.files, neededFile{v.node.Line, v.node.Column, what, *to})
}

func (v value) acme(to *TLS) {
	v.in.certificates = true
	acme := &ACME{CA: defaultCA}
	v.object("write acme: {email: ops@example.com}", fields{
		"email":   func(v value) { v.email(&acme.Email) },
		"ca":      func(v value) { v.authority(&acme.CA) },
		"storage": func(v value) { v.folder(&acme.Storage) },
	})
	to.ACME = acme
}

func (v value) email(to *string) {
	text, ok := v.text()
	if !ok {
		return
	}
	name, host, _ := strings.Cut(text, "@")
	if name == "" || strings.ContainsAny(name, " <>") || checkName(host) != "" {
		v.refuse("write an address as ops@example.com", "%s is no mail address", show(text))
		return
	}
	*to = text
}

func (v value) authority(to *string) {
	text, ok := v.text()
	if !ok {
		return
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		v.refuse("write "+defaultCA, "%s is no https URL", show(text))
		return
	}
	*to = text
}
