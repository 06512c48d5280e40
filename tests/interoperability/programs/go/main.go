// Command interoperability uses Go's crypto/x509 as Calico and Kubernetes do.
//
//	key, request  make a key and ask for a certificate, as Calico's key-cert-provisioner does
//	verify        verifies chains, as Calico's components do
//	connect       makes a TLS connection in which both sides present a certificate and verify the other's
//	view          parses requests as kube-apiserver does, and prints what the parser found
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
)

func main() {
	commands := map[string]func([]string) error{
		"key": key, "request": request, "verify": verify, "connect": connect, "view": view,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fail(errors.New("usage: interoperability key|request|verify|connect|view [arguments]"))
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// key writes a new private key to a file.
func key(arguments []string) error {
	flags := flag.NewFlagSet("key", flag.ExitOnError)
	kind := flags.String("kind", "", "for example RSA-2048 or P-256")
	file := flags.String("file", "", "output file")
	_ = flags.Parse(arguments)
	made, err := generate(*kind)
	if err != nil {
		return err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(made)
	if err != nil {
		return err
	}
	return os.WriteFile(*file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600)
}

func generate(kind string) (crypto.Signer, error) {
	switch kind {
	case "RSA-2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "RSA-3072":
		return rsa.GenerateKey(rand.Reader, 3072)
	case "RSA-4096":
		return rsa.GenerateKey(rand.Reader, 4096)
	case "P-224":
		return ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	case "P-256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "P-521":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "Ed25519":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("kind of key %q is not known", kind)
}

func load(file string) (crypto.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("no PEM in %q", file)
	}
	loaded, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return loaded.(crypto.Signer), nil
}

// request writes a CertificationRequest to standard output. Names and address come as they come to Calico's client:
// a list that may be empty, an address that is not checked.
func request(arguments []string) error {
	flags := flag.NewFlagSet("request", flag.ExitOnError)
	keyFile := flags.String("key", "", "file of the private key")
	algorithm := flags.String("signature", "", "as crypto/x509 calls it, for example ECDSA-SHA256")
	commonName := flags.String("common-name", "", "of the subject")
	dnsNames := flags.String("dns-names", "", "separated by commas")
	address := flags.String("address", "", "the one address")
	emailAddress := flags.String("email-address", "", "of the subject")
	emailName := flags.String("email-name", "", "a further alternative name")
	uri := flags.String("uri", "", "a further alternative name")
	authority := flags.Bool("authority", false, "basic constraints CA:TRUE")
	_ = flags.Parse(arguments)

	private, err := load(*keyFile)
	if err != nil {
		return err
	}
	signature, err := signatureAlgorithm(*algorithm)
	if err != nil {
		return err
	}
	extensions, err := requested(*authority)
	if err != nil {
		return err
	}
	template := x509.CertificateRequest{
		SignatureAlgorithm: signature,
		Subject: pkix.Name{
			Country:            []string{"US"},
			Province:           []string{"California"},
			Locality:           []string{"San Francisco"},
			Organization:       []string{"Tigera"},
			OrganizationalUnit: []string{"Engineering"},
			CommonName:         *commonName,
		},
		DNSNames:        strings.Split(*dnsNames, ","),
		IPAddresses:     []net.IP{net.ParseIP(*address)},
		ExtraExtensions: extensions,
	}
	if *emailAddress != "" {
		value := asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(*emailAddress)}
		identifier := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
		template.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: identifier, Value: value}}
	}
	if *emailName != "" {
		template.EmailAddresses = []string{*emailName}
	}
	if *uri != "" {
		parsed, err := url.Parse(*uri)
		if err != nil {
			return err
		}
		template.URIs = []*url.URL{parsed}
	}
	encoded, err := x509.CreateCertificateRequest(rand.Reader, &template, private)
	if err != nil {
		return err
	}
	return pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE REQUEST", Bytes: encoded})
}

func signatureAlgorithm(name string) (x509.SignatureAlgorithm, error) {
	for algorithm := x509.MD5WithRSA; algorithm <= x509.PureEd25519; algorithm++ {
		if algorithm.String() == name {
			return algorithm, nil
		}
	}
	return x509.UnknownSignatureAlgorithm, fmt.Errorf("signature algorithm %q is not known", name)
}

// requested is what Calico's client asks for beside the names: RFC 5280 §4.2.1.9, §4.2.1.3, §4.2.1.12.
func requested(authority bool) ([]pkix.Extension, error) {
	const digitalSignature, keyEncipherment, keyAgreement = 0x80, 0x20, 0x08
	values := []struct {
		arc      int
		critical bool
		value    any
	}{
		{19, true, struct {
			CA bool `asn1:"optional"`
		}{authority}},
		{15, true, asn1.BitString{Bytes: []byte{digitalSignature | keyEncipherment | keyAgreement}, BitLength: 5}},
		{37, false, []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1}, {1, 3, 6, 1, 5, 5, 7, 3, 2}}},
	}
	var extensions []pkix.Extension
	for _, each := range values {
		encoded, err := asn1.Marshal(each.value)
		if err != nil {
			return nil, err
		}
		identifier := asn1.ObjectIdentifier{2, 5, 29, each.arc}
		extensions = append(extensions, pkix.Extension{Id: identifier, Critical: each.critical, Value: encoded})
	}
	return extensions, nil
}
