/// Which addresses webhooks may be sent to.
///
/// A key that may create a webhook makes the relay connect to an address of its choice. So only addresses of the public
/// Internet are allowed, and those of networks that the operator names. The address that is connected to decides, not
/// the name that led to it.
public struct WebhookAddressPolicy: Hashable, Sendable {
    /// Networks that are allowed although they are not public. TLS is not required in these networks either.
    public var privateNetworks: [NetworkBlock]

    public init(privateNetworks: [NetworkBlock] = []) { self.privateNetworks = privateNetworks }

    /// Why a URL can't be called, as far as the URL itself shows; nil if the URL itself shows no reason. The addresses
    /// of its host name must still be checked then (`permitted(_:for:)`). The text is the end of a sentence that begins
    /// with "the URL", without its full stop.
    public func refusal(of url: WebhookURL) -> String? {
        if case .address(let address) = url.host { return refusal(of: address, url.scheme) }
        if url.scheme == .http, privateNetworks.isEmpty { return WebhookAddressPolicy.needsTLS }
        return nil
    }

    /// The addresses of a URL's host that may be connected to, in their order.
    ///
    /// - Returns: at least one address, or why there is none: the end of a sentence that begins with "the URL".
    public func permitted(_ addresses: [IPAddress], for url: WebhookURL) -> Result<[IPAddress], WebhookURL.Mistake> {
        let permitted = addresses.filter { refusal(of: $0, url.scheme) == nil }
        guard permitted.isEmpty else { return .success(permitted) }
        let reason = addresses.first.flatMap { refusal(of: $0, url.scheme) }
        return .failure(.init(explanation: reason ?? "has a host name without an address"))
    }

    private func refusal(of address: IPAddress, _ scheme: WebhookURL.Scheme) -> String? {
        if privateNetworks.contains(where: { $0.contains(address) }) { return nil }
        guard WebhookAddressPolicy.isPublic(address) else {
            // The address is left out: a key's holder reads this text, and must not be able to look up names in the
            // relay's network.
            return "leads to no public address; webhooks.private_networks can allow its network"
        }
        return scheme == .https ? nil : WebhookAddressPolicy.needsTLS
    }

    private static let needsTLS = "must begin with https://; http:// is only for networks in webhooks.private_networks"

    /// Whether an address can belong to a host on the public Internet, by IANA's registries of special-purpose
    /// addresses (RFC 6890).
    public static func isPublic(_ address: IPAddress) -> Bool {
        if address.isIPv4 { return !special4.contains { $0.contains(address) } }
        // NAT64 (RFC 6052): the connection reaches the embedded IPv4 address. IPv6-only hosts reach most of the
        // Internet this way.
        if translated.contains(where: { $0.contains(address) }) {
            return IPAddress(bytes: Array(address.bytes.suffix(4))).map(isPublic) ?? false
        }
        return globalUnicast.contains { $0.contains(address) } && !special6.contains { $0.contains(address) }
    }

    /// The blocks that these texts describe. A test checks that each text can be read.
    static func blocks(_ texts: [String]) -> [NetworkBlock] { texts.compactMap { try? NetworkBlock($0) } }

    static let special4Texts = [
        "0.0.0.0/8",  // this network
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  // private use
        "100.64.0.0/10",  // carriers' NAT
        "127.0.0.0/8",  // loopback
        "169.254.0.0/16",  // link-local, and the metadata services of clouds
        "192.0.0.0/24",  // protocol assignments
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  // documentation
        "192.88.99.0/24",  // 6to4 relays
        "198.18.0.0/15",  // benchmarks
        "224.0.0.0/4",  // multicast
        "240.0.0.0/4",  // reserved, and broadcast
    ]

    /// The special-purpose blocks within 2000::/3. Outside 2000::/3, only NAT64 leads to public addresses. The rest is
    /// unassigned, or has a special purpose such as unspecified, loopback, IPv4-compatible, local (fc00::/7),
    /// link-local (fe80::/10), site-local (fec0::/10), multicast (ff00::/8), discard (100::/64) or segment routing
    /// (5f00::/16).
    static let special6Texts = [
        "2001::/23",  // protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32", "3fff::/20",  // documentation
        "2002::/16",  // 6to4, which leads to any IPv4 address
    ]

    private static let special4 = blocks(special4Texts)
    private static let special6 = blocks(special6Texts)
    private static let globalUnicast = blocks(["2000::/3"])
    private static let translated = blocks(["64:ff9b::/96"])
}
