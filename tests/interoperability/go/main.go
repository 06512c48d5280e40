// Command interoperability asks for a certificate with Go's crypto/x509, as Calico's key-cert-provisioner does, and uses
// what is issued as Calico's components do: a chain that both sides of a TLS connection verify.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
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
	"slices"
	"strings"
	"time"
)

func main() {
	commands := map[string]func([]string) error{"key": key, "request": request, "accept": accept}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fail(errors.New("usage: interoperability key|request|accept [flags]"))
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
	file := flags.String("file", "", "where it is written")
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

// accept fails unless the certificate is the key's, holds exactly the names, and serves both sides of a connection.
func accept(arguments []string) error {
	flags := flag.NewFlagSet("accept", flag.ExitOnError)
	keyFile := flags.String("key", "", "file of the private key")
	certificateFile := flags.String("certificate", "", "file of the certificate and its intermediates")
	rootFile := flags.String("root", "", "file of what is trusted")
	commonName := flags.String("common-name", "", "of the subject")
	dnsNames := flags.String("dns-names", "", "separated by commas")
	address := flags.String("address", "", "the one address")
	when := flags.String("when", "", "RFC 3339")
	_ = flags.Parse(arguments)

	now, err := time.Parse(time.RFC3339, *when)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(*certificateFile, *keyFile)
	if err != nil {
		return err
	}
	root, err := os.ReadFile(*rootFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		return fmt.Errorf("no certificate in %q", *rootFile)
	}
	leaf, intermediates, err := chain(pair)
	if err != nil {
		return err
	}
	names := strings.Split(*dnsNames, ",")
	if leaf.Subject.String() != "CN="+*commonName || !slices.Equal(leaf.DNSNames, names) {
		return fmt.Errorf("the certificate is for %q, %q", leaf.Subject, leaf.DNSNames)
	}
	if len(leaf.IPAddresses) != 1 || !leaf.IPAddresses[0].Equal(net.ParseIP(*address)) {
		return fmt.Errorf("the certificate is for %v", leaf.IPAddresses)
	}
	for _, name := range append(names, *address) {
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			options := x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: intermediates, CurrentTime: now}
			options.KeyUsages = []x509.ExtKeyUsage{usage}
			if _, err := leaf.Verify(options); err != nil {
				return err
			}
		}
	}
	return handshake(pair, roots, names[0], now)
}

func chain(pair tls.Certificate) (*x509.Certificate, *x509.CertPool, error) {
	intermediates := x509.NewCertPool()
	for _, each := range pair.Certificate[1:] {
		parsed, err := x509.ParseCertificate(each)
		if err != nil {
			return nil, nil, err
		}
		intermediates.AddCert(parsed)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	return leaf, intermediates, err
}

// handshake connects the pair with itself: Felix is a client of Typha, each verifies the other.
func handshake(pair tls.Certificate, roots *x509.CertPool, name string, now time.Time) error {
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
		ServerName:             name,
		Time:                   func() time.Time { return now },
		SessionTicketsDisabled: true, // nobody would read them
	}
	ended := make(chan error, 1)
	go func() {
		err := tls.Server(one, configuration).Handshake()
		if err != nil {
			one.Close()
		}
		ended <- err
	}()
	err := tls.Client(other, configuration).Handshake()
	if err != nil {
		other.Close()
	}
	return errors.Join(err, <-ended)
}
