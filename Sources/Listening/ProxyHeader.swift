import NIOCore
import RelayCore

/// The header of the PROXY protocol, which a load balancer sends before the client's first octet. Version 1 is a line
/// of text, version 2 is binary. HAProxy's `proxy-protocol.txt` defines both.
public struct ProxyHeader: Hashable, Sendable {
    /// The client's address. Nil when the connection is the load balancer's own, such as a health check (LOCAL), or
    /// when the balancer names no IP address (UNKNOWN, or an address family other than IPv4 and IPv6). The connection's
    /// peer is then the client.
    public var client: IPAddress?

    public init(client: IPAddress?) { self.client = client }

    /// The result of reading the octets that have arrived so far.
    public enum Reading: Hashable, Sendable {
        /// The octets may still become a header.
        case needsMore
        case header(ProxyHeader)
        case defect(Defect)
    }

    /// Why octets are not a header, or are a header that the relay does not accept.
    public enum Defect: String, Hashable, Sendable {
        /// The octets begin unlike any header.
        case missing
        /// Version 1 without an end within ``maximumLineLength`` octets, or version 2 with more than ``maximumLength``
        /// octets.
        case tooLong = "too-long"
        /// The octets begin like a header but break its grammar.
        case malformed
        /// Version 2 with a command other than LOCAL and PROXY, or with an unknown address family or transport.
        case unsupported
    }

    /// The longest header of version 1 in octets, with its CRLF (section 2.1).
    public static let maximumLineLength = 107
    /// The longest header of version 2 in octets that is accepted. The protocol allows 65,551, but balancers send
    /// addresses and short extensions.
    public static let maximumLength = 4096

    /// Removes a whole header from the front of `bytes` and leaves the octets after it. If the header is not complete,
    /// or is not accepted, leaves `bytes` unchanged.
    ///
    /// Octets that can't become a header are reported as a defect at once, so that the relay does not wait for more.
    public static func next(from bytes: inout ByteBuffer) -> Reading {
        guard let first = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self) else { return .needsMore }
        switch first {
        case prefixOfLine[0]: return line(from: &bytes)
        case signature[0]: return block(from: &bytes)
        default: return .defect(.missing)
        }
    }
}

// MARK: Version 1

extension ProxyHeader {
    private static let prefixOfLine = Array("PROXY ".utf8)

    private static func line(from bytes: inout ByteBuffer) -> Reading {
        let view = bytes.readableBytesView.prefix(maximumLineLength)
        guard agree(view, prefixOfLine) else { return .defect(.missing) }
        guard let end = view.firstIndex(where: { $0 == carriageReturn || $0 == lineFeed }) else {
            return view.count < maximumLineLength ? .needsMore : .defect(.tooLong)
        }
        // Only CR and LF together end the line. Either of them alone is a defect.
        let next = view.index(after: end)
        guard view[end] == carriageReturn else { return .defect(.malformed) }
        guard next < view.endIndex else {
            return view.count < maximumLineLength ? .needsMore : .defect(.tooLong)
        }
        guard view[next] == lineFeed, let header = header(of: view[..<end].dropFirst(prefixOfLine.count)) else {
            return .defect(.malformed)
        }
        bytes.moveReaderIndex(forwardBy: view.distance(from: view.startIndex, to: next) + 1)
        return .header(header)
    }

    /// - Parameter text: the text between `PROXY` and CRLF.
    private static func header(of text: ByteBufferView) -> ProxyHeader? {
        let words = text.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        switch words.first {
        // The text after UNKNOWN has no meaning (section 2.1).
        case "UNKNOWN": return ProxyHeader(client: nil)
        case "TCP4", "TCP6":
            guard words.count == 5, words[3...].allSatisfy(isPort) else { return nil }
            let colons = words[1...2].map { $0.contains(":") }
            let addresses = words[1...2].compactMap { IPAddress($0) }
            guard addresses.count == 2, colons.allSatisfy({ $0 == (words[0] == "TCP6") }) else { return nil }
            return ProxyHeader(client: addresses[0])
        default: return nil
        }
    }

    /// Whether the text is a number up to 65535 without leading zeros.
    private static func isPort(_ text: String) -> Bool {
        guard let number = UInt16(text) else { return false }
        return text == "\(number)"
    }

    private static let carriageReturn = UInt8(ascii: "\r")
    private static let lineFeed = UInt8(ascii: "\n")
}

// MARK: Version 2

extension ProxyHeader {
    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    /// The octets of the fixed part: signature, version and command, family and transport, and the length field.
    private static let fixedLength = 16

    private static func block(from bytes: inout ByteBuffer) -> Reading {
        guard agree(bytes.readableBytesView, signature) else { return .defect(.missing) }
        let start = bytes.readerIndex
        if let defect = defect(
            command: bytes.getInteger(at: start + 12), kind: bytes.getInteger(at: start + 13),
            length: bytes.getInteger(at: start + 14))
        {
            return .defect(defect)
        }
        guard let command = bytes.getInteger(at: start + 12, as: UInt8.self),
            let kind = bytes.getInteger(at: start + 13, as: UInt8.self),
            let length = bytes.getInteger(at: start + 14, as: UInt16.self),
            bytes.readableBytes >= fixedLength + Int(length)
        else { return .needsMore }
        let client = isLocal(command) ? nil : client(kind, bytes.getSlice(at: start + fixedLength, length: Int(length)))
        // The extensions after the addresses (section 2.2, TLVs) contain nothing that the relay needs.
        bytes.moveReaderIndex(forwardBy: fixedLength + Int(length))
        return .header(ProxyHeader(client: client))
    }

    /// Returns the defect of the fixed part, as far as it has arrived.
    private static func defect(command: UInt8?, kind: UInt8?, length: UInt16?) -> Defect? {
        // The version must be 2, and the commands are LOCAL (0) and PROXY (1).
        if let command, ![0x20, 0x21].contains(command) { return .unsupported }
        guard let command, let kind else { return nil }
        // The address of LOCAL is ignored, and so is its kind. The families are 0 to 3, the transports 0 to 2.
        if !isLocal(command), kind >> 4 > 3 || kind & 0xF > 2 { return .unsupported }
        guard let length else { return nil }
        if fixedLength + Int(length) > maximumLength { return .tooLong }
        if !isLocal(command), Int(length) < addressLength(kind) ?? 0 { return .malformed }
        return nil
    }

    private static func isLocal(_ command: UInt8) -> Bool { command & 0xF == 0 }

    /// The octets of the two addresses and ports of TCP. Nil for another family or transport.
    private static func addressLength(_ kind: UInt8) -> Int? {
        switch kind {
        case 0x11: 12
        case 0x21: 36
        default: nil
        }
    }

    /// The source address, which comes first.
    private static func client(_ kind: UInt8, _ rest: ByteBuffer?) -> IPAddress? {
        guard let length = addressLength(kind), let rest,
            let bytes = rest.getBytes(at: rest.readerIndex, length: (length - 4) / 2)
        else { return nil }
        return IPAddress(bytes: bytes)
    }

    /// Whether `bytes` begins like `expected`, as far as both reach.
    private static func agree(_ bytes: some Sequence<UInt8>, _ expected: [UInt8]) -> Bool {
        zip(bytes, expected).allSatisfy { $0 == $1 }
    }
}
