import NIOOpenSSL
import RelayCore

/// What a client that connects to a listener sees.
public enum ListenerObservation: Hashable, Sendable {
    /// The settings allow any free port, so it is not known where to connect.
    case anyPort
    /// The connection failed.
    case failed(String)
    /// The connection succeeded, but no valid reply came.
    case mute(String)
    /// The TLS handshake failed: the one of implicit TLS, or the one after STARTTLS.
    case tlsFailed(String)
    /// The first line is not the greeting of a relay.
    case greeted(String)
    /// A relay answers, but it does not offer STARTTLS.
    case withoutSTARTTLS
    case works(TLSCertificateInfo)
    /// The listener answers without TLS, as configured.
    case worksInClear
    /// The connection was accepted but can't continue: this machine is not a load balancer whose PROXY header the relay
    /// accepts.
    case takesBalancersOnly
}

extension Judge {
    /// - Parameters:
    ///   - place: the listener as the settings write it: `smtp://0.0.0.0:587`.
    ///   - known: the fingerprints of the certificates in the files; empty if they could not be read.
    public static func listener(
        _ place: String, _ observation: ListenerObservation, known: [String], now: Timestamp
    ) -> Finding {
        switch observation {
        case .anyPort:
            return .skipped(
                .listeners, "\(place) uses any free port",
                remedy: "name a port in \(setting(of: place)); the relay's log says which one it uses")
        case .failed(let why):
            return .problem(
                .listeners, "the relay is not running at \(place): \(why)",
                remedy: "systemctl start hiveku-relay.service, which starts its sockets too; "
                    + "the log says why it stopped: journalctl -u hiveku-relay")
        case .mute(let why):
            return .problem(
                .listeners, "the program that listens at \(place) does not answer as the relay does: \(why)",
                remedy: "find out which program it is (ss -ltnp); if it is the relay: systemctl restart hiveku-relay")
        case .tlsFailed(let why):
            return .problem(
                .listeners, "\(place) does not speak TLS: \(why)",
                remedy: "look for the reason in: journalctl -u hiveku-relay")
        case .greeted(let line): return stranger(place, line)
        case .withoutSTARTTLS:
            return .problem(
                .listeners, "\(place) does not offer STARTTLS, and without TLS no client can log in",
                remedy:
                    "restart the relay (systemctl restart hiveku-relay), and check whether another program is between the clients and the relay"
            )
        case .works(let certificate): return presented(place, certificate, known, now)
        case .worksInClear: return .ok(.listeners, "\(place) answers")
        case .takesBalancersOnly:
            return .ok(
                .listeners,
                "\(place) accepts connections, but only from the load balancers in proxy_networks; this machine is not one of them, so nothing more was checked"
            )
        }
    }

    /// - Parameter setting: the setting in which `systemd` replaces the listeners.
    public static func inheritedSockets(_ setting: String) -> Finding {
        .skipped(
            .listeners, "\(setting) uses the sockets that systemd passes on; the settings do not say where they listen",
            remedy: "to list them: systemctl list-sockets 'hiveku-relay*'")
    }

    private static func setting(of place: String) -> String {
        place.hasPrefix("smtp") ? "listen" : "http.listen"
    }

    /// The end of the relay's own greeting.
    public static let greeting = "ESMTP Hiveku Relay"

    private static func stranger(_ place: String, _ line: String) -> Finding {
        if line.hasPrefix("421") || line.hasPrefix("HTTP/1.1 503") {
            return .warning(
                .listeners, "\(place) refuses connections at the moment: \(line)",
                remedy:
                    "check which clients are connected (ss -tn); if all are legitimate, raise submission.max_connections or .max_connections_per_client"
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
                "\(place) answers, but with a different certificate (valid until \(end.date)) from those that the settings name",
                remedy:
                    "systemctl restart hiveku-relay; if that does not help, the service has its own settings: systemctl cat hiveku-relay"
            )
        }
        if known.isEmpty, now >= end {
            return .problem(
                .listeners, "\(place) answers, but with a certificate that expired on \(end.date)",
                remedy: "renew it, and make the relay load it: systemctl restart hiveku-relay")
        }
        return .ok(.listeners, "\(place) answers and speaks TLS")
    }
}
