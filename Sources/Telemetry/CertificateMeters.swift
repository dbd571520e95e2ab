import Metrics
import NIOOpenSSL
import PrometheusMetrics
import Synchronization

/// The gauges for the expiry times of the certificates that clients see.
final class CertificateMeters: Sendable {
    private let registry: PrometheusRegistry
    /// The gauges by kind of key, so that the series of a kind that is no longer in use is removed.
    private let expiries = Mutex<[String: Meter]>([:])

    init(_ registry: PrometheusRegistry) { self.registry = registry }

    func show(_ certificates: [TLSCertificateInfo]) {
        expiries.withLock { expiries in
            let kinds = Set(certificates.map(\.keyType))
            for (kind, expiry) in expiries where !kinds.contains(kind) {
                expiry.destroy()
                expiries[kind] = nil
            }
            for certificate in certificates {
                let kind = certificate.keyType
                let expiry = expiries[kind] ?? registry.gauge(Catalogue.certificateExpiry, [("key_type", kind)])
                expiry.set(certificate.notAfter)
                expiries[kind] = expiry
            }
        }
    }
}
