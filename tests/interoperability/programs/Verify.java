import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSession;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;

/**
 * Verifies certificates with Java: by the PKIX path validator, and by the trust manager that its TLS uses, which looks
 * at usages, at the algorithms that java.security disables, and, where a host is named, at the names.
 *
 * <p>The argument names a file with one query per line: file of the chain (leaf first), file of the trusted root, host
 * (empty: no name is compared), and server or client, separated by tabs. The program prints a line for each query: why Java
 * refuses the chain, or nothing if it accepts it.
 */
final class Verify {
    private static final Map<String, X509ExtendedTrustManager> MANAGERS = new HashMap<>();

    public static void main(String[] arguments) throws IOException, GeneralSecurityException {
        PrintStream answers = new PrintStream(System.out, true, "UTF-8");
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            String[] query = line.split("\t", -1);
            X509Certificate[] chain = certificates(query[0]).toArray(X509Certificate[]::new);
            X509Certificate root = certificates(query[1]).get(0);
            X509ExtendedTrustManager manager = MANAGERS.get(query[1]);
            if (manager == null) {
                manager = trusting(root);
                MANAGERS.put(query[1], manager);
            }
            answers.println(verdict(chain, root, manager, query[2], query[3]));
        }
    }

    private static String verdict(
            X509Certificate[] chain, X509Certificate root, X509ExtendedTrustManager manager, String host, String purpose)
            throws GeneralSecurityException {
        try {
            validate(chain, root);
            // UNKNOWN is what TLS 1.3 says: a key that signs. An RSA key may also have to encipher keys (TLS 1.2 and before).
            trust(chain, manager, host, purpose, "UNKNOWN");
            if (chain[0].getPublicKey().getAlgorithm().equals("RSA")) {
                trust(chain, manager, host, purpose, "RSA");
            }
            return "";
        } catch (CertPathValidatorException | CertificateException refusal) {
            StringBuilder reasons = new StringBuilder();
            for (Throwable each = refusal; each != null; each = each.getCause()) {
                reasons.append(each.getClass().getSimpleName()).append(": ").append(each.getMessage()).append("; ");
            }
            return reasons.toString().replaceAll("\\s+", " ").strip();
        }
    }

    private static void validate(X509Certificate[] chain, X509Certificate root) throws GeneralSecurityException {
        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
        parameters.setRevocationEnabled(false); // there is none
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        CertPathValidator.getInstance("PKIX").validate(factory.generateCertPath(List.of(chain)), parameters);
    }

    private static void trust(
            X509Certificate[] chain, X509ExtendedTrustManager manager, String host, String purpose, String authType)
            throws CertificateException {
        if (purpose.equals("client")) {
            manager.checkClientTrusted(chain, authType, new Connection(host));
        } else {
            manager.checkServerTrusted(chain, authType, new Connection(host));
        }
    }

    private static X509ExtendedTrustManager trusting(X509Certificate root) throws IOException, GeneralSecurityException {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setCertificateEntry("root", root);
        TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
        factory.init(store);
        return (X509ExtendedTrustManager) factory.getTrustManagers()[0];
    }

    private static List<X509Certificate> certificates(String file) throws IOException, CertificateException {
        try (InputStream stream = Files.newInputStream(Path.of(file))) {
            return CertificateFactory.getInstance("X.509").generateCertificates(stream).stream()
                    .map(X509Certificate.class::cast)
                    .collect(Collectors.toList());
        }
    }

    /** The connection that a trust manager is asked about: it wants to know the peer's host, and nothing else. */
    private static final class Connection extends SSLEngine {
        private final String host;

        Connection(String host) {
            this.host = host;
        }

        @Override
        public SSLSession getHandshakeSession() {
            Map<String, String> facts = Map.of("getPeerHost", host, "getProtocol", "TLSv1.3");
            return (SSLSession) Proxy.newProxyInstance(
                    Verify.class.getClassLoader(), new Class<?>[] {SSLSession.class},
                    (session, method, arguments) -> facts.get(method.getName()));
        }

        @Override
        public SSLParameters getSSLParameters() {
            SSLParameters parameters = new SSLParameters();
            parameters.setEndpointIdentificationAlgorithm(host.isEmpty() ? "" : "HTTPS");
            return parameters;
        }

        // What SSLEngine also demands; nobody calls it.
        @Override public SSLEngineResult wrap(ByteBuffer[] from, int offset, int length, ByteBuffer to) { throw no(); }
        @Override public SSLEngineResult unwrap(ByteBuffer from, ByteBuffer[] to, int offset, int length) { throw no(); }
        @Override public Runnable getDelegatedTask() { throw no(); }
        @Override public void closeInbound() { throw no(); }
        @Override public boolean isInboundDone() { throw no(); }
        @Override public void closeOutbound() { throw no(); }
        @Override public boolean isOutboundDone() { throw no(); }
        @Override public String[] getSupportedCipherSuites() { throw no(); }
        @Override public String[] getEnabledCipherSuites() { throw no(); }
        @Override public void setEnabledCipherSuites(String[] suites) { throw no(); }
        @Override public String[] getSupportedProtocols() { throw no(); }
        @Override public String[] getEnabledProtocols() { throw no(); }
        @Override public void setEnabledProtocols(String[] protocols) { throw no(); }
        @Override public SSLSession getSession() { throw no(); }
        @Override public void beginHandshake() { throw no(); }
        @Override public SSLEngineResult.HandshakeStatus getHandshakeStatus() { throw no(); }
        @Override public void setUseClientMode(boolean mode) { throw no(); }
        @Override public boolean getUseClientMode() { throw no(); }
        @Override public void setNeedClientAuth(boolean need) { throw no(); }
        @Override public boolean getNeedClientAuth() { throw no(); }
        @Override public void setWantClientAuth(boolean want) { throw no(); }
        @Override public boolean getWantClientAuth() { throw no(); }
        @Override public void setEnableSessionCreation(boolean flag) { throw no(); }
        @Override public boolean getEnableSessionCreation() { throw no(); }

        private static UnsupportedOperationException no() {
            return new UnsupportedOperationException("there is no connection");
        }
    }
}
