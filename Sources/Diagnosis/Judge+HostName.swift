import RelayCore

/// The result of looking up a name.
public enum Resolution: Hashable, Sendable {
    case addresses([IPAddress])
    /// The look-up failed, with the resolver's message.
    case failed(String)
}

extension Judge {
    /// - Parameter own: the addresses of this machine's interfaces.
    public static func hostname(_ name: String, _ resolution: Resolution, own: [IPAddress]) -> Finding {
        guard name.contains("."), name.lowercased() != "localhost.localdomain" else {
            return .warning(
                .hostname,
                "'\(name)' is not a fully qualified name; it is used in the greeting and in the Received fields",
                remedy: "set hostname to the name that clients connect to, such as smtp.example.com")
        }
        switch resolution {
        case .failed(let why):
            return .warning(
                .hostname, "\(name) does not resolve here: \(why)",
                remedy: "publish an A or AAAA record for it, or set hostname to the name that clients connect to")
        case .addresses(let addresses): return hostname(name, addresses, own)
        }
    }

    private static func hostname(_ name: String, _ addresses: [IPAddress], _ own: [IPAddress]) -> Finding {
        let text = list(addresses.map(\.description))
        if !addresses.isEmpty, addresses.allSatisfy(isLoopback) {
            return .ok(
                .hostname, "\(name) resolves to \(text) on this machine; what other machines see was not checked")
        }
        guard addresses.contains(where: { own.contains($0) }) else {
            return .warning(
                .hostname, "\(name) resolves to \(text), which is not an address of this machine",
                remedy:
                    "correct the A or AAAA record; with a load balancer or address translation in between, nothing needs to be done"
            )
        }
        return .ok(.hostname, "\(name) resolves to \(text)")
    }

    private static func isLoopback(_ address: IPAddress) -> Bool {
        address.isIPv4 ? address.bytes.first == 127 : address.description == "::1"
    }
}
