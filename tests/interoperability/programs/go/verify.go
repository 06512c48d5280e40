package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

var usages = map[string]x509.ExtKeyUsage{"server": x509.ExtKeyUsageServerAuth, "client": x509.ExtKeyUsageClientAuth}

// verify reads a file with one query per line: file of the chain (leaf first), file of the trusted roots, host (empty: no
// name is compared), and server or client, separated by tabs. It prints a line for each query: why Go refuses the chain, or
// nothing if it accepts it.
func verify(arguments []string) error {
	file, err := os.Open(arguments[0])
	if err != nil {
		return err
	}
	defer file.Close()
	queries := bufio.NewScanner(file)
	for queries.Scan() {
		query := strings.Split(queries.Text(), "\t")
		leaf, intermediates, err := loadChain(query[0])
		if err != nil {
			return fmt.Errorf("%s: %w", query[0], err)
		}
		roots, err := loadRoots(query[1])
		if err != nil {
			return err
		}
		_, refusal := leaf.Verify(x509.VerifyOptions{
			DNSName:       query[2],
			Roots:         roots,
			Intermediates: intermediates,
			KeyUsages:     []x509.ExtKeyUsage{usages[query[3]]},
		})
		if refusal == nil {
			fmt.Println()
		} else {
			fmt.Println(strings.Join(strings.Fields(refusal.Error()), " "))
		}
	}
	return queries.Err()
}

func loadChain(file string) (*x509.Certificate, *x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, nil, errors.New("no certificate")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	intermediates := x509.NewCertPool()
	intermediates.AppendCertsFromPEM(rest)
	return leaf, intermediates, err
}

func loadRoots(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %q", file)
	}
	return roots, nil
}

// connect connects a certificate with itself: Felix is a client of Typha, and each verifies the other.
func connect(arguments []string) error {
	flags := flag.NewFlagSet("connect", flag.ExitOnError)
	keyFile := flags.String("key", "", "file of the private key")
	certificateFile := flags.String("certificate", "", "file of the certificate and its intermediates")
	rootFile := flags.String("root", "", "file of the trusted root")
	name := flags.String("name", "", "of the server")
	_ = flags.Parse(arguments)

	pair, err := tls.LoadX509KeyPair(*certificateFile, *keyFile)
	if err != nil {
		return err
	}
	roots, err := loadRoots(*rootFile)
	if err != nil {
		return err
	}
	one, other := net.Pipe()
	deadline := time.Now().Add(time.Minute)
	if err := errors.Join(one.SetDeadline(deadline), other.SetDeadline(deadline)); err != nil {
		return err
	}
	configuration := &tls.Config{
		Certificates:           []tls.Certificate{pair},
		RootCAs:                roots,
		ClientCAs:              roots,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ServerName:             *name,
		SessionTicketsDisabled: true, // the client would not read them
	}
	ended := make(chan error, 1)
	go func() {
		err := tls.Server(one, configuration).Handshake()
		if err != nil {
			one.Close()
		}
		ended <- err
	}()
	err = tls.Client(other, configuration).Handshake()
	if err != nil {
		other.Close()
	}
	return errors.Join(err, <-ended)
}
