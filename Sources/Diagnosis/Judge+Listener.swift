import NIOOpenSSL
import RelayCore

/// What somebody sees who connects to a listener.
public enum ListenerSighting: Hashable, Sendable {
    /// The settings take any free port, so that nobody knows where to connect.
    case anyPort
    /// No connection.
    case failed(String)
    /// A connection, but no sensible word.
    case mute(String)
    /// The handshake of implicit TLS, or that after STARTTLS.
    case tlsFailed(String)
    /// An answer other than the greeting of a relay, in its first line.
    case greeted(String)
    /// A relay, but STARTTLS is not among what it offers.
    case withoutSTARTTLS
    case works(TLSCertificateInfo)
    /// It answers without TLS, as it should.
    case worksInClear
    /// A connection, which can't go on: this machine is no load balancer whose PROXY header the relay takes.
    case takesBalancersOnly
}

extension Judge {
    /// - Parameters:
    ///   - place: as the settings write it: `smtp://0.0.0.0:587`.
    ///   - known: fingerprints of the certificates in the files; none where they could not be read.
    public static func listener(
        _ place: String, _ sighting: ListenerSighting, known: [String], now: Timestamp
    ) -> Finding {
        switch sighting {
        case .anyPort:
            return .skipped(
                .listeners, "\(place) takes any free port",
                remedy: "name a port in \(setting(of: place)); the relay's log says which it took")
        case .failed(let why):
            return .problem(
                .listeners, "the relay is not running at \(place): \(why)",
                remedy: "systemctl start hiveku-relay.service, which starts its sockets too; "
                    + "why it ended: journalctl -u hiveku-relay")
        case .mute(let why):
            return .problem(
                .listeners, "what listens at \(place) does not answer as the relay does: \(why)",
                remedy: "see what it is (ss -ltnp); if it is the relay: systemctl restart hiveku-relay")
        case .tlsFailed(let why):
            return .problem(
                .listeners, "\(place) does not speak TLS: \(why)",
                remedy: "look for the reason in: journalctl -u hiveku-relay")
        case .greeted(let line): return stranger(place, line)
        case .withoutSTARTTLS:
            return .problem(
                .listeners, "\(place) does not offer STARTTLS, and without TLS nobody can log in",
                remedy:
                    "restart the relay (systemctl restart hiveku-relay), and look whether another program stands in between"
            )
        case .works(let certificate): return presented(place, certificate, known, now)
        case .worksInClear: return .ok(.listeners, "\(place) answers")
        case .takesBalancersOnly:
            return .ok(
                .listeners,
                "\(place) takes connections; it speaks only to the load balancers in proxy_networks, of which this machine is none"
            )
        }
    }

    /// - Parameter setting: where systemd stands in the place of listeners.
    public static func inheritedSockets(_ setting: String) -> Finding {
        .skipped(
            .listeners, "\(setting) takes the sockets that systemd passes on, and does not say where they are",
            remedy: "see them with: systemctl list-sockets 'hiveku-relay*'")
    }

    private static func setting(of place: String) -> String {
        place.hasPrefix("smtp") ? "listen" : "http.listen"
    }

    /// What the relay's own greeting ends in.
    public static let greeting = "ESMTP Hiveku Relay"

    private static func stranger(_ place: String, _ line: String) -> Finding {
        if line.hasPrefix("421") || line.hasPrefix("HTTP/1.1 503") {
            return .warning(
                .listeners, "\(place) takes no connection just now: \(line)",
                remedy:
                    "see who is connected (ss -tn), and raise submission.max_connections or .max_connections_per_client if it is right"
            )
        }
        return .problem(
            .listeners, "another program answers at \(place): \(line)",
            remedy: "find it (ss -ltnp) and stop it, or give the relay another port in \(setting(of: place))")
    }

    private static func presented(
        _ place: String, _ certificate: TLSCertificateInfo, _ known: [String], _ now: Timestamp
    ) -> Finding {
        let end = Timestamp(seconds: certificate.notAfter)
        if !known.isEmpty, !known.contains(certificate.fingerprint) {
            return .warning(
                .listeners,
                "\(place) answers, with another certificate (valid until \(end.date)) than the files that the settings name",
                remedy:
                    "systemctl restart hiveku-relay; if it stays so, the service has settings of its own: systemctl cat hiveku-relay"
            )
        }
        if known.isEmpty, now >= end {
            return .problem(
                .listeners, "\(place) answers, with a certificate that expired on \(end.date)",
                remedy: "renew it, and see that the relay gets it: systemctl restart hiveku-relay")
        }
        return .ok(.listeners, "\(place) answers and speaks TLS")
    }
}
