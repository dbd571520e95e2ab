#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// An IPv4 or IPv6 address. An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) is treated as the IPv4 address.
public struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    /// The address as a number in two words, so that copies do not allocate. An IPv4 address is in the lower half of
    /// `low`.
    let high: UInt64
    let low: UInt64
    /// Whether the address is an IPv4 address, also if it was given as an IPv4-mapped IPv6 address.
    public let isIPv4: Bool

    /// Nil unless there are 4 or 16 bytes, in network order.
    public init?(bytes: [UInt8]) {
        switch bytes.count {
        case 4:
            self.init(ipv4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
        case 16:
            let high = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
            let low = bytes[8...].reduce(0) { $0 << 8 | UInt64($1) }
            self.init(high: high, low: low)
        default: return nil
        }
    }

    /// - Parameter value: the four octets of the address, the first one in the highest bits.
    public init(ipv4 value: UInt32) {
        high = 0
        low = UInt64(value)
        isIPv4 = true
    }

    private init(high: UInt64, low: UInt64) {
        if high == 0, low >> 32 == 0xFFFF {
            self.init(ipv4: UInt32(truncatingIfNeeded: low))
        } else {
            self.init(unmapped: high, low)
        }
    }

    /// Reads dotted decimal IPv4 or RFC 4291 IPv6 text; nil for anything else, including host names and zones.
    public init?(_ text: String) {
        // inet_pton reads a C string, which ends at a NUL, so text after a NUL would be ignored.
        guard text.utf8.count <= 45, !text.utf8.contains(0) else { return nil }
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self.init(ipv4: UInt32(bigEndian: four.s_addr))
            return
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        let bytes = withUnsafeBytes(of: &six) { Array($0) }
        self.init(bytes: bytes)
    }

    /// Whether the address is in 127.0.0.0/8 or is ::1.
    public var isLoopback: Bool { isIPv4 ? low >> 24 == 127 : high == 0 && low == 1 }

    var bitWidth: Int { isIPv4 ? 32 : 128 }

    /// The 4 or 16 bytes, in network order.
    public var bytes: [UInt8] {
        if isIPv4 { return (0..<4).map { UInt8(truncatingIfNeeded: low >> (24 - 8 * UInt64($0))) } }
        return (0..<16).map {
            UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> (56 - 8 * (UInt64($0) % 8)))
        }
    }

    /// The text as in RFC 5952.
    public var description: String {
        var buffer = [CChar](repeating: 0, count: 46)
        let bytes = self.bytes
        _ = inet_ntop(isIPv4 ? AF_INET : AF_INET6, bytes, &buffer, socklen_t(buffer.count))
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The addresses that one host typically controls: an IPv4 address, or an IPv6 network of /64.
    public var host: IPAddress { isIPv4 ? self : prefix(64) }

    /// The address with all bits after the first `count` cleared.
    public func prefix(_ count: Int) -> IPAddress {
        let count = min(max(count, 0), bitWidth)
        if isIPv4 {
            let mask: UInt32 = count == 0 ? 0 : UInt32.max << (32 - UInt32(count))
            return IPAddress(ipv4: UInt32(truncatingIfNeeded: low) & mask)
        }
        let highMask: UInt64 = count == 0 ? 0 : count >= 64 ? .max : .max << (64 - UInt64(count))
        let lowMask: UInt64 = count <= 64 ? 0 : .max << (128 - UInt64(count))
        return IPAddress(unmapped: high & highMask, low & lowMask)
    }

    /// Makes an IPv6 address without the check for IPv4-mapped addresses. It is for prefixes, which stay IPv6 whatever
    /// bits are left.
    private init(unmapped high: UInt64, _ low: UInt64) {
        self.high = high
        self.low = low
        isIPv4 = false
    }
}

/// An address or a CIDR block (RFC 4632), as in a key's network allowlist.
public struct NetworkBlock: Hashable, Sendable, CustomStringConvertible {
    /// The first address of the block, or the only one.
    public let address: IPAddress
    /// The number of leading bits that are fixed: 0 to 32 for IPv4, 0 to 128 for IPv6.
    public let prefixLength: Int

    /// What is wrong with the text, explained to the person who typed it.
    public struct ParseError: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`. Host bits must be clear: `192.0.2.7/24` is refused, and the
    /// error says what may have been intended.
    public init(_ text: String) throws(ParseError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(String(first)), parts.count <= 2 else {
            throw ParseError(
                description:
                    "not an IP address or CIDR block; write for example 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")
        }
        guard parts.count == 2 else {
            self.address = address
            self.prefixLength = address.bitWidth
            return
        }
        let digits = parts[1]
        let isNumber =
            !digits.isEmpty && digits.utf8.count <= 3 && digits.utf8.allSatisfy { (0x30...0x39).contains($0) }
        // A mapped address is stored as IPv4, so its prefix length counts from bit 96.
        let mapped = address.isIPv4 && first.contains(":")
        let width = mapped ? 128 : address.bitWidth
        guard isNumber, let written = Int(digits), written <= width else {
            throw ParseError(description: "the prefix length after the slash must be a number from 0 to \(width)")
        }
        guard !mapped || written >= 96 else {
            throw ParseError(
                description: "a prefix of an IPv4-mapped address must be 96 to 128; it is better written as IPv4")
        }
        let length = mapped ? written - 96 : written
        let network = address.prefix(length)
        guard network == address else {
            throw ParseError(
                description: "it has bits set after the first \(written): write \(network)/\(length) for the network, "
                    + "or \(address) for this one address")
        }
        self.address = address
        self.prefixLength = length
    }

    /// Whether the address is in the block.
    public func contains(_ client: IPAddress) -> Bool {
        client.isIPv4 == address.isIPv4 && client.prefix(prefixLength) == address
    }

    public var description: String {
        prefixLength == address.bitWidth ? address.description : "\(address)/\(prefixLength)"
    }
}
