package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
)

// pems are the files of a side that speaks TLS, and lets in who shows a certificate of the authority.
type pems struct{ ca, certificate, key *string }

func pemFlags(flags *flag.FlagSet) pems {
	return pems{
		ca:          flags.String("ca", "", "PEM `file` of the authority whose clients are let in"),
		certificate: flags.String("certificate", "", "PEM `file` with the certificate to show; no TLS by default"),
		key:         flags.String("key", "", "PEM `file` of its private key"),
	}
}

func (p pems) given() bool { return *p.certificate != "" }

// config returns how to speak TLS, from the files as they are now.
func (p pems) config() (*tls.Config, error) {
	own, err := tls.LoadX509KeyPair(*p.certificate, *p.key)
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(*p.ca)
	if err != nil {
		return nil, err
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s holds no certificate", *p.ca)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{own},
		ClientCAs:    clients,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}, nil
}
